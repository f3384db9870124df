"""What content hears of course: which revision a course shows, and when its runs start. In any order, each at least once."""

from api.learning.content import store as working
from api.learning.content.outline import store
from api.learning.course.contract import (
    CourseArchived,
    CourseCreated,
    CoursePublished,
    CourseRestored,
    RunCreated,
    RunEvent,
    RunUpdated,
)
from cluster.data import Transaction
from cluster.events import Envelope, on


@on(CourseCreated)
async def on_course_created(tx: Transaction, envelope: Envelope, event: CourseCreated) -> None:
    """Make the outline of a course that came without one: restored, or created while content was away."""
    await working.insert_outline(tx, event.course_id, event.org_id)


@on(CoursePublished)
async def on_course_published(tx: Transaction, envelope: Envelope, event: CoursePublished) -> None:
    await store.upsert_revision(
        tx,
        event.course_id,
        event.org_id,
        revision=event.revision,
        visibility=event.visibility,
        frozen_id=event.frozen_id,
        version=envelope.version,
    )


@on(CourseArchived)
async def on_course_archived(tx: Transaction, envelope: Envelope, event: CourseArchived) -> None:
    await store.upsert_archived(tx, event.course_id, event.org_id, archived=True, version=envelope.version)


@on(CourseRestored)
async def on_course_restored(tx: Transaction, envelope: Envelope, event: CourseRestored) -> None:
    await store.upsert_archived(tx, event.course_id, event.org_id, archived=False, version=envelope.version)


@on(RunCreated)
async def on_run_created(tx: Transaction, envelope: Envelope, event: RunCreated) -> None:
    await _remember(tx, envelope, event)


@on(RunUpdated)
async def on_run_updated(tx: Transaction, envelope: Envelope, event: RunUpdated) -> None:
    await _remember(tx, envelope, event)


async def _remember(tx: Transaction, envelope: Envelope, event: RunEvent) -> None:
    await store.upsert_run(
        tx,
        run_id=event.run_id,
        course_id=event.course_id,
        org_id=event.org_id,
        starts_at=event.starts_at,
        ends_at=event.ends_at,
        pinned_revision=event.pinned_revision,
        pinned_frozen_id=event.pinned_frozen_id,
        version=envelope.version,
    )
