"""What content hears may come late, early and twice; it ends at the newest."""

import itertools
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from api.learning.content.contract import FrozenId
from api.learning.content.outline import store
from api.learning.content.outline.store import RunState
from api.learning.course.contract import (
    CourseArchived,
    CourseId,
    CoursePublished,
    CourseRestored,
    RunCreated,
    RunId,
    RunUpdated,
)
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

    def published(self, revision: int, version: int) -> Envelope:
        event = CoursePublished(
            course_id=self.id, org_id=self.org_id, revision=revision, frozen_id=self.frozen[revision]
        )
        return envelope_of(event, version=version)

    def archived(self, version: int) -> Envelope:
        return envelope_of(CourseArchived(course_id=self.id, org_id=self.org_id), version=version)

    def restored(self, version: int) -> Envelope:
        return envelope_of(CourseRestored(course_id=self.id, org_id=self.org_id), version=version)

    def run(self, kind: type[RunCreated] | type[RunUpdated], version: int, **fields: Any) -> Envelope:
        defaults: dict[str, Any] = {"starts_at": None, "ends_at": None, "pinned_revision": None}
        event = kind(run_id=self.run_id, course_id=self.id, org_id=self.org_id, **(defaults | fields))
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
    events = [
        course.run(RunCreated, 1),
        course.run(RunUpdated, 2, starts_at=START),
        course.published(1, 5),
        course.published(2, 7),
    ]
    await course.hear(*(events[each] for each in order))
    state = await course.state()
    assert (state.starts_at, state.revision, state.frozen_id) == (START, 2, course.frozen[2])


async def test_what_is_told_again_changes_nothing(hub: Hub) -> None:
    course = Course()
    first = course.run(RunCreated, 1)
    pinned = course.run(RunUpdated, 2, pinned_revision=1, pinned_frozen_id=course.frozen[1])
    await course.hear(first, pinned, course.published(3, 9), first, pinned)
    assert (await course.state()).frozen_id == course.frozen[1]
    # A snapshot wraps the same state in another envelope: not caught by the inbox, but by the version.
    again = course.run(RunUpdated, 1)
    await course.hear(again)
    state = await course.state()
    assert (state.revision, state.frozen_id) == (1, course.frozen[1])


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_archived_and_restored_end_at_the_newest_with_the_same_revision(hub: Hub, order: tuple[int, ...]) -> None:
    course = Course()
    events = [course.archived(3), course.restored(4), course.archived(6)]
    await course.hear(course.run(RunCreated, 1), course.published(1, 5), *(events[each] for each in order))
    state = await course.state()
    assert (state.archived, state.revision) == (True, 1)


async def test_a_course_that_came_without_an_outline_gets_one(hub: Hub) -> None:
    from api.learning.course.contract import CourseCreated

    course = Course()
    created = CourseCreated(course_id=course.id, org_id=course.org_id, default_run_id=course.run_id)
    await course.hear(envelope_of(created, version=1), envelope_of(created, version=1))
    async with read() as db:
        assert (
            await db.value("SELECT org_id FROM content.outlines WHERE course_id = $1", UUID(str(course.id)))
            == course.org_id
        )
