"""A course whose first revision shows a film that later ones do not, for tests of forgetting revisions."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from cluster.base.principal import PLATFORM
from cluster.data import read, uses, write
from cluster.data.uses import Ref
from tests.api.learning.content.conftest import Author, Films, new_author
from tests.harness import Hub, School, done, problem

_AGE_REVISIONS = """
UPDATE course.revisions SET published_at = published_at - $2::interval, unpinned_at = unpinned_at - $2::interval
WHERE course_id = $1
"""


class Filmed:
    """A course whose first revision shows a film that later ones do not."""

    def __init__(self, author: Author, video_id: str, block_id: str) -> None:
        self.author, self.video_id, self.block_id = author, video_id, block_id
        self.person, self.path = author.person, f"/v1/courses/{author.course_id}"

    async def forget(self, number: int = 1, status: int = 200, slug: str | None = None) -> dict[str, Any]:
        response = await self.person.post(f"{self.path}/revisions/{number}/forget")
        return done(response) if status == 200 else problem(response, status, slug)

    async def in_use(self) -> bool:
        ref = Ref("video", UUID(self.video_id))
        async with read() as db:
            return (await uses.states(db, [ref]))[ref].in_use

    async def forgotten(self) -> list[int]:
        """Return the numbers of the revisions that are forgotten."""
        listed = done(await self.person.get(f"{self.path}/revisions?limit=100"))["items"]
        return [each["revision"] for each in listed if each["forgotten_at"] is not None]

    async def publish(self) -> int:
        return done(await self.person.post(f"{self.path}/publish"))["published_revision"]

    async def pinning(self, number: int) -> str:
        """Open a run that pins a revision, and return its id."""
        new = {"course_id": self.author.course_id, "title": "Pinned", "pinned_revision": number}
        return done(await self.person.post("/v1/runs", new), 201)["id"]

    async def aged(self, days: int) -> None:
        """Let so many days pass since all that happened to the course's revisions and runs."""
        async with write(PLATFORM) as tx:
            course_id, by = UUID(self.author.course_id), timedelta(days=days)
            await tx.run(_AGE_REVISIONS, course_id, by)
            await tx.run(
                "UPDATE course.runs SET ended_at = ended_at - $2::interval WHERE course_id = $1", course_id, by
            )


async def film_course(school: School) -> Filmed:
    author, films = await new_author(school), Films()
    lesson = await author.lesson()
    await author.text(lesson)
    video_id = await films.add(author)
    block_id = await author.add(lesson, "video", body={"video_id": video_id})
    course = Filmed(author, video_id, block_id)
    await course.publish()
    done(await author.person.delete(f"/v1/blocks/{block_id}"), 204)
    await course.publish()
    return course


@pytest.fixture
async def filmed(hub: Hub, school: School) -> Filmed:
    return await film_course(school)
