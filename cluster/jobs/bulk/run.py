"""Work off a bulk, from where it stands to its end."""

import asyncio
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, BinaryIO
from uuid import UUID

from pydantic import BaseModel, ValidationError

from cluster.base.principal import Principal
from cluster.base.problems import FieldError, Invalid, Problem
from cluster.base.telemetry import trace_id
from cluster.base.validation import field_errors
from cluster.data import Transaction, read, write
from cluster.data.objects import Bucket, ObjectMissing
from cluster.jobs import operations
from cluster.jobs.bulk import end, store
from cluster.jobs.bulk.declare import Apply, Bulk, BulkWork, Line, Outcome, RowsRefused
from cluster.jobs.bulk.end import UNDO_FOR
from cluster.jobs.job_run import GiveUp, JobRun, LeaseLost
from cluster.jobs.tables import encoding_of, rows_of

BATCH_ROWS = 500
MAX_ROWS = 200_000


async def advance(run: JobRun, operation_id: UUID, work: BulkWork[Any]) -> None:
    """Take a bulk from where it stands to its end. Called by the service's job.

    Raises:
        Unavailable, OSError, asyncpg.PostgresError: the next attempt goes on behind the last batch that committed.
        GiveUp: the job has no caller; the platform, which may do everything, must not stand in for one.
    """
    try:
        if run.caller is None:
            raise GiveUp("rows are done in the name of the caller who sent them, and this job has none")
        await _advance(run, run.caller, operation_id, work)
    except Exception as error:
        if run.is_final(error) and not isinstance(error, LeaseLost):
            await end.give_up(run.principal, operation_id, end.broken())
        raise


async def _advance(run: JobRun, caller: Principal, operation_id: UUID, work: BulkWork[Any]) -> None:
    while (bulk := await _find(operation_id)) is not None and bulk.phase != "over":
        try:
            if bulk.phase == "take_back":
                await _take_back(run, caller, bulk, work)
            else:
                await _go_through(run, caller, bulk, work)
        except Problem as problem:
            # The request as a whole cannot go on: a right was taken away, or the place of its rows is gone.
            if problem.status >= 500:
                raise
            await end.refuse(caller, operation_id, problem)


async def _find(operation_id: UUID) -> Bulk | None:
    async with read() as db:
        return await db.maybe(Bulk, store.FIND_BULK, operation_id=operation_id)


async def _go_through(run: JobRun, caller: Principal, bulk: Bulk, work: BulkWork[Any]) -> None:
    """Check or apply the rows that are left, and move on to the next phase. A file is read from disk, batch by batch."""
    with tempfile.TemporaryFile() as file:
        rows, total = await _rows(bulk, work.row, file)
        position = bulk.position
        for _ in islice(rows, position):
            pass
        while batch := list(islice(rows, BATCH_ROWS)):
            if not await _do_batch(caller, bulk, work, position, batch, total):
                return
            position += len(batch)
            await run.extend()
    await _end_phase(caller, bulk, position)


async def _rows(bulk: Bulk, model: type[BaseModel], file: BinaryIO) -> tuple[Iterator[dict[str, Any]], int]:
    """Return the rows and their number. A table in S3 is copied into `file` first."""
    if bulk.items is not None:
        return iter(bulk.items), len(bulk.items)
    assert bulk.bucket is not None and bulk.object_key is not None  # noqa: PT018 (a constraint of the table)
    try:
        async for piece in Bucket(bulk.bucket).get(bulk.object_key):
            file.write(piece)
    except ObjectMissing:
        raise Invalid("the file was deleted; upload it again", pointer="/asset_id") from None
    encoding = await asyncio.to_thread(encoding_of, file)
    columns = frozenset(model.model_fields)
    required = frozenset(name for name, field in model.model_fields.items() if field.is_required())

    def rows() -> Iterator[dict[str, Any]]:
        return rows_of(file, encoding, columns=columns, required=required)

    total = await asyncio.to_thread(lambda: sum(1 for _ in rows()))
    if not 0 < total <= MAX_ROWS:
        raise Invalid(f"the table has {total} rows; send 1 to {MAX_ROWS}", pointer="/asset_id")
    return rows(), total


async def _do_batch(
    caller: Principal, bulk: Bulk, work: BulkWork[Any], position: int, batch: list[dict[str, Any]], total: int
) -> bool:
    """Do one batch, with its lines and the position, in one transaction. False: the bulk is elsewhere now, or cancelled."""
    rows = [_parsed(work, number, values) for number, values in enumerate(batch, position + 1)]
    await _refuse_twins(bulk, rows)
    good = [row for row in rows if row.outcome.state != "failed"]
    apply = await work.plan(caller, bulk, [row.row for row in good])
    async with write(caller) as tx:
        if await tx.maybe(Bulk, store.LOCK_BULK, bulk, position=position) is None:
            return False
        if await operations.progress(tx, bulk.operation_id, position, total=total):
            await _cancel(tx, bulk)
            return False
        for row, outcome in zip(good, await _applied(tx, bulk, apply), strict=True):
            row.outcome = outcome
        await _insert_lines(tx, bulk, rows)
        await tx.run(store.UPDATE_BULK, bulk, position=position + len(batch))
    return True


async def _cancel(tx: Transaction, bulk: Bulk) -> None:
    """Stop. Rows of all_or_nothing that are done are taken back first; others stay, and can be undone."""
    if bulk.phase == "apply" and bulk.all_or_nothing:
        await tx.run(store.UPDATE_BULK, bulk, phase="take_back", position=0)
        return
    undo_until = tx.now + UNDO_FOR if bulk.phase == "apply" else None
    _, report_url = await end.report(tx, bulk.operation_id)
    await tx.run(store.UPDATE_BULK, bulk, phase="over")
    await operations.cancelled(tx, bulk.operation_id, report_url=report_url, undo_until=undo_until)


