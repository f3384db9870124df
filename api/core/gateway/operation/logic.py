"""Use cases of operations: read their state and report, cancel and undo them."""

import csv
import io
from collections.abc import AsyncGenerator
from uuid import UUID

from api.core.gateway.contract import OperationNotFound
from cluster.base.principal import Principal
from cluster.data import Connection, read, write
from cluster.jobs import bulk, operations
from cluster.jobs.bulk import Line, RowState
from cluster.jobs.operations import Operation, OwnedOperation, State
from cluster.jobs.tables import cell
from cluster.people.access import Guarded, permitted, reach_of

_REPORT_PAGE_ROWS = 1_000


async def get_operation(caller: Principal, operation_id: UUID) -> Operation:
    owned = await permitted(caller, "operation:read", _find_operation, operation_id, missing=OperationNotFound)
    return owned.operation


async def list_operations(
    caller: Principal, *, ids: list[UUID] | None, states: list[State] | None, before: UUID | None, limit: int
) -> list[Operation]:
    """List the caller's own operations and those of organizations that they administrate, newest first."""
    reach = await reach_of(caller, "operation:read")
    async with read() as db:
        found = await operations.list_of(
            db,
            everywhere=reach.everywhere,
            owner_id=reach.own,
            org_ids=reach.org_ids,
            ids=ids,
            states=states,
            before=before,
            limit=limit,
        )
    return [each.operation for each in found]


async def cancel_operation(caller: Principal, operation_id: UUID) -> Operation:
    """Ask the work to stop; it does so at its next step.

    Raises:
        OperationFinished: there is nothing to stop.
    """
    await permitted(caller, "operation:cancel", _find_operation, operation_id, missing=OperationNotFound)
    async with write(caller, result=operation_id) as tx:
        await operations.request_cancel(tx, operation_id)
    return await get_operation(caller, operation_id)


async def undo_operation(caller: Principal, operation_id: UUID) -> Operation:
    """Start to take back what an operation did.

    Raises:
        CannotBeUndone: it cannot be, or not any more.
    """
    await permitted(caller, "operation:undo", _find_operation, operation_id, missing=OperationNotFound)
    async with write(caller, result=operation_id) as tx:
        await bulk.undo(tx, operation_id)
    return await get_operation(caller, operation_id)


async def list_lines(
    caller: Principal, operation_id: UUID, *, states: list[RowState] | None, after: int, limit: int
) -> list[Line]:
    """List the rows of an operation's report."""
    await permitted(caller, "operation:read", _find_operation, operation_id, missing=OperationNotFound)
    async with read() as db:
        return await bulk.list_lines(db, operation_id, states=states, after=after, limit=limit)


async def report(caller: Principal, operation_id: UUID) -> AsyncGenerator[str, None]:
    """Write the report as CSV, a page of rows at a time.

    Source: RFC 4180.
    """
    await permitted(caller, "operation:read", _find_operation, operation_id, missing=OperationNotFound)
    yield "row,key,state,id,problem,detail\r\n"
    after = 0
    while True:
        async with read() as db:
            lines = await bulk.list_lines(db, operation_id, states=None, after=after, limit=_REPORT_PAGE_ROWS)
        page = io.StringIO()
        writer = csv.writer(page)
        for line in lines:
            problem = line.problem or {}
            details = "; ".join(error["detail"] for error in problem.get("errors", ())) or problem.get("detail")
            cells = (line.row, line.key, line.state, line.id, problem.get("type", ""), details)
            writer.writerow([cell(each) for each in cells])
        yield page.getvalue()
        if len(lines) < _REPORT_PAGE_ROWS:
            return
        after = lines[-1].row


async def _find_operation(db: Connection, operation_id: UUID) -> Guarded[OwnedOperation] | None:
    owned = await operations.find_operation(db, operation_id)
    return None if owned is None else Guarded(owned, org_id=owned.org_id, owner_id=owned.owner_id, see="operation:read")
