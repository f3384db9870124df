"""HTTP of operations."""

from collections.abc import AsyncGenerator
from functools import partial
from typing import Any
from uuid import UUID

from fastapi import Response
from starlette.responses import StreamingResponse

from api.core.gateway.contract import OperationNotFound
from api.core.gateway.operation import logic
from cluster.http import Caller, Page, Paging, Router, Several, View, once
from cluster.jobs.bulk import CannotBeUndone, RowState
from cluster.jobs.operations import Operation, OperationFinished, State

router = Router("gateway")


class RowView(View):
    """What became of one row."""

    row: int
    key: str
    state: RowState
    id: UUID | None
    problem: dict[str, Any] | None


@router.get("/v1/operations")
async def list_operations(
    caller: Caller, paging: Paging, state: Several[State] = None, id: Several[UUID] = None
) -> Page[Operation]:
    """List the caller's own long-running operations, and those of organizations that they administrate, newest first."""
    after = paging.after(state=state, id=id)
    found = await logic.list_operations(
        caller, ids=id, states=state, before=after[0] if after else None, limit=paging.rows
    )
    return paging.page(found)


@router.get("/v1/operations/{operation_id}", raises=(OperationNotFound,))
async def get_operation(caller: Caller, operation_id: UUID) -> Operation:
    """Return the state of a long-running operation."""
    return await logic.get_operation(caller, operation_id)


@router.post("/v1/operations/{operation_id}/cancel", raises=(OperationNotFound, OperationFinished))
async def cancel_operation(caller: Caller, operation_id: UUID, response: Response) -> Operation:
    """Request the cancellation of a long-running operation."""
    return await once(response, logic.cancel_operation(caller, operation_id), partial(logic.get_operation, caller))


@router.post("/v1/operations/{operation_id}/undo", raises=(OperationNotFound, CannotBeUndone))
async def undo_operation(caller: Caller, operation_id: UUID, response: Response) -> Operation:
    """Take back what an operation did, as long as its `undo_until` is ahead. The report then says what became of each row."""
    return await once(response, logic.undo_operation(caller, operation_id), partial(logic.get_operation, caller))


@router.get("/v1/operations/{operation_id}/rows", raises=(OperationNotFound,))
async def list_rows(
    caller: Caller, operation_id: UUID, paging: Paging, state: Several[RowState] = None
) -> Page[RowView]:
    """List what became of each row of a bulk operation, in the order of its table."""
    after = paging.after(int, sort="row", operation=operation_id, state=state)
    lines = await logic.list_lines(
        caller, operation_id, states=state, after=after[0] if after else 0, limit=paging.rows
    )
    return paging.page(lines, key=lambda line: line.row, render=RowView.of)


@router.get("/v1/operations/{operation_id}/report", response_class=StreamingResponse, raises=(OperationNotFound,))
async def report(caller: Caller, operation_id: UUID) -> StreamingResponse:
    """Return what became of each row of a bulk operation, as CSV (RFC 4180)."""
    lines = logic.report(caller, operation_id)
    # Access is checked before the first piece, so that a refusal is still a problem.
    first = await anext(lines)

    async def content() -> AsyncGenerator[str, None]:
        yield first
        async for piece in lines:
            yield piece

    return StreamingResponse(
        content(),
        media_type="text/csv; charset=utf-8; header=present",
        headers={"Content-Disposition": f'attachment; filename="{operation_id}.csv"', "Cache-Control": "private"},
    )
