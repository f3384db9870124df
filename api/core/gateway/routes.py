"""HTTP of the gateway: pages, the API document, verification keys, the directory of services, operations."""

from base64 import urlsafe_b64encode
from collections.abc import AsyncGenerator
from functools import partial
from typing import Any, Literal
from uuid import UUID

from fastapi import Request, Response
from pydantic import BaseModel
from starlette.responses import StreamingResponse

from api.core.gateway import logic, pages
from api.core.gateway.contract import OperationNotFound
from cluster.http import Caller, Page, Paging, Router, Several, View, once
from cluster.jobs.bulk import CannotBeUndone, RowState
from cluster.jobs.operations import Operation, OperationFinished
from cluster.people import identity

router = Router("gateway")


class ServiceView(BaseModel):
    """A service of the platform."""

    name: str
    namespace: str
    areas: list[str]
    health: Literal["healthy", "unhealthy"]


class Directory(BaseModel):
    items: list[ServiceView]


class RowView(View):
    """What became of one row."""

    row: int
    key: str
    state: RowState
    id: UUID | None
    problem: dict[str, Any] | None


class Jwk(BaseModel):
    """A public key (RFC 8037)."""

    kty: Literal["OKP"]
    crv: Literal["Ed25519"]
    kid: str
    x: str
    use: Literal["sig"] = "sig"
    alg: Literal["EdDSA"] = "EdDSA"


class JwkSet(BaseModel):
    """The keys that access tokens are verified with (RFC 7517, section 5)."""

    keys: list[Jwk]


@router.get("/", public=True, response_class=Response, include_in_schema=False)
async def home() -> Response:
    return pages.home()


@router.get("/docs", public=True, response_class=Response, include_in_schema=False)
async def docs() -> Response:
    return pages.docs()


@router.get("/docs/{name}", public=True, response_class=Response, include_in_schema=False)
async def docs_asset(name: str, request: Request) -> Response:
    return pages.docs_asset(name, request.headers.get("accept-encoding", ""))


@router.get("/openapi.json", public=True, response_class=Response, include_in_schema=False)
async def openapi(request: Request) -> Response:
    return pages.openapi(request.headers.get("accept-encoding", ""))


@router.get("/problems/", public=True, response_class=Response, include_in_schema=False)
async def problem_index() -> Response:
    return pages.problem_index()


@router.get("/problems/{slug}", public=True, response_class=Response, include_in_schema=False)
async def problem_page(slug: str) -> Response:
    return pages.problem_page(slug)


@router.get("/.well-known/jwks.json", public=True)
async def jwks(response: Response) -> JwkSet:
    """Return the public keys of access tokens."""
    response.headers["Cache-Control"] = "public, max-age=60"
    return JwkSet(
        keys=[
            Jwk(kty="OKP", crv="Ed25519", kid=key.kid, x=urlsafe_b64encode(key.public_key).rstrip(b"=").decode())
            for key in await identity.verification_keys()
        ]
    )


@router.get("/v1/gateway/-/services", public=True)
async def list_services() -> Directory:
    """List the services and their health."""
    return Directory(
        items=[
            ServiceView(
                name=entry.service.name,
                namespace=entry.service.namespace,
                areas=list(entry.service.areas),
                health=entry.health,
            )
            for entry in await logic.directory()
        ]
    )


@router.get("/v1/operations/{operation_id}", raises=(OperationNotFound,))
async def get_operation(caller: Caller, operation_id: UUID) -> Operation:
    """Return the state of a long-running operation."""
    return await logic.get_operation(caller, operation_id)


@router.post("/v1/operations/{operation_id}/cancel", raises=(OperationNotFound, OperationFinished))
async def cancel_operation(caller: Caller, operation_id: UUID, response: Response) -> Operation:
    """Request the cancellation of a long-running operation."""
    return await once(
        response,
        logic.cancel_operation(caller, operation_id),
        again=lambda id: logic.get_operation(caller, id),
    )


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
    # The first piece comes after the right was asked for: a refusal is still an answer of its own.
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
