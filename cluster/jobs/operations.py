"""Operations: long work that a request answered with 202 and `Location: /v1/operations/{id}`.

Work on one calls `progress` now and then, which tells when somebody asked to cancel. An operation that is undone runs again,
backwards: its state then says how the undo ended.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import asyncpg

from cluster.base.ids import OrgId, UserId, new_id
from cluster.base.problems import Conflict, Problem
from cluster.base.telemetry import trace_id
from cluster.data import Connection, Transaction, uses
from cluster.data.uses import Ref
from cluster.signals.rooms import tell

TOPIC = "operation"
State = Literal["queued", "running", "succeeded", "failed", "cancelled"]


class OperationFinished(Conflict):
    title = "The operation is finished"


@dataclass(frozen=True, slots=True)
class Progress:
    done: int
    total: int | None


@dataclass(frozen=True, slots=True)
class Operation:
    """A long-running operation."""

    id: UUID
    kind: str
    state: State
    progress: Progress
    counts: dict[str, int]
    result_url: str | None
    report_url: str | None
    undo_until: datetime | None
    problem: dict[str, Any] | None
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class OwnedOperation:
    """An operation and whose it is: what `Guarded` needs."""

    operation: Operation
    owner_id: UserId | None
    org_id: OrgId | None
    cancel_requested: bool
    version: int


_COLUMNS = """id, kind, state, done, total, counts, result_url, report_url, undo_until, problem, owner_id, org_id,
    cancel_requested_at, created_at, finished_at, version"""
START = """
INSERT INTO hub.operations (id, kind, total, owner_id, org_id, created_at) VALUES ($1, $2, $3, $4, $5, $6)
"""
PROGRESS = """
UPDATE hub.operations
SET state = 'running', done = greatest(done, $2), total = coalesce($3, total), counts = counts || $4, version = version + 1
WHERE id = $1 AND state IN ('queued', 'running') RETURNING cancel_requested_at IS NOT NULL AS is_cancelled, version
"""
FINISH = """
UPDATE hub.operations SET state = $2, finished_at = $3, counts = counts || $4, result_url = $5, report_url = $6,
    undo_until = coalesce($7, undo_until), problem = coalesce(problem, $8),
    done = CASE WHEN $2 = 'succeeded' THEN coalesce(total, done) ELSE done END, version = version + 1
