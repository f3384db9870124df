"""What others would write: plain FastAPI programs, started by uvicorn, that the platform is measured against."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

noop = FastAPI(openapi_url=None)


@noop.get("/noop")
async def do_nothing() -> dict[str, str]:
    return {"status": "ok"}


class Course(BaseModel):
    id: UUID
    organization_id: UUID
    slug: str
    title: str
    summary: str
    language: str
    categories: list[str]
    tags: list[str]
    visibility: str
    default_run_id: UUID
    source_course_id: UUID | None
    published_revision: int | None
    has_draft_changes: bool
    publish_at: datetime | None
    publish_error: str | None
    archived_at: datetime | None
    created_at: datetime
    updated_at: datetime


_FIND = """
SELECT id, org_id AS organization_id, slug, title, summary, language, categories, tags, visibility, default_run_id,
    source_course_id, published_revision, published_revision IS NOT NULL
        AND (details_changed OR outline_version > published_outline_version) AS has_draft_changes,
    publish_at, publish_error, archived_at, created_at, updated_at
FROM course.courses WHERE id = $1
"""


@asynccontextmanager
async def _connected(app: FastAPI) -> AsyncGenerator[None]:
    async with asyncpg.create_pool(
        os.environ["HUB_POSTGRES_URL"], min_size=1, max_size=4, server_settings={"timezone": "UTC", "jit": "off"}
    ) as pool:
        app.state.pool = pool
        yield


course = FastAPI(openapi_url=None, lifespan=_connected)


@course.get("/v1/courses/{course_id}")
async def get_course(course_id: UUID) -> Course:
    pool: Any = course.state.pool
    row = await pool.fetchrow(_FIND, course_id)
    if row is None:
        raise HTTPException(404)
    return Course(**row)
