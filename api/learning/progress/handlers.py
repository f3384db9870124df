"""What progress hears: who learns where, and that a course requires something else now."""

from api.learning.course.contract import CoursePublished, RunUpdated
from api.learning.enrollment.contract import (
    EnrollmentCancelled,
    EnrollmentCreated,
    EnrollmentEvent,
    EnrollmentReactivated,
    EnrollmentResumed,
    EnrollmentSuspended,
)
from api.learning.progress import store
from api.learning.progress.contract import Assess, Reassess
from api.learning.progress.store import Learner
from cluster.data import Transaction
from cluster.events import Envelope, on
from cluster.jobs import enqueue


@on(EnrollmentCreated)
async def on_enrollment_created(tx: Transaction, envelope: Envelope, event: EnrollmentCreated) -> None:
    await _remember(tx, envelope, event, learns=True)


@on(EnrollmentReactivated)
async def on_enrollment_reactivated(tx: Transaction, envelope: Envelope, event: EnrollmentReactivated) -> None:
    """Let in whoever came back; what is required may have become less while they were away."""
    await _remember(tx, envelope, event, learns=event.state in ("active", "completed"))
    enqueue(tx, Assess(enrollment_id=event.enrollment_id))


@on(EnrollmentResumed)
async def on_enrollment_resumed(tx: Transaction, envelope: Envelope, event: EnrollmentResumed) -> None:
    await _remember(tx, envelope, event, learns=True)
    enqueue(tx, Assess(enrollment_id=event.enrollment_id))


@on(EnrollmentCancelled)
async def on_enrollment_cancelled(tx: Transaction, envelope: Envelope, event: EnrollmentCancelled) -> None:
    await _remember(tx, envelope, event, learns=False)


@on(EnrollmentSuspended)
async def on_enrollment_suspended(tx: Transaction, envelope: Envelope, event: EnrollmentSuspended) -> None:
    await _remember(tx, envelope, event, learns=False)


@on(CoursePublished)
async def on_course_published(tx: Transaction, envelope: Envelope, event: CoursePublished) -> None:
    """Look for learners who have everything of the new revision."""
    enqueue(
        tx,
        Reassess(course_id=event.course_id, revision=event.revision),
        dedupe=f"reassess:{event.course_id}:{event.revision}",
    )


@on(RunUpdated)
async def on_run_updated(tx: Transaction, envelope: Envelope, event: RunUpdated) -> None:
    """Look for learners who have everything of the revision that the run was moved to."""
    enqueue(
        tx,
        Reassess(course_id=event.course_id, revision=0),
        dedupe=f"reassess:{event.course_id}:{event.run_id}:{envelope.version}",
    )


async def _remember(tx: Transaction, envelope: Envelope, event: EnrollmentEvent, *, learns: bool) -> None:
    await store.upsert_learner(
        tx,
        Learner(
            enrollment_id=event.enrollment_id,
            org_id=event.org_id,
            course_id=event.course_id,
            run_id=event.run_id,
            user_id=event.user_id,
            learns=learns,
            enrollment_version=envelope.version,
        ),
    )
