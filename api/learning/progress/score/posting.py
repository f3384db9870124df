"""Post scores: into the history, and onto the results that they change."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from uuid import UUID

from api.learning.enrollment.contract import EnrollmentCalls, EnrollmentId
from api.learning.progress.contract import (
    LineItem,
    LineItemId,
    NewScore,
    Outcome,
    PostedScore,
    ReleaseScores,
    ResultState,
    ScoreEvent,
    ScoreId,
    ScoreInvalid,
    ScorePosted,
    ScoreReleased,
    ScoreWithdrawn,
)
from api.learning.progress.line_item.rules import stored
from api.learning.progress.score import rules, store
from api.learning.progress.score.rules import Dated
from api.learning.progress.score.store import Result, Score
from api.learning.progress.totals.logic import scores_changed
from api.learning.progress.totals.store import Place
from cluster.base.ids import UserId, new_id
from cluster.base.principal import Principal
from cluster.data import Transaction, read, write
from cluster.events import emit
from cluster.jobs import enqueue
from cluster.people.calls import client


async def post_scores(caller: Principal, service: str, scores: Sequence[NewScore]) -> list[PostedScore]:
    """Post a batch of a service; see `ProgressCalls.post_scores`."""
    if len(scores) > rules.MOST_AT_ONCE:
        raise ScoreInvalid(f"post {rules.MOST_AT_ONCE} scores at once at most", pointer="/scores")
    async with read() as db:
        items = await store.list_items(db, [*{each.line_item_id for each in scores}])
        earlier = await store.list_of_sources(db, service, [each.source_id for each in scores])
    items = {id: item for id, item in items.items() if item.service == service}
    faults = rules.faults((each, items.get(each.line_item_id)) for each in scores)
    if faults:
        raise ScoreInvalid("correct the rows that are named; nothing was posted", errors=faults)
    people = [(items[each.line_item_id].run_id, each.user_id) for each in scores if each.line_item_id in items]
    learning = await _learning(people)
    batch = [
        _row(each, service, items[each.line_item_id], learning)
        if each.source_id not in earlier and each.line_item_id in items
        else None
        for each in scores
    ]
    rows = {row.source_id: row for row in reversed(batch) if row is not None}
    posted: dict[UUID, tuple[Outcome, ScoreId]] = {}
    if rows:
        posted = await _write(caller, service, list(reversed(rows.values())))
    return [_outcome(each, items, earlier, posted) for each in scores]


def _outcome(
    score: NewScore,
    items: dict[LineItemId, LineItem],
    earlier: dict[UUID, ScoreId],
    posted: dict[UUID, tuple[Outcome, ScoreId]],
) -> PostedScore:
    if score.source_id in earlier:
        return PostedScore(outcome="repeated", score_id=earlier[score.source_id])
    if score.line_item_id not in items:
        return PostedScore(outcome="no_line_item")
    found = posted.get(score.source_id)
    if found is None:
        return PostedScore(outcome="unknown_learner")
    # The same source once more in this batch is a repetition of the first.
    earlier[score.source_id] = found[1]
    return PostedScore(outcome=found[0], score_id=found[1])


async def _learning(people: Sequence[tuple[UUID, UserId]]) -> dict[tuple[UUID, UserId], EnrollmentId]:
    wanted = list(dict.fromkeys(people))
    async with read() as db:
        found = await store.list_learning(db, wanted)
    for run_id, user_id in wanted:
        if (run_id, user_id) not in found:
            # Their event may still be on the way.
            enrollment = await client(EnrollmentCalls).find_in_run(user_id, run_id)
            if enrollment is not None and enrollment.state in ("active", "completed"):
                found[run_id, user_id] = enrollment.id
    return found


def _row(
    score: NewScore, service: str, item: LineItem, learning: dict[tuple[UUID, UserId], EnrollmentId]
) -> Score | None:
    enrollment_id = learning.get((item.run_id, score.user_id))
    if enrollment_id is None:
        return None
    return Score(
        id=ScoreId(new_id()),
        line_item_id=item.id,
        enrollment_id=enrollment_id,
        org_id=item.org_id,
        course_id=item.course_id,
        run_id=item.run_id,
        user_id=score.user_id,
        cause="posted",
        service=service,
        source_id=score.source_id,
        activity_progress=score.activity_progress,
        grading_progress=score.grading_progress,
        score_given=None if score.score_given is None else stored(score.score_given),
        score_maximum=_maximum(score, item),
        comment=score.comment,
        posted_by=None,
        scored_at=score.scored_at,
        recorded_at=score.scored_at,
    )


def _maximum(score: NewScore, item: LineItem) -> Decimal | None:
    if score.score_given is None:
        return None
    return item.score_maximum if score.score_maximum is None else stored(score.score_maximum)


async def _write(caller: Principal, service: str, rows: Sequence[Score]) -> dict[UUID, tuple[Outcome, ScoreId]]:
    """Write a batch; return what became of each source."""
    async with write(caller) as tx:
        items = await store.lock_items(tx, [*{each.line_item_id for each in rows}])
        # One that was deleted meanwhile takes no more scores.
        rows = [each for each in rows if each.line_item_id in items]
        new = await store.insert_scores(tx, rows)
        again = [each for each in rows if each.id not in new]
        first: dict[UUID, ScoreId] = {}
        if again:
            first = await store.list_of_sources(tx, service, [each.source_id for each in again if each.source_id])
        current = await count(tx, [each for each in rows if each.id in new], items)
    found: dict[UUID, tuple[Outcome, ScoreId]] = {}
    for each in rows:
        assert each.source_id is not None, "services name what a score was made of"
        if each.id not in new:
            found[each.source_id] = "repeated", first[each.source_id]
        else:
            found[each.source_id] = "posted" if each.id in current else "stale", each.id
    return found


async def count(tx: Transaction, scores: Sequence[Score], items: dict[LineItemId, LineItem]) -> set[ScoreId]:
    """Let new rows of the history count unless a later one does, tell it, and return which of them count."""
    if not scores:
        return set()
    newest = rules.newest(
        Dated(each.id, each.line_item_id, each.enrollment_id, min(each.scored_at, tx.now)) for each in scores
    )
    counting: list[tuple[Score, ResultState, bool]] = []
    for each in scores:
        if each.id in newest:
            made = rules.state_of(each.cause, each.score_given, each.grading_progress)
            told = items[each.line_item_id].released and made in rules.VISIBLE
            counting.append((replace(each, scored_at=min(each.scored_at, tx.now)), made, told))
    results = await store.upsert_results(tx, counting)
    for result in results:
        if result.state == "withdrawn":
            _tell(tx, ScoreWithdrawn, result)
        else:
            _tell(tx, ScorePosted, result)
        if items[result.line_item_id].released and result.state in rules.VISIBLE:
            _tell(tx, ScoreReleased, result)
    await scores_changed(tx, [_place(result) for result in results])
    return {result.score_id for result in results}


def _place(result: Result) -> Place:
    return Place(
        enrollment_id=result.enrollment_id,
        org_id=result.org_id,
        course_id=result.course_id,
        run_id=result.run_id,
        user_id=result.user_id,
    )


async def release(platform: Principal, line_item_id: LineItemId) -> bool:
    """Tell some learners of their scores of a released line item; return whether there may be more."""
    async with write(platform) as tx:
        items = await store.lock_items(tx, [line_item_id])
        item = items.get(line_item_id)
        if item is None or not item.released:
            return False
        told = await store.update_told(tx, line_item_id, rules.MOST_AT_ONCE)
        for result in told:
            _tell(tx, ScoreReleased, result)
    return len(told) == rules.MOST_AT_ONCE


def release_later(tx: Transaction, line_item_id: LineItemId) -> None:
    """Have learners told of their scores of a line item that is released now."""
    enqueue(tx, ReleaseScores(line_item_id=line_item_id), dedupe=f"release:{line_item_id}")


def _tell(tx: Transaction, kind: type[ScoreEvent], result: Result) -> None:
    told = kind(
        result_id=result.id,
        score_id=result.score_id,
        line_item_id=result.line_item_id,
        enrollment_id=result.enrollment_id,
        org_id=result.org_id,
        course_id=result.course_id,
        run_id=result.run_id,
        user_id=result.user_id,
        state=result.state,
        score_given=result.score_given,
        score_maximum=result.score_maximum,
    )
    emit(tx, told, version=result.version)
