"""What course hears: its outline changed, and learners came and went."""

from api.learning.content.contract import OutlineChanged
from api.learning.course import store
from api.learning.course.catalog import store as catalog
from api.learning.course.contract import CourseId
from api.learning.enrollment.contract import (
    EnrollmentCancelled,
    EnrollmentCreated,
    EnrollmentEvent,
    EnrollmentReactivated,
)
from cluster.data import Transaction
from cluster.events import Envelope, on


@on(OutlineChanged)
async def on_outline_changed(tx: Transaction, envelope: Envelope, event: OutlineChanged) -> None:
    """Show that the working copy differs from what is published."""
    await store.update_outline_version(tx, CourseId(event.course_id), event.outline_version)


@on(EnrollmentCreated)
async def on_enrollment_created(tx: Transaction, envelope: Envelope, event: EnrollmentCreated) -> None:
    await _count(tx, envelope, event, active=True)


@on(EnrollmentReactivated)
async def on_enrollment_reactivated(tx: Transaction, envelope: Envelope, event: EnrollmentReactivated) -> None:
    await _count(tx, envelope, event, active=True)


@on(EnrollmentCancelled)
async def on_enrollment_cancelled(tx: Transaction, envelope: Envelope, event: EnrollmentCancelled) -> None:
    await _count(tx, envelope, event, active=False)


async def _count(
    tx: Transaction,
    envelope: Envelope,
    event: EnrollmentEvent,
    *,
    active: bool,
) -> None:
    await catalog.count_learner(
        tx, CourseId(event.course_id), event.enrollment_id, active=active, version=envelope.version
    )
