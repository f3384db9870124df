"""What course hears: its outline changed, and learners came and went."""

from api.learning.content.contract import OutlineChanged
from api.learning.course import store
from api.learning.course.catalog import store as catalog
from api.learning.course.catalog.kept import forget_after
from api.learning.course.contract import CourseId
from api.learning.enrollment.contract import EnrollmentChanged
from cluster.data import Transaction
from cluster.events import Envelope, on


@on(OutlineChanged, projects=True)
async def on_outline_changed(tx: Transaction, envelope: Envelope, event: OutlineChanged) -> None:
    """Show that the working copy differs from what is published."""
    await store.update_outline_version(tx, CourseId(event.course_id), event.outline_version)


@on(EnrollmentChanged, projects=True)
async def on_enrollment_changed(tx: Transaction, envelope: Envelope, event: EnrollmentChanged) -> None:
    """Count everybody who has not left: a suspended learner keeps the seat."""
    await catalog.count_learner(
        tx,
        CourseId(event.course_id),
        event.enrollment_id,
        active=event.state != "cancelled",
        version=envelope.version,
    )
    forget_after(tx)
