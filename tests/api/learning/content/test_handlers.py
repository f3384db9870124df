"""What content hears may come late, early and twice; it ends at the newest."""

import itertools
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from api.learning.content.contract import FrozenId
from api.learning.content.run import store
from api.learning.content.run.store import RunState
from api.learning.course.contract import CourseChanged, CourseId, RunChanged, RunId
from cluster.base.ids import OrgId, new_id
from cluster.base.principal import PLATFORM
from cluster.data import read
from cluster.events import Envelope, envelope_of, inbox
from cluster.people.access import permit
from tests.harness import Hub

START = datetime(2031, 5, 4, tzinfo=UTC)


class Course:
    """One course's events, each with a frozen outline of its own."""

    def __init__(self) -> None:
        self.id, self.run_id, self.org_id = CourseId(new_id()), RunId(new_id()), OrgId(new_id())
        self.frozen = [FrozenId(new_id()) for _ in range(4)]

    def changed(self, version: int, revision: int, *, archived: bool = False) -> Envelope:
        event = CourseChanged(
            course_id=self.id,
            org_id=self.org_id,
            revision=revision,
            frozen_id=self.frozen[revision],
            visibility="public",
            archived=archived,
        )
        return envelope_of(event, version=version)

    def run(self, version: int, **fields: Any) -> Envelope:
        event = RunChanged(run_id=self.run_id, course_id=self.id, org_id=self.org_id, **fields)
        return envelope_of(event, version=version)

    async def hear(self, *envelopes: Envelope) -> None:
        for envelope in envelopes:
            receipt = await inbox.receive("content", [envelope])
            assert not receipt.parked

    async def state(self) -> RunState:
        async with read() as db:
            guarded = await store.find_run(db, self.run_id)
        return await permit(PLATFORM, "run:attend", guarded)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
async def test_a_run_ends_at_the_newest_in_whatever_order_it_is_told(hub: Hub, order: tuple[int, ...]) -> None:
    course = Course()
    events = [course.run(1), course.run(2, starts_at=START), course.changed(5, 1), course.changed(7, 2)]

    await course.hear(*(events[each] for each in order))

    state = await course.state()
    assert (state.starts_at, state.revision, state.frozen_id) == (START, 2, course.frozen[2])


async def test_old_news_of_a_run_or_a_course_change_nothing(hub: Hub) -> None:
    course = Course()
    pinned = {"pinned_revision": 1, "pinned_frozen_id": course.frozen[1]}
    await course.hear(course.run(1), course.run(2, **pinned), course.changed(9, 3, archived=True))
    before = await course.state()

    await hub.old_news(RunChanged(run_id=course.run_id, course_id=course.id, org_id=course.org_id), 1)
    await hub.old_news(CourseChanged(course_id=course.id, org_id=course.org_id, revision=2), 8)

    assert before.frozen_id == course.frozen[1]
    assert before.archived
    assert await course.state() == before


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_archived_and_restored_end_at_the_newest_with_the_same_revision(hub: Hub, order: tuple[int, ...]) -> None:
    course = Course()
    events = [course.changed(3, 1, archived=True), course.changed(4, 1), course.changed(6, 1, archived=True)]

    await course.hear(course.run(1), *(events[each] for each in order))

    state = await course.state()
    assert (state.archived, state.revision) == (True, 1)


async def test_a_course_that_came_without_an_outline_gets_one(hub: Hub) -> None:
    course = Course()
    changed = CourseChanged(course_id=course.id, org_id=course.org_id)

    await course.hear(envelope_of(changed, version=1), envelope_of(changed, version=1))

    async with read() as db:
        org_id = await db.value("SELECT org_id FROM content.outlines WHERE course_id = $1", UUID(str(course.id)))
    assert org_id == course.org_id
