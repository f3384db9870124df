"""A published course with a real film of ten seconds and a text, and people who learn in it."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from api.media.video_processing.contract import Transcode
from api.media.video_processing.film.sample import Recipe, make_film
from api.media.video_processing.transcode import coordinator
from api.media.video_processing.transcode.pieces import Cut, LocalExecutor
from cluster import jobs
from cluster.jobs import JobRun
from cluster.jobs.run import run_due_jobs
from tests.api.learning.course.conftest import add_block
from tests.api.media.video_processing.conftest import Teacher, new_teacher
from tests.harness import Hub, Person, done

DURATION_S = 10


@dataclass(frozen=True, slots=True)
class Cinema:
    """A course with a lesson: a film, then a text."""

    hub: Hub
    teacher: Teacher
    run_id: str
    lesson: str
    video_id: str
    film: str
    text: str

    @property
    def owner(self) -> Person:
        return self.teacher.person

    async def learner(self) -> "Viewer":
        """Enrol somebody new."""
        person = await self.hub.person("learner")
        enrolled = done(await person.post("/v1/enrollments", {"run_id": self.run_id}), 201)
        return Viewer(person, enrolled["id"])

    async def watch(self, person: Person) -> dict[str, Any]:
        """Start a playback of the film."""
        return done(await person.post("/v1/playbacks", {"block_id": self.film, "run_id": self.run_id}), 201)

    async def publish(self) -> int:
        published = done(await self.owner.post(f"/v1/courses/{self.teacher.course_id}/publish"))
        await self.hub.settle()
        return published["published_revision"]


@dataclass(frozen=True, slots=True)
class Viewer:
    """Somebody who is enrolled."""

    person: Person
    enrollment_id: str


@contextmanager
def transcoding_here() -> Generator[None]:
    """Process films in this process instead of Ray's."""

    async def transcode(run: JobRun, args: Transcode) -> None:
        await coordinator.transcode(run, args.video_id, LocalExecutor(cut=Cut(chunk_s=10.0, segment_s=2.0)))

    performed = jobs.perform_of("video_processing.transcode")
    jobs.perform(Transcode)(transcode)
    yield
    jobs.perform(Transcode)(performed)


async def new_film(teacher: Teacher, content: bytes) -> str:
    """Upload a film, have it processed, and return its id."""
    video = await teacher.new_video(content)
    with transcoding_here():
        await run_due_jobs(("video_processing",))
    assert (await teacher.video(video["id"]))["state"] == "ready"
    return video["id"]


async def new_cinema(hub: Hub, content: bytes) -> Cinema:
    teacher = await new_teacher(hub)
    course_id = teacher.course_id
    video_id = await new_film(teacher, content)
    lesson = await add_block(
        teacher.person, course_id, await add_block(teacher.person, course_id, None, "module"), "lesson"
    )
    film = await add_block(teacher.person, course_id, lesson, "video", body={"video_id": video_id})
    text = await add_block(teacher.person, course_id, lesson, "text", body={"markdown": "# Read"})
    course = done(await teacher.person.get(f"/v1/courses/{course_id}"))
    cinema = Cinema(hub, teacher, course["default_run_id"], lesson, video_id, film, text)
    await cinema.publish()
    return cinema


@pytest.fixture(scope="session")
async def film_content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = Path(tmp_path_factory.mktemp("film")) / "film.mp4"
    await make_film(path, Recipe(width=160, height=90, duration_s=DURATION_S))
    return path.read_bytes()


@pytest.fixture(scope="module")
async def cinema(hub: Hub, film_content: bytes) -> Cinema:
    """One course for the tests of a module: what they do is each learner's own."""
    return await new_cinema(hub, film_content)
