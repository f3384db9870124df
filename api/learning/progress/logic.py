"""Use cases of progress: complete a block, tell how far a learner is, and notice that they have finished."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from api.learning.content.contract import BlockId, ContentCalls, OutlineNotFound, RequiredBlock, RunOutline
from api.learning.course.contract import CourseCalls, CourseId, Run
from api.learning.enrollment.contract import EnrollmentCalls, EnrollmentId
from api.learning.progress import rules, store
from api.learning.progress.contract import (
    CompletionIsMeasured,
    NothingToComplete,
    ProgressCompleted,
    ProgressNotFound,
)
from api.learning.progress.rules import Done, Standing
from api.learning.progress.store import Completion, Learner
from cluster.base.ids import UserId
from cluster.base.principal import Principal
from cluster.base.problems import Unavailable
from cluster.data import Transaction, read, write
from cluster.events import emit
from cluster.people.access import permit, reach_of
from cluster.people.calls import client

_BATCH = 500


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a learner is, by what their run requires now."""

    learner: Learner
    revision: int | None
    """None: the run shows nothing."""
    required: tuple[RequiredBlock, ...]
    done: dict[BlockId, Done]

    @property
    def standing(self) -> Standing:
        return rules.standing(self.required, self.done)


async def claim(
    caller: Principal, enrollment_id: EnrollmentId, block_id: BlockId, *, occurred_at: datetime | None, now: datetime
) -> Completion:
    """Complete a block that completes by being opened or marked. The first time counts.

    Raises:
        ProgressNotFound, NothingToComplete, and the problems of `ContentCalls.may_open`
        CompletionIsMeasured: a film or a quiz cannot be claimed.
    """
    learner = await _permitted(caller, "completion:create", enrollment_id)
    block = await client(ContentCalls).may_open(learner.user_id, learner.run_id, block_id)
    if block.completes is None:
        raise NothingToComplete("complete the blocks in it", pointer="/block_id")
    if block.completes not in ("viewed", "marked"):
        raise CompletionIsMeasured(
            "a film completes when enough of it is watched: POST /v1/heartbeats", pointer="/block_id"
        )
    return await complete(caller, learner, block_id, block.version, at=rules.happened_at(occurred_at, now))


async def complete(
    caller: Principal, learner: Learner, block_id: BlockId, block_version: int, *, at: datetime
) -> Completion:
    """Note that a learner has done a block, and that they have finished when it was the last. Safe to repeat."""
    outline = await _outline(learner.run_id, learner.user_id)
    async with write(caller, result=learner.enrollment_id) as tx:
        held = await store.lock_learner(tx, learner)
        completion = await store.insert_completion(tx, held, block_id, block_version, at)
        await _finish_if_done(tx, held, outline)
    return completion


async def get_completion(caller: Principal, enrollment_id: EnrollmentId, block_id: BlockId) -> Completion:
    """Return what `claim` noted.

    Raises:
        ProgressNotFound
    """
    await _permitted(caller, "completion:create", enrollment_id)
    async with read() as db:
        return await store.get_completion(db, enrollment_id, block_id)


async def assess(caller: Principal, enrollment_id: EnrollmentId) -> None:
    """Note that a learner has finished, if they learn and have done all that is required now."""
    async with read() as db:
        learner = await store.find_learner(db, enrollment_id)
    if learner is None:
        return
    outline = await _outline(learner.run_id, learner.user_id)
    async with write(caller) as tx:
        await _finish_if_done(tx, await store.lock_learner(tx, learner), outline)


async def runs_to_reassess(course_id: UUID, revision: int) -> list[Run]:
    """Return the runs of a course, once content shows their learners the revisions that the course says.

    Raises:
        Unavailable: content has not heard of it yet; repeat it shortly.
    """
    runs = await client(CourseCalls).runs_of_course(CourseId(course_id))
    for run in runs:
        outline = await _outline(run.id, None)
        shown = 0 if outline is None else outline.revision
        if shown < revision if run.pinned_revision is None else shown != run.pinned_revision:
            raise Unavailable(f"run {run.id} still shows revision {shown}")
    return runs


