"""Use cases of the gateway: the directory of services with their health, and operations."""

import asyncio
import csv
import io
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from api.core.gateway.contract import OperationNotFound
from cluster.base.principal import Principal
from cluster.base.services import Service, table
from cluster.data import read, write
from cluster.jobs import bulk, operations
from cluster.jobs.bulk import Line, RowState
from cluster.jobs.operations import Operation, OwnedOperation
from cluster.jobs.tables import cell
from cluster.people import calls
from cluster.people.access import Guarded, permit

_HEALTH_LIMIT_S = 2.0
_HEALTH_KEPT_S = 2.0
_REPORT_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class Entry:
    """A service and whether it answers."""

    service: Service
    health: Literal["healthy", "unhealthy"]


@dataclass(frozen=True, slots=True)
class _Round:
    """Asking every service once. `until`: whoever comes before shares it."""

    answers: asyncio.Task[list[Entry]]
    until: float


_round: _Round | None = None


async def directory() -> list[Entry]:
    """Return every service with its health. All who ask within 2 s share a round: guests may ask, and a round is many requests."""
    global _round
    loop = asyncio.get_running_loop()
    if _round is None or _round.until <= loop.time():
        _round = _Round(loop.create_task(_ask_all()), loop.time() + _HEALTH_KEPT_S)
    # Who leaves takes the answer from nobody else.
    return await asyncio.shield(_round.answers)


async def _ask_all() -> list[Entry]:
    """Ask every service for its health, all at once, at most 2 s each."""
    services = list(table().values())
    answers = await asyncio.gather(*(calls.is_healthy(service, _HEALTH_LIMIT_S) for service in services))
    return [
        Entry(service, "healthy" if healthy else "unhealthy")
        for service, healthy in zip(services, answers, strict=True)
    ]


async def get_operation(caller: Principal, operation_id: UUID) -> Operation:
    return (await _permitted(caller, "operation:read", operation_id)).operation


async def cancel_operation(caller: Principal, operation_id: UUID) -> Operation:
    """Ask the work to stop; it does so at its next step.

    Raises:
        OperationFinished: there is nothing to stop.
    """
    await _permitted(caller, "operation:cancel", operation_id)
    async with write(caller, result=operation_id) as tx:
        await operations.request_cancel(tx, operation_id)
    return await get_operation(caller, operation_id)


async def undo_operation(caller: Principal, operation_id: UUID) -> Operation:
    """Have what an operation did taken back.

    Raises:
        CannotBeUndone: it cannot be, or not any more.
    """
    await _permitted(caller, "operation:undo", operation_id)
    async with write(caller, result=operation_id) as tx:
        await bulk.undo(tx, operation_id)
    return await get_operation(caller, operation_id)


async def list_lines(
    caller: Principal, operation_id: UUID, *, states: list[RowState] | None, after: int, limit: int
) -> list[Line]:
    """List the rows of an operation's report."""
    await _permitted(caller, "operation:read", operation_id)
    async with read() as db:
        return await bulk.list_lines(db, operation_id, states=states, after=after, limit=limit)


async def report(caller: Principal, operation_id: UUID) -> AsyncGenerator[str, None]:
    """Write the report as CSV, a page of rows at a time.

    Source: RFC 4180.
    """
    await _permitted(caller, "operation:read", operation_id)
    yield "row,key,state,id,problem,detail\r\n"
    after = 0
    while True:
        async with read() as db:
            lines = await bulk.list_lines(db, operation_id, states=None, after=after, limit=_REPORT_ROWS)
        page = io.StringIO()
        writer = csv.writer(page)
        for line in lines:
            problem = line.problem or {}
            details = "; ".join(error["detail"] for error in problem.get("errors", ())) or problem.get("detail")
            cells = (line.row, line.key, line.state, line.id, problem.get("type", ""), details)
            writer.writerow([cell(each) for each in cells])
        yield page.getvalue()
        if len(lines) < _REPORT_ROWS:
            return
        after = lines[-1].row


async def _permitted(caller: Principal, permission: str, operation_id: UUID) -> OwnedOperation:
    async with read() as db:
        owned = await operations.find_operation(db, operation_id)
    guarded = (
        None if owned is None else Guarded(owned, org_id=owned.org_id, owner_id=owned.owner_id, see="operation:read")
    )
    return await permit(caller, permission, guarded, missing=OperationNotFound)
