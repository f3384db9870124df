"""A course whose teacher uploads small films, and executors that count."""

import base64
import hashlib
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from api.media.video_processing.contract import Transcode, VideoId
from api.media.video_processing.film.encode import EncodedTrack
from api.media.video_processing.film.sample import Recipe, make_film
from api.media.video_processing.transcode import coordinator
from api.media.video_processing.transcode.pieces import Cut, Executor, LocalExecutor, Piece
from cluster import jobs
from cluster.base.settings import settings
from cluster.data import read
from cluster.jobs import JobRun
from cluster.jobs.run import run_due_jobs
from tests.harness import Hub, Person, School, done

PIECES = Cut(chunk_s=1.0, segment_s=0.5)
"""Small pieces, so that a short film has several."""


@dataclass(frozen=True, slots=True)
class Teacher:
    """Somebody with a course to put films into."""

    person: Person
    school: School
    course_id: str

    async def upload(self, content: bytes, filetype: str = "video/mp4", *, check: bool = True) -> str:
        """Upload a file for the course and have it checked; return the asset's id."""
        names = {
            "filename": "film",
            "filetype": filetype,
            "purpose": "course-media",
            "target": f"course:{self.course_id}",
        }
        metadata = ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in names.items())
        tus = {"Tus-Resumable": "1.0.0"}
        client = self.person.client
        begun = await client.post(
            "/v1/uploads", headers=tus | {"Upload-Length": str(len(content)), "Upload-Metadata": metadata}
        )
        assert begun.status_code == 201, begun.text
        sent = await client.patch(
            begun.headers["location"],
            content=content,
            headers=tus | {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"},
        )
        assert sent.status_code == 204, sent.text
        if check:
            await run_due_jobs(("media",))
        return begun.headers["location"].rpartition("/")[2]

    async def new_video(self, content: bytes, filetype: str = "video/mp4") -> dict[str, Any]:
        asset_id = await self.upload(content, filetype)
        return done(await self.person.post("/v1/videos", {"asset_id": asset_id}), 201)

    async def video(self, video_id: str) -> dict[str, Any]:
        return done(await self.person.get(f"/v1/videos/{video_id}"))


@pytest.fixture(scope="session", autouse=True)
def scratch(servers: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A scratch folder of this run's own, left empty by every test."""
    folder = tmp_path_factory.mktemp("scratch")
    before = os.environ.get("HUB_SCRATCH", "")
    os.environ["HUB_SCRATCH"] = str(folder)
    settings.cache_clear()
    yield folder
    os.environ["HUB_SCRATCH"] = before
    settings.cache_clear()


@pytest.fixture(autouse=True)
def clean(scratch: Path) -> Iterator[None]:
    """No film leaves files behind, and no encoder."""
    yield
    assert list(scratch.glob("*/*")) == []


@pytest.fixture
async def teacher(hub: Hub) -> Teacher:
    return await new_teacher(hub)


async def new_teacher(hub: Hub) -> Teacher:
    school = await hub.school()
    new = {"organization_id": str(school.org_id), "title": "Films", "language": "en"}
    course = done(await school.owner.post("/v1/courses", new), 201)
    await hub.settle()
    return Teacher(school.owner, school, course["id"])


FilmMaker = Callable[..., Awaitable[bytes]]


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> FilmMaker:
    """Make a film by name and recipe, once, and return its bytes."""
    folder = tmp_path_factory.mktemp("films")

    async def make(name: str = "film.mp4", **recipe: Any) -> bytes:
        path = folder / f"{hashlib.sha256(repr(recipe).encode()).hexdigest()[:8]}-{name}"
        if not path.exists():
            await make_film(path, Recipe(**recipe))
        return path.read_bytes()

    return make


@dataclass(slots=True)
class Counting:
    """Counts how often each piece begins, and lets a test step in."""

    inner: Executor = field(default_factory=lambda: LocalExecutor(cut=PIECES))
    before: Callable[[Piece], Awaitable[None]] | None = None
    began: Counter[int] = field(default_factory=Counter[int])
    ended: Counter[int] = field(default_factory=Counter[int])
    one_at_a_time: bool = False

    @property
    def cut(self) -> Cut:
        return self.inner.cut

    @property
    def max_concurrent(self) -> int:
        return 1 if self.one_at_a_time else self.inner.max_concurrent

    async def run(self, piece: Piece) -> tuple[EncodedTrack, ...]:
        self.began[piece.number] += 1
        if self.before is not None:
            await self.before(piece)
        tracks = await self.inner.run(piece)
        self.ended[piece.number] += 1
        return tracks


@pytest.fixture
def executor(hub: Hub) -> Iterator[Counting]:
    """Performs `Transcode` with an executor of the test's own."""
    counting = Counting()

    async def transcode(run: JobRun, args: Transcode) -> None:
        await coordinator.transcode(run, args.video_id, counting)

    performed = jobs.perform_of("video_processing.transcode")
    jobs.perform(Transcode)(transcode)
    yield counting
    jobs.perform(Transcode)(performed)


async def work() -> None:
    """Run what video_processing has to do now."""
    await run_due_jobs(("video_processing",))


async def tasks_of(video_id: str) -> dict[int, tuple[str, int]]:
    """Return state and attempts of a film's pieces."""
    async with read() as db:
        rows = await db.rows(
            "SELECT number, state, attempts FROM video_processing.tasks WHERE video_id = $1 ORDER BY number",
            UUID(video_id),
        )
    return {row["number"]: (row["state"], row["attempts"]) for row in rows}


async def expire_lease() -> None:
    """Make the job of a dead worker due again, as if its lease had run out."""
    async with read() as db:
        await db.run(
            "UPDATE hub.jobs SET due_at = now() WHERE kind = 'video_processing.transcode' AND state IN ('queued', 'running')"
        )


def video_id_of(document: dict[str, Any]) -> VideoId:
    return VideoId(UUID(document["id"]))