async def find_finished(run_id: UUID, after: EnrollmentId | None) -> tuple[list[Learner], EnrollmentId | None]:
    """Look through a batch of a run's unfinished learners: return those who have done all, and where the next batch begins."""
    async with read() as db:
        learners = await store.list_unfinished(db, run_id, after=after, limit=_BATCH)
        done = await store.list_done(db, [each.enrollment_id for each in learners])
    outline = await _outline(run_id, None)
    required = () if outline is None else outline.required
    finished = [each for each in learners if rules.standing(required, done[each.enrollment_id]).finished]
    return finished, learners[-1].enrollment_id if len(learners) == _BATCH else None


async def get_progress(caller: Principal, enrollment_id: EnrollmentId) -> Progress:
    """Return the progress of an enrolment.

    Raises:
        ProgressNotFound
        Forbidden: the caller learns in the same run.
    """
    learner = await _permitted(caller, "progress:read", enrollment_id)
    return (await _progress([learner]))[0]


async def list_progress(
    caller: Principal,
    run_id: UUID,
    *,
    ids: list[EnrollmentId] | None,
    before: EnrollmentId | None,
    limit: int,
) -> list[Progress]:
    """List how far the learners of a run are, newest first."""
    reach = await reach_of(caller, "progress:read")
    async with read() as db:
        learners = await store.list_learners(db, reach, run_id, ids=ids, before=before, limit=limit)
    return await _progress(learners)


async def _progress(learners: Sequence[Learner]) -> list[Progress]:
    """Return the progress of learners of one run."""
    if not learners:
        return []
    outline = await _outline(learners[0].run_id, learners[0].user_id)
    async with read() as db:
        done = await store.list_done(db, [each.enrollment_id for each in learners])
    revision, required = (None, ()) if outline is None else (outline.revision, outline.required)
    return [Progress(each, revision, required, done[each.enrollment_id]) for each in learners]


async def _permitted(caller: Principal, permission: str, enrollment_id: EnrollmentId) -> Learner:
    learner = await find_learner(enrollment_id)
    return await permit(caller, permission, None if learner is None else store.guard(learner), missing=ProgressNotFound)


async def find_learner(enrollment_id: EnrollmentId) -> Learner | None:
    """Find who learns by an enrolment, also before enrollment's news has arrived."""
    async with read() as db:
        learner = await store.find_learner(db, enrollment_id)
    if learner is not None:
        return learner
    # Its event may still be on the way.
    enrollment = await client(EnrollmentCalls).find_enrollment(enrollment_id)
    if enrollment is None:
        return None
    return Learner(
        enrollment_id=enrollment.id,
        org_id=enrollment.org_id,
        course_id=enrollment.course_id,
        run_id=enrollment.run_id,
        user_id=enrollment.user_id,
        learns=enrollment.state in ("active", "completed"),
        enrollment_version=enrollment.version,
    )


async def _outline(run_id: UUID, user_id: UserId | None) -> RunOutline | None:
    """Return what a run requires of a person, of anybody for None; None when the run shows nothing."""
    try:
        return await client(ContentCalls).required_blocks(run_id, user_id or UserId(UUID(int=0)))
    except OutlineNotFound:
        return None


async def _finish_if_done(tx: Transaction, learner: Learner, outline: RunOutline | None) -> None:
    """Note and tell, once, that a learner has finished. Their row is held, so no other completion is overlooked.

    A learner who left or is suspended finishes when they are back: heartbeats from before are written later.
    """
    if not learner.learns or learner.completed_at is not None or outline is None:
        return
    done = await store.list_done(tx, [learner.enrollment_id])
    if not rules.standing(outline.required, done[learner.enrollment_id]).finished:
        return
    version = await store.update_finished(tx, learner.enrollment_id, outline.revision)
    if version is not None:
        emit(
            tx,
            ProgressCompleted(
                enrollment_id=learner.enrollment_id,
                org_id=learner.org_id,
                course_id=learner.course_id,
                run_id=learner.run_id,
                user_id=learner.user_id,
                revision=outline.revision,
            ),
            version=version,
        )
