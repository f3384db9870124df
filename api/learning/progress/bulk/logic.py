"""Use cases of bulk: begin it, do a batch, take a batch back, and take the grade book out."""

import asyncio
import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from api.learning.enrollment.contract import EnrollmentId
from api.learning.progress.bulk import store
from api.learning.progress.bulk.rows import COLUMNS, ScoreRow, key_of
from api.learning.progress.bulk.store import Key
from api.learning.progress.contract import (
    BulkScore,
    LearnerUnknown,
    LineItem,
    LineItemId,
    LineItemNotFound,
    RunUnknown,
    ScoreId,
    ScoreInvalid,
    ScoreNotFound,
)
from api.learning.progress.grade_book import store as books
from api.learning.progress.line_item.logic import find_place, list_line_items
from api.learning.progress.line_item.rules import shown
from api.learning.progress.line_item.store import Place
from api.learning.progress.score import posting, rules
from api.learning.progress.score import store as scores
from api.learning.progress.score.store import Result, Score
from api.media.media.contract import AssetId, AssetNotFound, AssetNotReady, MediaCalls
from cluster.base.ids import OrgId, UserId, new_id
from cluster.base.principal import Principal
from cluster.base.problems import Problem
from cluster.data import Transaction, read, write
from cluster.jobs import bulk
from cluster.jobs.bulk import Apply, Bulk, BulkWork, ChangedSince, Line, Outcome, TakeBack
from cluster.jobs.tables import cell
from cluster.people.access import permit
from cluster.people.calls import client

PURPOSE = "scores"
_MOST_ITEMS = 1000


async def begin(
    caller: Principal,
    run_id: UUID,
    *,
    items: Sequence[ScoreRow] | None,
    asset_id: AssetId | None,
    all_or_nothing: bool,
    dry_run: bool,
) -> UUID:
    """Begin to enter many scores of a run, and return the id of the operation.

    Raises:
        RunUnknown, Forbidden
        AssetNotFound, AssetNotReady: the table is none that the caller uploaded for this, or is still being checked.
    """
    place = await _permitted(caller, "score:write", run_id)
    file = None if asset_id is None else await _file(caller, asset_id, place.org_id)
    operation_id = new_id()
    async with write(caller, result=operation_id, status=202) as tx:
        await bulk.start(
            tx,
            BulkScore,
            operation_id=operation_id,
            org_id=place.org_id,
            context={"run_id": str(run_id)},
            items=items,
            file=file,
            all_or_nothing=all_or_nothing,
            dry_run=dry_run,
        )
    return operation_id


async def _permitted(caller: Principal, permission: str, run_id: UUID) -> Place:
    place = await find_place(run_id)
    return await permit(caller, permission, None if place is None else place.guarded(), missing=RunUnknown)


async def _file(caller: Principal, asset_id: AssetId, org_id: OrgId) -> tuple[str, str]:
    asset = await client(MediaCalls).find_asset(asset_id)
    if asset is None or asset.org_id != org_id or asset.purpose != PURPOSE:
        raise AssetNotFound(f"upload the table with the purpose {PURPOSE} first", pointer="/asset_id")
    await permit(caller, "score:write", asset.guarded(), missing=AssetNotFound)
    if asset.state != "ready" or asset.object_key is None:
        raise AssetNotReady(f"the file is {asset.state}; wait until it is ready", pointer="/asset_id")
    return asset.bucket, asset.object_key


async def _plan(caller: Principal, bulk: Bulk, rows: Sequence[ScoreRow]) -> Apply:
    """Find who the rows name, and return what does the batch."""
    run_id = UUID(bulk.context["run_id"])
    await _permitted(caller, "score:write", run_id)
    async with read() as db:
        learning = await store.list_learning(db, run_id, [row.enrollment_id for row in rows])

    async def apply(tx: Transaction) -> list[Outcome]:
        held = await scores.lock_items(tx, [*{row.line_item_id for row in rows}])
        items = {id: item for id, item in held.items() if item.run_id == run_id}
        before = await store.lock_results(tx, [(row.line_item_id, row.enrollment_id) for row in rows])
        outcomes: list[Outcome] = []
        new: list[Score] = []
        for row in rows:
            item, user_id = items.get(row.line_item_id), learning.get(row.enrollment_id)
            now = before.get((row.line_item_id, row.enrollment_id))
            problem = _problem(row, item, user_id)
            if problem is not None or item is None or user_id is None:
                outcomes.append(Outcome(state="failed", user_id=user_id, problem=problem))
            elif _is_same(row, now, item):
                id = None if now is None else now.score_id
                outcomes.append(Outcome(state="unchanged", id=id, user_id=user_id))
            else:
                score = _score(tx, caller, row, item, user_id, now)
                new.append(score)
                outcomes.append(_outcome(score, now))
        await _add(tx, new, items)
        return outcomes

    return apply


def _problem(row: ScoreRow, item: LineItem | None, user_id: UserId | None) -> Problem | None:
    if item is None:
        return LineItemNotFound("GET /v1/line-items?run_id= lists those of the run", pointer="/line_item_id")
    if user_id is None:
        return LearnerUnknown("GET /v1/progress?run_id= lists who learns there", pointer="/enrollment_id")
    fault = rules.fault_of(row.score_given, None, item)
    return None if fault is None else ScoreInvalid(fault, pointer="/score_given")


