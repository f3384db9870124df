"""A course with a real film, and learners whose time can be told."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from api.learning.progress.watching import logic as watching
from api.learning.progress.watching.rules import Watched
from api.media.video_streaming.contract import PlaybackId
from cluster.base.principal import Principal
from cluster.signals import redis
from tests.api.learning.course.conftest import draft as draft
from tests.api.learning.course.conftest import published as published
from tests.api.learning.course.conftest import school as school
from tests.api.media.video_streaming.conftest import Cinema, Viewer, new_cinema
from tests.api.media.video_streaming.conftest import film_content as film_content
from tests.harness import Hub, done


@pytest.fixture(scope="module")
async def cinema(hub: Hub, film_content: bytes) -> Cinema:
    return await new_cinema(hub, film_content)


async def watch(
    viewer: Viewer, playback: dict[str, Any], after_s: float, *claims: tuple[float, float], position_s: float = 0
) -> Watched | None:
    """Send a heartbeat as if so much time had passed since the playback began."""
    return await watching.hear(
        Principal(kind="person", id=viewer.person.id),
        PlaybackId(UUID(playback["id"])),
        [(round(start * 1000), round(end * 1000)) for start, end in claims],
        position_ms=round(position_s * 1000),
        occurred_at=None,
        now=datetime.fromisoformat(playback["created_at"]) + timedelta(seconds=after_s),
    )


async def progress_of(viewer: Viewer) -> dict[str, Any]:
    return done(await viewer.person.get(f"/v1/progress/{viewer.enrollment_id}"))


def counted(progress: dict[str, Any]) -> tuple[int, int, int]:
    return progress["completed_blocks"], progress["total_blocks"], progress["percent"]


async def mark(viewer: Viewer, block_id: str, status: int = 200) -> Any:
    new = {"enrollment_id": viewer.enrollment_id, "block_id": block_id}
    return done(await viewer.person.post("/v1/completions", new), status)


async def state_of(viewer: Viewer) -> str:
    return done(await viewer.person.get(f"/v1/enrollments/{viewer.enrollment_id}"))["state"]


async def learner_in(hub: Hub, run_id: str) -> Viewer:
    person = await hub.person("learner")
    enrolled = done(await person.post("/v1/enrollments", {"run_id": run_id}), 201)
    return Viewer(person, enrolled["id"])


async def forget_redis(names: Sequence[str] = ("watched",)) -> None:
    """Lose what Redis holds, as a killed server does."""
    client: Any = redis.redis()
    for name in names:
        async for key in client.scan_iter(match=f"{{{redis.key(name)[1:-1]}*", count=1000):
            await client.delete(key)
