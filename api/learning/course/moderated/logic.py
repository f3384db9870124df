"""What becomes of a course or a run by a moderator's decision."""

from typing import Literal

from api.learning.course.contract import CourseArchived, CourseId, CourseRestored, PublishAt, RunId
from api.learning.course.logic import tell_state
from api.learning.course.moderated import store
from api.learning.course.run.logic import tell_state as tell_state_of_run
from api.platform.moderation.contract import Decided
from cluster.data import Transaction
from cluster.events import emit
from cluster.jobs import cancel_jobs


async def follow_decision(tx: Transaction, event: Decided, version: int) -> None:
    """Make what is in force so: remove, lock, or neither. An older decision changes nothing."""
    course_id = CourseId(event.thing_id)
    present = await store.lock_newer(tx, course_id, version)
    if present is None:
        return
    wanted: Literal["locked", "removed"] | None = None
    if "remove" in event.in_force:
        wanted = "removed"
    elif "lock" in event.in_force:
        wanted = "locked"
    if present == (wanted,):
        await store.update_version(tx, course_id, version)
        return
    course = await store.update_moderated(tx, course_id, wanted, version)
    if wanted is not None:
        cancel_jobs(tx, PublishAt, PublishAt.dedupe(course_id))
    await tell_state(tx, course_id)
    if wanted == "removed":
        emit(tx, CourseArchived(course_id=course_id, org_id=course.org_id), version=course.version)
    elif present == ("removed",) and course.archived_at is None:
        emit(tx, CourseRestored(course_id=course_id, org_id=course.org_id), version=course.version)


async def follow_decision_of_run(tx: Transaction, event: Decided, version: int) -> None:
    """Hide the title of a run, or show it again. An older decision changes nothing."""
    run_id = RunId(event.thing_id)
    if await store.update_moderated_run(tx, run_id, removed="remove" in event.in_force, version=version):
        await tell_state_of_run(tx, run_id)
