"""What progress hears: enrolments, runs, and that a course requires something else now."""

from api.learning.content.contract import BlockJudged
from api.learning.course.contract import CoursePublished, RunChanged, RunUpdated
from api.learning.enrollment.contract import (
    EnrollmentChanged,
    EnrollmentCreated,
    EnrollmentReactivated,
    EnrollmentResumed,
)
from api.learning.progress import store
from api.learning.progress.contract import Assess, BeginTotals, Reassess
from api.learning.progress.line_item import store as line_items
from api.learning.progress.store import Learner
from api.learning.progress.totals import store as totals
from cluster.data import Transaction
from cluster.events import Envelope, on
from cluster.jobs import enqueue


@on(EnrollmentChanged, projects=True)
async def on_enrollment_changed(tx: Transaction, envelope: Envelope, event: EnrollmentChanged) -> None:
    await store.upsert_learner(
        tx,
        Learner(
            enrollment_id=event.enrollment_id,
            org_id=event.org_id,
            course_id=event.course_id,
            run_id=event.run_id,
            user_id=event.user_id,
            learns=event.state in ("active", "completed"),
            enrollment_version=envelope.version,
        ),
    )


@on(RunChanged, projects=True)
async def on_run_changed(tx: Transaction, envelope: Envelope, event: RunChanged) -> None:
    place = line_items.Place(run_id=event.run_id, org_id=event.org_id, course_id=event.course_id)
    await line_items.upsert_run(tx, place, envelope.version)


@on(EnrollmentCreated)
async def on_enrollment_created(tx: Transaction, envelope: Envelope, event: EnrollmentCreated) -> None:
    """Give a new learner totals, by a job: here the rows of several learners would be held in any order."""
    if await totals.find_scheme(tx, event.run_id) is not None:
        enqueue(tx, BeginTotals(enrollment_id=event.enrollment_id))


@on(EnrollmentReactivated)
async def on_enrollment_reactivated(tx: Transaction, envelope: Envelope, event: EnrollmentReactivated) -> None:
    """Look whether a learner who came back is done: less may be required than when they left."""
    enqueue(tx, Assess(enrollment_id=event.enrollment_id))


@on(EnrollmentResumed)
async def on_enrollment_resumed(tx: Transaction, envelope: Envelope, event: EnrollmentResumed) -> None:
    """Look whether a learner who was let in again is done."""
    enqueue(tx, Assess(enrollment_id=event.enrollment_id))


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


@on(BlockJudged)
async def on_block_judged(tx: Transaction, envelope: Envelope, event: BlockJudged) -> None:
    """Look for learners who have everything but the block that a moderator removed."""
    if event.removed:
        enqueue(
            tx,
            Reassess(course_id=event.course_id, revision=0),
            dedupe=f"reassess:{event.course_id}:{event.block_id}:{envelope.version}",
        )
