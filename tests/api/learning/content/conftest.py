"""An outline to build on, people around it, files and films."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest

from api.media.video_processing.contract import VideoId, VideoState, video_ref
from api.media.video_processing.rules import THING_STATES
from cluster.base.ids import OrgId, new_id
from cluster.base.principal import PLATFORM
from cluster.data import uses, write
from cluster.data.uses import Thing
from tests.api.learning.course.conftest import new_course
from tests.files import PNG, upload
from tests.harness import Hub, Person, School, done


@dataclass(frozen=True, slots=True)
class Author:
    """An owner with a course, who writes its outline."""

    person: Person
    school: School
    course_id: str
    run_id: str

    @property
    def org_id(self) -> OrgId:
        return self.school.org_id

    async def upload(self, hub: Hub, *, purpose: str = "course-file", content: bytes = PNG, finish: bool = True) -> str:
        """Upload a picture for the course and return its id; `finish=False`: its bytes do not come."""
        asset_id = await upload(self.person, f"course:{self.course_id}", purpose, content, finish=finish)
        await hub.settle()
        return asset_id

    async def add(self, parent_id: str | None, type: str, title: str | None = None, **fields: Any) -> str:
        """Add a block and return its id."""
        title = title or type.title()
        new = {"course_id": self.course_id, "parent_id": parent_id, "type": type, "title": title, **fields}
        return done(await self.person.post("/v1/blocks", new), 201)["id"]

    async def lesson(self, module: str | None = None) -> str:
        return await self.add(module or await self.add(None, "module"), "lesson")

    async def text(self, lesson: str | None = None, markdown: str = "# One", **fields: Any) -> str:
        return await self.add(lesson or await self.lesson(), "text", body={"markdown": markdown}, **fields)

    async def change(self, block_id: str, changes: dict[str, Any], status: int = 200) -> Any:
        """Change a block at its current version."""
        etag = (await self.person.get(f"/v1/blocks/{block_id}")).headers["etag"]
        return done(await self.person.patch(f"/v1/blocks/{block_id}", changes, headers={"If-Match": etag}), status)

    async def outline(self) -> list[tuple[str, str | None, int]]:
        """Return title, parent and position of every block, as the outline is read."""
        blocks = done(await self.person.get(f"/v1/blocks?course_id={self.course_id}&limit=100"))["items"]
        return [(block["title"], block["parent_id"], block["position"]) for block in blocks]

    async def titles(self) -> list[str]:
        return [title for title, _, _ in await self.outline()]

    async def publish(self, hub: Hub) -> None:
        done(await self.person.post(f"/v1/courses/{self.course_id}/publish"))
        await hub.settle()

    async def enrolled(self, hub: Hub) -> Person:
        """Return somebody new who learns in the course's first run."""
        learner = await hub.person("learner")
        done(await learner.post("/v1/enrollments", {"run_id": self.run_id}), 201)
        await hub.settle()
        return learner

    async def staff(self, hub: Hub, role: str) -> Person:
        person = await hub.person(role)
        done(await self.person.put(f"/v1/courses/{self.course_id}/staff/{person.id}", {"role": role}))
        await hub.settle()
        await hub.broadcasts_arrived()
        return person


async def new_author(school: School) -> Author:
    course = await new_course(school)
    return Author(school.owner, school, course["id"], course["default_run_id"])


class Films:
    """Declares films: processing real ones takes longer than all these tests."""

    async def add(self, author: Author, state: VideoState = "ready", *, course_id: str | None = None) -> str:
        """Declare a film and return its id."""
        video_id = VideoId(new_id())
        thing = Thing(
            kind="video",
            id=video_id,
            org_id=author.org_id,
            course_id=UUID(course_id or author.course_id),
            state=THING_STATES[state],
            fault="cancelled" if state == "cancelled" else None,
            version=1,
        )
        async with write(PLATFORM) as tx:
            await uses.declare(tx, thing)
        return str(video_id)

    async def remove(self, video_id: str) -> None:
        async with write(PLATFORM) as tx:
            await uses.remove(tx, video_ref(VideoId(UUID(video_id))))

    async def restore(self, video_id: str) -> None:
        async with write(PLATFORM) as tx:
            await uses.restore(tx, video_ref(VideoId(UUID(video_id))))


@pytest.fixture
def films(hub: Hub) -> Films:
    return Films()


@pytest.fixture
async def school(hub: Hub) -> School:
    return await hub.school()


@pytest.fixture
async def author(hub: Hub, school: School) -> Author:
    return await new_author(school)
