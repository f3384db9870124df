"""What is taught is found by those who may open it, as it is published now."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from api.learning.content.contract import ContentCalls
from cluster.base.problems import Problem
from cluster.people.calls import client
from tests.api.analytics.search.searching import Found
from tests.api.learning.content.conftest import Author
from tests.api.learning.course.conftest import new_course
from tests.harness import Hub, Person, done

pytestmark = pytest.mark.timeout(300)


async def author(hub: Hub) -> Author:
    school = await hub.school()
    course = await new_course(school)
    await hub.settle()
    return Author(school.owner, school, course["id"], course["default_run_id"])


async def publish(found: Found, by: Author) -> None:
    done(await by.person.post(f"/v1/courses/{by.course_id}/publish"))
    await found.settle()


async def lessons(found: Found, person: Person, q: str) -> list[str]:
    return await found.ids(person, q, kind="lesson")


async def test_a_published_text_is_found_by_who_learns_and_teaches(hub: Hub, found: Found) -> None:
    teacher = await author(hub)
    module = await teacher.add(None, "module", "Plants")
    lesson = await teacher.add(module, "lesson", "Sugar from light")
    text = "# Leaves\n\nThe **chloroplasts** of a leaf &amp; *its* cells.\n\n- one\n- two"
    block = await teacher.text(lesson, text, title="What leaves do")
    await publish(found, teacher)
    learner, stranger = await teacher.enrolled(hub), await hub.person("stranger")
    await found.settle()

    (hit,) = (await found.ask(learner, "chloroplast", kind="lesson"))["items"]

    assert (hit["id"], hit["kind"], hit["title"]) == (block, "lesson", "What leaves do")
    assert hit["path"] == ["Plants", "Sugar from light"]
    assert hit["url"] == f"/courses/{teacher.course_id}/blocks/{block}"
    assert "The <mark>chloroplasts</mark> of a leaf &amp; its cells." in hit["passages"][0]
    assert hit["facets"] == {"type": ["text"]}
    assert await lessons(found, learner, "sugar from light") == [block]
    assert await lessons(found, teacher.person, "chloroplast") == [block]
    assert [await lessons(found, each, "chloroplast") for each in (stranger, hub.guest)] == [[], []]

    enrolled = done(await learner.get("/v1/enrollments"))["items"][0]["id"]
    done(await learner.post(f"/v1/enrollments/{enrolled}/cancel"))
    await hub.settle()
    await hub.broadcasts_arrived()
    assert await lessons(found, learner, "chloroplast") == []


async def test_a_revision_replaces_what_is_found_and_pins_keep_theirs(hub: Hub, found: Found) -> None:
    teacher = await author(hub)
    lesson = await teacher.lesson()
    changed = await teacher.text(lesson, "Of kingfishers.")
    dropped = await teacher.text(lesson, "Of nightjars.")
    await publish(found, teacher)
    new = {"course_id": teacher.course_id, "title": "Pinned", "pinned_revision": 1}
    pinned_run = done(await teacher.person.post("/v1/runs", new), 201)["id"]
    newest, pinned = await teacher.enrolled(hub), await hub.person("pinned")
    done(await pinned.post("/v1/enrollments", {"run_id": pinned_run}), 201)
    await found.settle()
    assert (await lessons(found, newest, "kingfishers"), await lessons(found, pinned, "nightjars")) == (
        [changed],
        [dropped],
    )

    await teacher.change(changed, {"body": {"markdown": "Of bee-eaters."}})
    done(await teacher.person.delete(f"/v1/blocks/{dropped}"), 204)
    await found.settle()
    assert await lessons(found, newest, "kingfishers") == [changed]
    await publish(found, teacher)

    assert [await lessons(found, newest, q) for q in ("kingfishers", "nightjars", "eaters")] == [[], [], [changed]]
    assert [len(await lessons(found, pinned, q)) for q in ("kingfishers", "nightjars", "eaters")] == [1, 1, 0]


async def test_lessons_are_found_exactly_where_they_may_be_opened(hub: Hub, found: Found) -> None:
    teacher, elsewhere = await author(hub), await author(hub)
    soon = (datetime.now(UTC) + timedelta(days=3)).isoformat()
    places: list[tuple[str, str]] = []
    for by in (teacher, elsewhere):
        lesson = await by.lesson()
        later = await by.add(await by.add(None, "module"), "lesson", release_at=soon)
        blocks = [await by.text(lesson, "Wagtail one."), await by.text(lesson, "Wagtail two.", release_at=soon)]
        blocks.append(await by.text(later, "Wagtail three."))
        await publish(found, by)
        places += [(by.run_id, block) for block in blocks]
    late = {"course_id": teacher.course_id, "title": "Late", "starts_at": soon}
    late_run = done(await teacher.person.post("/v1/runs", late), 201)["id"]
    await found.settle()
    places += [(late_run, block) for run_id, block in places if run_id == teacher.run_id]
    early = await hub.person("early")
    done(await early.post("/v1/enrollments", {"run_id": late_run}), 201)
    people = {
        "learner": await teacher.enrolled(hub),
        "assistant": await teacher.staff(hub, "assistant"),
        "instructor": await teacher.staff(hub, "instructor"),
        "owner": teacher.person,
        "other owner": elsewhere.person,
        "learner elsewhere": await elsewhere.enrolled(hub),
        "early": early,
        "stranger": await hub.person("stranger"),
    }
    await found.settle()
    await hub.broadcasts_arrived()

    async def openable(person: Person) -> list[str]:
        opened: set[str] = set()
        for run_id, block in places:
            try:
                await client(ContentCalls).may_open(person.id, UUID(run_id), UUID(block))  # pyright: ignore[reportArgumentType]
            except Problem:
                continue
            opened.add(block)
        return sorted(opened)

    expected = {name: await openable(person) for name, person in people.items()}
    assert {name: sorted(await lessons(found, person, "wagtail")) for name, person in people.items()} == expected
    assert [len(expected[name]) for name in people] == [1, 1, 3, 3, 3, 1, 0, 0]
    assert await lessons(found, hub.guest, "wagtail") == []
