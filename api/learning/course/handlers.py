"""What course hears: its outline changed, learners came and went, and moderators decided."""

from api.learning.content.contract import OutlineChanged
from api.learning.course import store
from api.learning.course.catalog import store as catalog
from api.learning.course.catalog.kept import forget_after
from api.learning.course.contract import CourseId
from api.learning.course.following.logic import tell_followers
from api.learning.course.moderated.logic import follow_decision, follow_decision_of_run
from api.learning.course.rules import MODERATED_KIND, MODERATED_RUN
from api.learning.enrollment.contract import EnrollmentChanged
from api.platform.moderation.contract import Decided
from cluster.data import Transaction
from cluster.events import Envelope, on


@on(OutlineChanged, projects=True)
async def on_outline_changed(tx: Transaction, envelope: Envelope, event: OutlineChanged) -> None:
    """Show that the working copy differs from what is published, and tell its followers."""
    course_id = CourseId(event.course_id)
    if await store.update_outline_version(tx, course_id, event.outline_version):
        await tell_followers(tx, course_id)


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


@on(Decided)
async def on_decided(tx: Transaction, envelope: Envelope, event: Decided) -> None:
    """Remove or lock a course that a moderator judged, or hide the title of a run, or undo that."""
    if event.kind == MODERATED_KIND:
        await follow_decision(tx, event, envelope.version)
    elif event.kind == MODERATED_RUN:
        await follow_decision_of_run(tx, event, envelope.version)
