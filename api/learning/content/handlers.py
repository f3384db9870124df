"""What content hears of course: which revision a course shows, and when its runs start. In any order, each at least once."""

from api.learning.content import store as working
from api.learning.content.outline import store
from api.learning.course.contract import CourseChanged, RunChanged
from cluster.data import Transaction
from cluster.events import Envelope, on


@on(CourseChanged, projects=True)
async def on_course_changed(tx: Transaction, envelope: Envelope, event: CourseChanged) -> None:
    """Remember the course, and make its outline if it came without one: restored, or created while content was away."""
    await working.insert_outline(tx, event.course_id, event.org_id)
    await store.upsert_course(
        tx,
        event.course_id,
        event.org_id,
        revision=event.revision,
        frozen_id=event.frozen_id,
        visibility=event.visibility,
        archived=event.archived,
        version=envelope.version,
    )


@on(RunChanged, projects=True)
async def on_run_changed(tx: Transaction, envelope: Envelope, event: RunChanged) -> None:
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
