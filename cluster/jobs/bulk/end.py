"""Ends of a bulk: refused, broken, or without a job that would go on."""

from datetime import timedelta
from uuid import UUID

from cluster.base.principal import PLATFORM, Principal
from cluster.base.problems import Problem, Unavailable
from cluster.data import Transaction, read, write
from cluster.jobs import operations
from cluster.jobs.bulk import store
from cluster.jobs.bulk.declare import Bulk

UNDO_FOR = timedelta(days=30)
SWEPT_AT_ONCE = 100


def broken() -> Problem:
    """Return the problem of an operation that a fault of ours ended."""
    return Unavailable("something broke on our side; the report says what was done, send the other rows again")


async def report(tx: Transaction, operation_id: UUID) -> tuple[dict[str, int], str]:
    """Write the counts of the report into the operation; return them and the address of the report."""
    rows = await tx.rows(store.COUNT_LINES, operation_id=operation_id)
    counts: dict[str, int] = {row["state"]: row["count"] for row in rows}
    await operations.update_counts(tx, operation_id, counts)
    return counts, f"/v1/operations/{operation_id}/report"


async def refuse(caller: Principal, operation_id: UUID, problem: Problem) -> None:
    """End the present phase with a problem of the request. Rows of all_or_nothing that are done are taken back next."""
    async with write(caller) as tx:
        bulk = await tx.maybe(Bulk, store.LOCK_UNFINISHED, operation_id=operation_id)
        if bulk is None:
            return
        if bulk.phase == "apply" and bulk.all_or_nothing:
            await operations.note_problem(tx, operation_id, problem)
            await tx.run(store.UPDATE_BULK, bulk, phase="take_back", position=0)
        else:
            await _fail(tx, bulk, problem)


async def give_up(principal: Principal, operation_id: UUID, problem: Problem) -> None:
    """End a bulk whose job will not go on. Rows that are done stay, and can be undone."""
    async with write(principal) as tx:
        bulk = await tx.maybe(Bulk, store.LOCK_UNFINISHED, operation_id=operation_id)
        if bulk is not None:
            await _fail(tx, bulk, problem)


async def _fail(tx: Transaction, bulk: Bulk, problem: Problem) -> None:
    counts, report_url = await report(tx, bulk.operation_id)
    done = bulk.phase != "check" and (counts.get("created", 0) or counts.get("changed", 0))
    # An undo that failed may be repeated as long as the first one might have begun.
    undo_until = tx.now + UNDO_FOR if done and not bulk.undoing else None
    await tx.run(store.UPDATE_BULK, bulk, phase="over")
    await operations.fail(tx, bulk.operation_id, problem, report_url=report_url, undo_until=undo_until)


async def sweep() -> int:
    """Fail up to `SWEPT_AT_ONCE` operations whose job is dead or was cancelled, and return how many.

    Two sweeps at once do no harm.
    """
    async with read() as db:
        abandoned = await db.rows(store.LIST_ABANDONED, limit=SWEPT_AT_ONCE)
    for row in abandoned:
        await give_up(PLATFORM, row["operation_id"], broken())
    return len(abandoned)