def _is_same(row: ScoreRow, now: Result | None, item: LineItem) -> bool:
    """Tell whether a row changes nothing: an empty one never does."""
    if row.excused:
        return now is not None and now.state == "excused"
    if row.score_given is None:
        return True
    if now is None or now.state != "scored":
        return False
    return rules.result_of(now.score_given, now.score_maximum, item.score_maximum) == row.score_given


def _score(
    tx: Transaction, caller: Principal, row: ScoreRow, item: LineItem, user_id: UserId, now: Result | None
) -> Score:
    had = now is not None and now.state != "withdrawn"
    return Score(
        id=ScoreId(new_id()),
        line_item_id=item.id,
        enrollment_id=row.enrollment_id,
        org_id=item.org_id,
        course_id=item.course_id,
        run_id=item.run_id,
        user_id=user_id,
        cause="excused" if row.excused else "corrected" if had else "entered",
        service=None,
        source_id=None,
        activity_progress="Completed",
        grading_progress="FullyGraded",
        score_given=row.score_given,
        score_maximum=None if row.score_given is None else item.score_maximum,
        comment=row.comment,
        posted_by=caller.id,
        scored_at=tx.now if now is None else max(tx.now, now.scored_at),
        recorded_at=tx.now,
    )


def _outcome(score: Score, now: Result | None) -> Outcome:
    return Outcome(
        state="created" if now is None else "changed",
        id=score.id,
        user_id=score.user_id,
        before={"score_id": None if now is None else str(now.score_id)},
        after={
            "score_id": str(score.id),
            "line_item_id": str(score.line_item_id),
            "enrollment_id": str(score.enrollment_id),
        },
    )


async def _add(tx: Transaction, new: Sequence[Score], items: dict[LineItemId, LineItem]) -> None:
    if new:
        await scores.insert_scores(tx, new)
        await posting.count(tx, new, items)


async def _plan_back(caller: Principal, bulk: Bulk, lines: Sequence[Line]) -> TakeBack:
    """Return what undoes a batch: what counted before counts again, by new rows of the history."""
    await _permitted(caller, "score:write", UUID(bulk.context["run_id"]))

    async def take_back(tx: Transaction) -> dict[int, Problem]:
        items = await scores.lock_items(tx, [*{_key(line)[0] for line in lines}])
        now = await store.lock_results(tx, [_key(line) for line in lines])
        named = [UUID(each) for line in lines for each in (line.before["score_id"], line.after["score_id"]) if each]
        rows = await store.list_scores(tx, [ScoreId(each) for each in named])
        kept: dict[int, Problem] = {}
        new: list[Score] = []
        for line in lines:
            result = now.get(_key(line))
            mine = rows.get(ScoreId(UUID(line.after["score_id"])))
            if result is None or mine is None or result.line_item_id not in items:
                kept[line.row] = ScoreNotFound("it was deleted or erased since")
            elif result.score_id != mine.id:
                kept[line.row] = ChangedSince("another score counts now; change it by itself if it should not")
            else:
                before = line.before["score_id"]
                new.append(
                    _restored(tx, caller, result, mine, None if before is None else rows.get(ScoreId(UUID(before))))
                )
        await _add(tx, new, items)
        return kept

    return take_back


def _key(line: Line) -> Key:
    return LineItemId(UUID(line.after["line_item_id"])), EnrollmentId(UUID(line.after["enrollment_id"]))


def _restored(tx: Transaction, caller: Principal, result: Result, mine: Score, before: Score | None) -> Score:
    """Return a row that says what counted before; nothing did: a withdrawal."""
    restored = replace(
        before or replace(mine, cause="withdrawn", score_given=None, score_maximum=None, comment=None),
        id=ScoreId(new_id()),
        user_id=result.user_id,
        service=None,
        source_id=None,
        posted_by=caller.id,
        scored_at=max(tx.now, result.scored_at),
        recorded_at=tx.now,
    )
    if restored.cause in ("excused", "withdrawn"):
        return restored
    return replace(restored, cause="corrected")


async def write_table(caller: Principal, run_id: UUID, *, before: EnrollmentId | None, limit: int) -> str:
    """Return the scores of up to `limit` learners as a CSV table, those who enrolled last first; each has all line items.

    Raises:
        RunUnknown, Forbidden
    """
    await _permitted(caller, "line_item:read", run_id)
    items = await list_line_items(caller, run_id, ids=None, after=None, limit=_MOST_ITEMS)
    columns = [books.Column(id=each.id, score_maximum=each.score_maximum) for each in items]
    async with read() as db:
        rows = await books.list_rows(db, run_id, ids=None, before=before, limit=limit)
        cells = await books.list_cells(db, [row.enrollment_id for row in rows], columns)
    # Thousands of lines: other requests go on meanwhile.
    return await asyncio.to_thread(_table, items, rows, cells)


def _table(
    items: Sequence[LineItem], rows: Sequence[books.Row], cells: Mapping[EnrollmentId, Sequence[books.Cell]]
) -> str:
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(COLUMNS)
    for row in rows:
        given = {each.line_item_id: each for each in cells[row.enrollment_id]}
        for item in items:
            found = given.get(item.id)
            score = found.result_score if found is not None and found.state == "scored" else None
            excused = "true" if found is not None and found.state == "excused" else ""
            given_score = "" if score is None else shown(score)
            writer.writerow(
                [cell(each) for each in (item.id, item.label, row.enrollment_id, row.user_id, given_score, excused)]
            )
    return table.getvalue()


WORK = BulkWork(row=ScoreRow, key=key_of, plan=_plan, plan_back=_plan_back)
