"""A teacher with a course of their own, and the routes of media as they see them behind the edge."""

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
import pytest

from api.core.rbac.contract import RbacCalls
from api.media.media.contract import AssetId
from api.media.media.routes import router
from api.media.media.upload import logic
from api.media.media.upload.headers import Target
from cluster.base.ids import OrgId, UserId, new_id
from cluster.base.principal import GUEST, Principal
from cluster.http import build_app
from cluster.jobs.run import run_due_jobs
from cluster.people.calls import client
from tests.harness import Hub


@pytest.fixture(scope="session", autouse=True)
async def process(hub: Hub) -> None:
    """Have all services in this process."""


@dataclass(frozen=True, slots=True)
class Teacher:
    """Somebody who may edit a course."""

    principal: Principal
    org_id: OrgId
    course_id: UUID

    @property
    def target(self) -> Target:
        return Target("course", self.course_id)

    async def begin(self, size: int, filename: str = "film.mp4", declared_type: str = "video/mp4") -> AssetId:
        new = logic.NewUpload(
            size_bytes=size, purpose="course-media", target=self.target, filename=filename, declared_type=declared_type
        )
        return (await logic.begin(self.principal, new)).asset.id

    async def offset(self, asset_id: AssetId) -> int:
        return (await logic.progress(self.principal, asset_id)).offset_bytes

    async def send(self, asset_id: AssetId, content: bytes, offset: int = 0, **options: Any) -> logic.Progress:
        return await logic.receive(
            self.principal, asset_id, offset=offset, body=stream(content), declared_bytes=len(content), **options
        )

    @property
    def http(self) -> httpx.AsyncClient:
        return http_of(self.principal)


async def stream(content: bytes, size: int = 64 * 1024, *, broken: bool = False) -> AsyncIterator[bytes]:
    """Give bytes as a server does; `broken`: the client leaves after the last."""
    for start in range(0, len(content), size):
        yield content[start : start + size]
    if broken:
        raise logic.Interrupted


def app_of(principal: Principal) -> Any:
    """The routes of media as if the edge had authenticated `principal`."""
    inner = build_app([router])

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            scope.setdefault("state", {}).update(principal=principal, become_stream=lambda: None)
            await inner(scope, receive, send)

    return app


def http_of(principal: Principal) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app_of(principal)), base_url="http://media.test")


@pytest.fixture
def guest() -> httpx.AsyncClient:
    return http_of(GUEST)


async def new_teacher() -> Teacher:
    user_id, org_id, course_id = UserId(new_id()), OrgId(new_id()), new_id()
    await client(RbacCalls).grant(user_id, "instructor", "course", course_id, org_id)
    return Teacher(Principal(kind="person", id=user_id), org_id, course_id)


@pytest.fixture
async def teacher() -> Teacher:
    return await new_teacher()


def film(size: int) -> bytes:
    """Bytes that begin like an MP4."""
    return (b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + os.urandom(size))[:size]


async def settle() -> None:
    """Run the jobs that are due until there are none."""
    while await run_due_jobs():
        pass
