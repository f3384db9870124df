"""Use cases of scores: staff enter, correct, excuse and withdraw them; learners see their own; each explains itself."""

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from api.learning.enrollment.contract import EnrollmentId
from api.learning.progress.contract import (
    ActivityProgress,
    Cause,
    GradingProgress,
    LearnerUnknown,
    LineItem,
    LineItemId,
    LineItemNotFound,
    ScoreId,
    ScoreInvalid,
    ScoreIsNotCurrent,
    ScoreNotFound,
)
from api.learning.progress.line_item import store as line_items
from api.learning.progress.line_item.rules import stored
from api.learning.progress.logic import find_learner
from api.learning.progress.score import posting, rules, store
from api.learning.progress.score.store import Score, Shown
from cluster.base.ids import new_id
from cluster.base.principal import Principal
from cluster.data import Transaction, read, write
from cluster.people.access import lacking, permitted, reach_of

_EXPLAINED = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What staff enter."""

    line_item_id: LineItemId
    enrollment_id: EnrollmentId
    excused: bool = False
    score_given: Decimal | None = None
    score_maximum: Decimal | None = None
    activity_progress: ActivityProgress = "Completed"
    grading_progress: GradingProgress = "FullyGraded"
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """A score, and all rows about the same learner and line item, newest first."""

    shown: Shown
    rows: list[Shown]
    names_graders: bool


async def enter(caller: Principal, entry: Entry) -> Shown:
    """Enter, correct or excuse a score: the newest counts, and the ones before stay in the history.

    Raises:
        LineItemNotFound, Forbidden
        LearnerUnknown: nobody learns in the run by this enrolment.
        ScoreInvalid: it is none that this line item takes.
    """
    item = await permitted(
        caller, "score:write", line_items.find_line_item, entry.line_item_id, missing=LineItemNotFound
    )
    learner = await find_learner(entry.enrollment_id)
    if learner is None or learner.run_id != item.run_id or not learner.learns:
        raise LearnerUnknown("GET /v1/progress?run_id= lists who learns there", pointer="/enrollment_id")
    score_id = ScoreId(new_id())
    async with write(caller, result=score_id, status=201) as tx:
        items = await store.lock_items(tx, [item.id])
        if item.id not in items:
            raise LineItemNotFound
        _check(entry, items[item.id])
        before = await store.lock_result(tx, item.id, entry.enrollment_id)
        given = None if entry.score_given is None else stored(entry.score_given)
        maximum = items[item.id].score_maximum if entry.score_maximum is None else stored(entry.score_maximum)
        cause: Cause = "excused" if entry.excused else "entered"
        if before is not None and before.state != "withdrawn" and not entry.excused:
            cause = "corrected"
        now = tx.now if before is None else max(tx.now, before.scored_at)
        score = Score(
            id=score_id,
            line_item_id=item.id,
            enrollment_id=entry.enrollment_id,
            org_id=item.org_id,
            course_id=item.course_id,
            run_id=item.run_id,
            user_id=learner.user_id,
            cause=cause,
            service=None,
            source_id=None,
            activity_progress=entry.activity_progress,
            grading_progress=entry.grading_progress,
            score_given=given,
            score_maximum=None if given is None else maximum,
            comment=entry.comment,
            posted_by=caller.id,
            scored_at=now,
            recorded_at=tx.now,
        )
        await _add(tx, score, items)
    return await get_score(caller, score_id)


async def withdraw(caller: Principal, score_id: ScoreId, comment: str | None) -> Shown:
    """Withdraw the score that counts; it stays in the history, and so does the withdrawal.

    Raises:
        ScoreIsNotCurrent: another one counts, or it is withdrawn.
    """
    score = (await permitted(caller, "score:write", store.find_score, score_id, missing=ScoreNotFound)).score
    withdrawal_id = ScoreId(new_id())
    async with write(caller, result=withdrawal_id) as tx:
        items = await store.lock_items(tx, [score.line_item_id])
        if score.line_item_id not in items:
            raise ScoreNotFound
        before = await store.lock_result(tx, score.line_item_id, score.enrollment_id)
        if before is None or before.score_id != score_id or before.state == "withdrawn":
            raise ScoreIsNotCurrent("GET /v1/line-items/{id}/scores shows which one counts: withdraw that")
        now = max(tx.now, before.scored_at)
        withdrawal = Score(
            id=withdrawal_id,
            line_item_id=score.line_item_id,
            enrollment_id=score.enrollment_id,
            org_id=score.org_id,
            course_id=score.course_id,
            run_id=score.run_id,
            user_id=score.user_id,
            cause="withdrawn",
            service=None,
            source_id=None,
            activity_progress=score.activity_progress,
            grading_progress=score.grading_progress,
            score_given=None,
            score_maximum=None,
            comment=comment,
            posted_by=caller.id,
            scored_at=now,
            recorded_at=tx.now,
        )
        await _add(tx, withdrawal, items)
    return await get_score(caller, withdrawal_id)


async def _add(tx: Transaction, score: Score, items: dict[LineItemId, LineItem]) -> None:
    await store.insert_scores(tx, [score])
    await posting.count(tx, [score], items)


def _check(entry: Entry, item: LineItem) -> None:
    if entry.excused:
        fault = None if entry.score_given is None else "who is excused has no score: send one of both"
    elif entry.score_given is None and entry.grading_progress == "FullyGraded":
        fault = "send a score, or excused: true"
    else:
        fault = rules.fault_of(entry.score_given, entry.score_maximum, item)
    if fault is not None:
        raise ScoreInvalid(fault, pointer="/score_given")


async def get_score(caller: Principal, score_id: ScoreId) -> Shown:
    """Return a score to the staff of its run, and to its learner while it counts and is released."""
    return await permitted(caller, "score:read", store.find_score, score_id, missing=ScoreNotFound)


async def list_own(
    caller: Principal, run_id: UUID, *, ids: list[ScoreId] | None, before: ScoreId | None, limit: int
) -> list[Shown]:
    """List the caller's own scores of a run that are released and count, newest first."""
    reach = await reach_of(caller, "score:read")
    async with read() as db:
        return await store.list_own(db, reach, run_id, ids=ids, before=before, limit=limit)


async def list_history(
    caller: Principal,
    line_item_id: LineItemId,
    *,
    enrollment_id: EnrollmentId | None,
    ids: list[ScoreId] | None,
    before: ScoreId | None,
    limit: int,
) -> list[Shown]:
    """List every score of a line item, newest first, for the staff of its run."""
    await permitted(caller, "line_item:read", line_items.find_line_item, line_item_id, missing=LineItemNotFound)
    async with read() as db:
        return await store.list_of_item(
            db, line_item_id, enrollment_id=enrollment_id, ids=ids, before=before, limit=limit
        )


async def explain(caller: Principal, score_id: ScoreId) -> Explanation:
    """Return where a score comes from. Its learner sees that row alone, the staff every row."""
    shown = await get_score(caller, score_id)
    is_staff = not await lacking(caller, ["line_item:read"], store.place(shown))
    if not is_staff:
        return Explanation(shown, [shown], names_graders=False)
    score = shown.score
    async with read() as db:
        rows = await store.list_of_item(
            db, score.line_item_id, enrollment_id=score.enrollment_id, ids=None, before=None, limit=_EXPLAINED
        )
    return Explanation(shown, rows, names_graders=True)