@dataclass(slots=True)
class _Row:
    """A row of the batch at hand; `row` is nothing where it is not valid."""

    number: int
    key: str
    row: Any
    outcome: Outcome


def _parsed(work: BulkWork[Any], number: int, values: dict[str, Any]) -> _Row:
    try:
        row = work.row.model_validate(values)
    except ValidationError as error:
        problem = Invalid("mend the cells named here", errors=field_errors(error.errors()))
        return _Row(number, "", None, Outcome(state="failed", problem=problem))
    return _Row(number, work.key(row), row, Outcome(state="unchanged"))


async def _refuse_twins(bulk: Bulk, rows: Sequence[_Row]) -> None:
    """Fail each row whose key an earlier row has."""
    keys = [row.key for row in rows if row.key]
    async with read() as db:
        first = {found["key"]: found["row"] for found in await db.rows(store.LIST_KEYS, bulk, keys=keys)}
    for row in rows:
        if row.key and (earlier := first.setdefault(row.key, row.number)) != row.number:
            fault = FieldError("", "row-twice", f"take this row out: row {earlier} has the same key", {"row": earlier})
            row.outcome = Outcome(state="failed", problem=Invalid(fault.detail, errors=(fault,)))


class _OnlyChecked(Exception):
    """Undoes what a check did."""


async def _applied(tx: Transaction, bulk: Bulk, apply: Apply) -> Sequence[Outcome]:
    """Do the batch; a check undoes it again and keeps what would have become of it."""
    if bulk.phase == "apply":
        return await apply(tx)
    outcomes: Sequence[Outcome] = ()
    try:
        async with tx.savepoint():
            outcomes = await apply(tx)
            raise _OnlyChecked
    except _OnlyChecked:
        return outcomes


async def _insert_lines(tx: Transaction, bulk: Bulk, rows: Sequence[_Row]) -> None:
    outcomes = [row.outcome for row in rows]
    await tx.run(
        store.INSERT_LINES,
        operation_id=bulk.operation_id,
        org_id=bulk.org_id,
        user_ids=[outcome.user_id for outcome in outcomes],
        rows=[row.number for row in rows],
        keys=[row.key for row in rows],
        states=[outcome.state for outcome in outcomes],
        ids=[outcome.id for outcome in outcomes],
        problems=[None if each.problem is None else each.problem.document(trace_id()) for each in outcomes],
        states_before=[outcome.before for outcome in outcomes],
        states_after=[outcome.after for outcome in outcomes],
    )


async def _end_phase(caller: Principal, bulk: Bulk, position: int) -> None:
    """Go from check to apply, or finish the operation."""
    async with write(caller) as tx:
        if await tx.maybe(Bulk, store.LOCK_BULK, bulk, position=position) is None:
            return
        counts, report_url = await end.report(tx, bulk.operation_id)
        failed = counts.get("failed", 0)
        if bulk.phase == "check" and not bulk.dry_run and not failed:
            await tx.run(store.DELETE_LINES, bulk)
            await tx.run(store.UPDATE_BULK, bulk, phase="apply", position=0)
            return
        if bulk.phase == "apply" and bulk.all_or_nothing and failed:
            await operations.note_problem(tx, bulk.operation_id, _TAKEN_BACK)
            await tx.run(store.UPDATE_BULK, bulk, phase="take_back", position=0)
            return
        await tx.run(store.UPDATE_BULK, bulk, phase="over", position=position)
        if bulk.all_or_nothing and failed and not bulk.dry_run:
            problem = RowsRefused(f"mend the {failed} rows that the report names, then send all again")
            await operations.fail(tx, bulk.operation_id, problem, report_url=report_url)
        else:
            undo_until = None if bulk.dry_run else tx.now + UNDO_FOR
            await operations.succeed(tx, bulk.operation_id, undo_until=undo_until, report_url=report_url)


async def _take_back(run: JobRun, caller: Principal, bulk: Bulk, work: BulkWork[Any]) -> None:
    """Undo one batch of rows, the last ones first, or finish when there is none left."""
    async with read() as db:
        lines = await db.all(Line, store.LIST_DONE, operation_id=bulk.operation_id, limit=BATCH_ROWS)
    take_back = await work.plan_back(caller, bulk, lines) if lines else None
    async with write(caller) as tx:
        if await tx.maybe(Bulk, store.LOCK_BULK, bulk) is None:
            return
        if take_back is None:
            await _end_take_back(tx, bulk)
        elif bulk.undoing and await operations.progress(tx, bulk.operation_id, 0):
            await _cancel(tx, bulk)
        else:
            kept = await take_back(tx)
            problems = [kept[line.row].document(trace_id()) if line.row in kept else None for line in lines]
            await tx.run(store.UPDATE_LINES, bulk, rows=[line.row for line in lines], problems=problems)
            await tx.run(store.UPDATE_BULK, bulk, position=bulk.position + len(lines))
    await run.extend()


async def _end_take_back(tx: Transaction, bulk: Bulk) -> None:
    """Finish the undo, or the operation that was taken back by itself: cancelled, or failed with the problem noted then."""
    _, report_url = await end.report(tx, bulk.operation_id)
    await tx.run(store.UPDATE_BULK, bulk, phase="over")
    if bulk.undoing:
        await operations.undone(tx, bulk.operation_id)
    elif await operations.was_cancelled(tx, bulk.operation_id):
        await operations.cancelled(tx, bulk.operation_id, report_url=report_url)
    else:
        await operations.fail(tx, bulk.operation_id, _TAKEN_BACK, report_url=report_url)


_TAKEN_BACK = RowsRefused("a row failed that could be done when it was checked; the report names it. Send all again")
