"""What others would write: plain FastAPI programs, started by uvicorn, that the platform is measured against."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import orjson
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


class NewCourse(BaseModel):
    organization_id: UUID
    title: str
    summary: str = ""
    language: str = "en"
    tags: list[str] = []


_FIND_GRANTS = """
SELECT g.role, r.permissions, g.scope, g.scope_id, g.org_id, g.expires_at
FROM rbac.grants g LEFT JOIN rbac.roles r ON r.id = g.role_id
WHERE g.user_id = $1 AND g.ended_at IS NULL AND (g.expires_at IS NULL OR g.expires_at > now())
    AND g.scope_id = ANY($2::uuid[])
"""
_INSERT_OUTLINE = (
    "INSERT INTO content.outlines (course_id, org_id, created_at, changed_at) VALUES ($1, $2, now(), now())"
)
_INSERT_PLACE = "INSERT INTO rbac.places (scope, scope_id, org_id) VALUES ('course', $1, $2)"
_INSERT_GRANT = """
INSERT INTO rbac.grants (id, user_id, role, scope, scope_id, org_id, granted_by, created_at)
VALUES ($1, $2, 'instructor', 'course', $3, $4, $2, now()) RETURNING id
"""
_INSERT_COURSE = """
WITH course AS (
    INSERT INTO course.courses (id, org_id, default_run_id, slug, title, summary, language, categories, tags, visibility,
                                created_by, created_at, updated_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, '{}', $8, 'public', $9, now(), now())
    RETURNING id, org_id AS organization_id, slug, title, summary, language, categories, tags, visibility, default_run_id,
        source_course_id, published_revision, false AS has_draft_changes, publish_at, publish_error, archived_at, created_at,
        updated_at
), run AS (
    INSERT INTO course.runs (id, course_id, org_id, title, pace, is_default, created_at)
    SELECT $3, id, organization_id, title, 'self', true, created_at FROM course
), staff AS (
    INSERT INTO course.staff (course_id, user_id, org_id, role, added_at)
    SELECT id, $9, organization_id, 'instructor', created_at FROM course
)
SELECT * FROM course
"""
# Messages that the relay sends on, as it does the platform's; nobody listens.
_INSERT_MESSAGES = """
INSERT INTO hub.outbox (id, topic, key, shard, envelope)
SELECT id, 'broadcast', 'bench', 0, envelope FROM unnest($1::uuid[], $2::json[]) AS message (id, envelope)
"""
_AUTHOR = uuid4()

create = FastAPI(openapi_url=None, lifespan=_connected)


@create.get("/readyz")
async def is_ready() -> dict[str, str]:
    return {"status": "ready"}


@create.post("/v1/courses", status_code=201)
async def create_course(new: NewCourse) -> Course:
    """Run the statements of the platform's route, in the same three transactions."""
    course_id, run_id = uuid4(), uuid4()
    pool: Any = create.state.pool
    await pool.fetch(_FIND_GRANTS, _AUTHOR, [new.organization_id])
    async with pool.acquire() as db, db.transaction():
        await db.execute(_INSERT_OUTLINE, course_id, new.organization_id)
    await pool.fetch(_FIND_GRANTS, _AUTHOR, [new.organization_id])
    async with pool.acquire() as db, db.transaction():
        await db.execute(_INSERT_PLACE, course_id, new.organization_id)
        await db.fetchrow(_INSERT_GRANT, uuid4(), _AUTHOR, course_id, new.organization_id)
        await _send(db, course_id, 1)
    async with pool.acquire() as db, db.transaction():
        slug = f"{new.title.lower()}-{course_id.hex[-12:]}"
        fields = (new.title, new.summary, new.language, new.tags)
        row = await db.fetchrow(_INSERT_COURSE, course_id, new.organization_id, run_id, slug, *fields, _AUTHOR)
        await _send(db, course_id, 4)
    return Course(**row)


async def _send(db: Any, course_id: UUID, count: int) -> None:
    ids = [uuid4() for _ in range(count)]
    message = {"course_id": str(course_id), "text": "as long as an event's envelope is. " * 10}
    documents = [orjson.dumps({"id": str(id), "topic": "bench", "message": message}).decode() for id in ids]
    await db.execute(_INSERT_MESSAGES, ids, documents)