WHERE id = $1 AND state IN ('queued', 'running') RETURNING version
"""
# With `undo_until`, which a first run lacks until it ends: that tells an undo from it.
REOPEN = """
UPDATE hub.operations SET state = 'running', finished_at = NULL, problem = NULL, cancel_requested_at = NULL, version = version + 1
WHERE id = $1 AND undo_until IS NOT NULL AND state NOT IN ('queued', 'running') RETURNING version
"""
UNDONE = """
UPDATE hub.operations SET state = 'succeeded', finished_at = $2, undo_until = NULL, version = version + 1
WHERE id = $1 AND state = 'running' RETURNING version
"""
COUNTS = "UPDATE hub.operations SET counts = $2, version = version + 1 WHERE id = $1 RETURNING version"
NOTE_PROBLEM = """
UPDATE hub.operations SET problem = $2, version = version + 1
WHERE id = $1 AND state IN ('queued', 'running') AND problem IS NULL RETURNING version
"""
REQUEST_CANCEL = """
UPDATE hub.operations SET cancel_requested_at = coalesce(cancel_requested_at, $2), version = version + 1
WHERE id = $1 AND state IN ('queued', 'running') RETURNING version
"""
FIND = f"SELECT {_COLUMNS} FROM hub.operations WHERE id = $1"  # noqa: S608 (constant columns)
# An operation lets go of its result.
PURGE = """
WITH gone AS (
    DELETE FROM hub.operations WHERE id = ANY(ARRAY(
        SELECT id FROM hub.operations WHERE finished_at < now() - interval '30 days' ORDER BY finished_at LIMIT 10000
    )) RETURNING id
), dropped AS (
    DELETE FROM hub.uses WHERE by_kind = 'operation' AND by_id = ANY(ARRAY(SELECT id FROM gone)) RETURNING kind, id
), idle AS (
    UPDATE hub.things SET idle_since = now() FROM dropped WHERE things.kind = dropped.kind AND things.id = dropped.id
)
SELECT count(*) FROM gone
"""


async def start(
    tx: Transaction,
    kind: str,
    *,
    owner_id: UserId | None,
    org_id: OrgId | None = None,
    total: int | None = None,
    id: UUID | None = None,
) -> UUID:
    """Create a queued operation in the transaction that also enqueues its work, and return its id."""
    operation_id = id or new_id()
    await tx.run(START, operation_id, kind, total, owner_id, org_id, tx.now)
    return operation_id


async def progress(
    tx: Transaction, id: UUID, done: int, *, total: int | None = None, counts: dict[str, int] | None = None
) -> bool:
    """Say how far the work is, and return whether it should stop: somebody cancelled, or it is finished already.

    `done` never goes back: a repeated job may start over.
    """
    rows = await tx.rows(PROGRESS, id, done, total, counts or {})
    if not rows:
        return True
    tell(tx, TOPIC, id, rows[0]["version"])
    return rows[0]["is_cancelled"]


async def succeed(
    tx: Transaction,
    id: UUID,
    *,
    result_url: str | None = None,
    result_asset: UUID | None = None,
    report_url: str | None = None,
    counts: dict[str, int] | None = None,
    undo_until: datetime | None = None,
) -> bool:
    """Finish an operation; return False, and change nothing, when it is finished already.

    `result_asset`: the result is this file, which the operation uses as long as it is kept.

    Raises:
        ThingGone: the file is deleted, or of another organization than the operation.
    """
    if result_asset is not None:
        result_url = f"/v1/assets/{result_asset}"
    args = (id, "succeeded", tx.now, counts or {}, result_url, report_url, undo_until, None)
    if not await _changed(tx, id, FINISH, *args):
        return False
    if result_asset is not None:
        org_id = await tx.value("SELECT org_id FROM hub.operations WHERE id = $1", id)
        await uses.use(tx, by=Ref("operation", id), org_id=org_id, things=[Ref("asset", result_asset)])
    return True


async def fail(
    tx: Transaction,
    id: UUID,
    problem: Problem,
    *,
    report_url: str | None = None,
    counts: dict[str, int] | None = None,
    undo_until: datetime | None = None,
) -> bool:
    """Finish an operation with what went wrong, or with what was noted before; return False when it is finished already."""
    args = (id, "failed", tx.now, counts or {}, None, report_url, undo_until, problem.document(trace_id()))
    return await _changed(tx, id, FINISH, *args)


async def cancelled(
    tx: Transaction,
    id: UUID,
    *,
    report_url: str | None = None,
    counts: dict[str, int] | None = None,
    undo_until: datetime | None = None,
) -> bool:
    """Finish an operation whose work stopped because somebody asked to; return False when it is finished already."""
    args = (id, "cancelled", tx.now, counts or {}, None, report_url, undo_until, None)
    return await _changed(tx, id, FINISH, *args)


async def request_cancel(tx: Transaction, id: UUID) -> None:
    """Ask the work to stop; it sees that at its next `progress`.

    Raises:
        OperationFinished: there is nothing to stop.
    """
    if not await _changed(tx, id, REQUEST_CANCEL, id, tx.now):
        raise OperationFinished("it ended before it could be cancelled; read it to see how")


WAS_CANCELLED = "SELECT cancel_requested_at IS NOT NULL AND problem IS NULL FROM hub.operations WHERE id = $1"


async def was_cancelled(db: Connection, id: UUID) -> bool:
    """Tell whether the work stopped because somebody asked to, and not by a problem."""
    return bool(await db.value(WAS_CANCELLED, id))


async def note_problem(tx: Transaction, id: UUID, problem: Problem) -> None:
    """Keep what went wrong while work is taken back, for `fail` at its end; the first problem stays."""
    await _changed(tx, id, NOTE_PROBLEM, id, problem.document(trace_id()))


async def update_counts(tx: Transaction, id: UUID, counts: dict[str, int]) -> None:
    """Replace the counts."""
    await _changed(tx, id, COUNTS, id, counts)


async def reopen(tx: Transaction, id: UUID) -> None:
    """Have a finished operation run again, to undo it. `fail` and `cancelled` keep its `undo_until`: the undo may be repeated."""
    await _changed(tx, id, REOPEN, id)


async def undone(tx: Transaction, id: UUID) -> None:
    """Finish an undo; the operation cannot be undone a second time."""
    await _changed(tx, id, UNDONE, id, tx.now)


async def _changed(tx: Transaction, id: UUID, sql: str, *args: object) -> bool:
    """Change an operation, tell its followers, and return whether there was one to change."""
    version = await tx.value(sql, *args)
    if version is not None:
        tell(tx, TOPIC, id, version)
    return version is not None


async def get_operation(db: Connection, id: UUID) -> Operation:
    """Return an operation that exists."""
    owned = await find_operation(db, id)
    if owned is None:
        raise LookupError(f"no operation {id}")
    return owned.operation


async def find_operation(db: Connection, id: UUID) -> OwnedOperation | None:
    rows = await db.rows(FIND, id)
    return _owned(rows[0]) if rows else None


def _owned(row: asyncpg.Record) -> OwnedOperation:
    operation = Operation(
        id=row["id"],
        kind=row["kind"],
        state=row["state"],
        progress=Progress(row["done"], row["total"]),
        counts=row["counts"],
        result_url=row["result_url"],
        report_url=row["report_url"],
        undo_until=row["undo_until"],
        problem=row["problem"],
        created_at=row["created_at"],
        finished_at=row["finished_at"],
    )
    return OwnedOperation(
        operation, row["owner_id"], row["org_id"], row["cancel_requested_at"] is not None, row["version"]
    )


LIST = f"SELECT {_COLUMNS} FROM hub.operations WHERE id = ANY($1::uuid[]) LIMIT 1000"  # noqa: S608 (constant columns)


async def list_operations(db: Connection, ids: list[UUID]) -> list[OwnedOperation]:
    """Return those of these operations that exist, at most 1,000."""
    return [_owned(row) for row in await db.rows(LIST, ids)]


LIST_OF = f"""
SELECT {_COLUMNS} FROM hub.operations
WHERE ($1 OR owner_id = $2 OR org_id = ANY($3::uuid[])) AND ($4::uuid[] IS NULL OR id = ANY($4))
    AND ($5::text[] IS NULL OR state = ANY($5)) AND ($6::uuid IS NULL OR id < $6)
ORDER BY id DESC LIMIT $7
"""  # noqa: S608 (constant columns)


async def list_of(
    db: Connection,
    *,
    everywhere: bool,
    owner_id: UserId | None,
    org_ids: tuple[UUID, ...],
    ids: list[UUID] | None,
    states: list[State] | None,
    before: UUID | None,
    limit: int,
) -> list[OwnedOperation]:
    """List the operations of a person and of organizations, newest first."""
    return [
        _owned(row) for row in await db.rows(LIST_OF, everywhere, owner_id, list(org_ids), ids, states, before, limit)
    ]


async def purge(db: Connection) -> int:
    """Delete operations that finished 30 days ago and return how many."""
    return await db.value(PURGE)
