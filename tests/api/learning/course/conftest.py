"""A school with a course that can be published."""

from dataclasses import dataclass
from typing import Any

import pytest

from tests.harness import Hub, Person, School, done


@dataclass(frozen=True, slots=True)
class Draft:
    """A course with one lesson with text, not yet published."""

    school: School
    course: dict[str, Any]

    @property
    def owner(self) -> Person:
        return self.school.owner

    @property
    def id(self) -> str:
        return self.course["id"]

    @property
    def path(self) -> str:
        return f"/v1/courses/{self.id}"


async def add_block(author: Person, course_id: str, parent_id: str | None, type: str, **fields: Any) -> str:
    block = {"course_id": course_id, "parent_id": parent_id, "type": type, "title": type.title(), **fields}
    return done(await author.post("/v1/blocks", block), 201)["id"]


async def add_lesson(author: Person, course_id: str, markdown: str) -> str:
    """Add a module with a lesson with a text; return the text's id."""
    module = await add_block(author, course_id, None, "module")
    lesson = await add_block(author, course_id, module, "lesson")
    return await add_block(author, course_id, lesson, "text", body={"markdown": markdown})


async def new_course(school: School, **fields: Any) -> dict[str, Any]:
    body = {
        "organization_id": str(school.org_id),
        "title": "Algebra",
        "summary": "Letters.",
        "language": "en",
        **fields,
    }
    return done(await school.owner.post("/v1/courses", body), 201)


@pytest.fixture
async def school(hub: Hub) -> School:
    return await hub.school()


@pytest.fixture
async def draft(hub: Hub, school: School) -> Draft:
    course = await new_course(school)
    await add_lesson(school.owner, course["id"], "# One")
    await hub.settle()
    return Draft(school, course)


@pytest.fixture
async def published(hub: Hub, draft: Draft) -> Draft:
    course = done(await draft.owner.post(f"{draft.path}/publish"))
    await hub.settle()
    return Draft(draft.school, course)
