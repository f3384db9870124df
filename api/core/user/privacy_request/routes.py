"""HTTP of privacy requests."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Query
from pydantic import Field
from starlette.requests import Request as HttpRequest
from starlette.responses import Response, StreamingResponse

from api.core.user.contract import (
    ArchiveNotReady,
    ForOneselfAlone,
    PrivacyRequestId,
    PrivacyRequestNotFound,
    PrivacyRequestOver,
    PrivacyRequestPending,
    RecentSignInNeeded,
    RequestKind,
    RequestState,
    SoleOwner,
    UserNotFound,
)
from api.core.user.privacy_request import logic
from cluster.base.ids import OrgId, UserId
from cluster.http import Answer, Body, Caller, Page, Paging, Router, Several, View
from cluster.people.erasure import Outcome

router = Router("user")


class NewPrivacyRequest(Body):
    """A request about one's own data; an organization's owner names a person and the organization."""

    kind: RequestKind
    user_id: UserId | None = None
    organization_id: OrgId | None = None


class PrivacyPartView(View):
    """The part of one service; `outcome` is null until it has answered. `grounds` say why rows are kept.

    `files_erased`: files of the person whose bytes are deleted.
    """

    service: str
    outcome: Outcome | None
    rows_erased: int
    rows_kept: int
    rows_exported: int
    files_erased: int
    files_exported: int
    grounds: list[str]


class PrivacyRequestView(View):
    """A request with the part of each service.

    `starts_at`: when an erasure begins; until then it can be cancelled. `archive_until`: how long an export can be downloaded.
    `report_url` gives the signed report once the request is done, also to a person who cannot sign in any more.
    """

    id: PrivacyRequestId
    kind: RequestKind
    user_id: UserId
    organization_id: Annotated[OrgId | None, Field(validation_alias="org_id")]
    state: RequestState
    failure: str | None
    created_at: datetime
    confirmed_at: datetime | None
    starts_at: datetime | None
    finished_at: datetime | None
    archive_until: datetime | None
    parts: list[PrivacyPartView]
    report_url: str


class PrivacyReportView(View):
    """The signed report: a JWS (RFC 7515) over canonical JSON (RFC 8785)."""

    jws: Annotated[str, Field(validation_alias="signed_report")]


REQUEST = Answer(get=logic.get_request, view=PrivacyRequestView, etag="version", path="/v1/privacy-requests/{id}")


@router.post(
    "/v1/privacy-requests",
    cost=30,
    status_code=201,
    raises=(UserNotFound, SoleOwner, PrivacyRequestPending, ForOneselfAlone),
    example={"kind": "export"},
)
async def create_privacy_request(caller: Caller, new: NewPrivacyRequest, response: Response) -> PrivacyRequestView:
    """Ask to erase or export everything about oneself, or, as an organization's owner, its data about its member.

    Nothing happens until the request is confirmed.
    """
    work = logic.create_request(caller, new.kind, user_id=new.user_id, org_id=new.organization_id)
    return await REQUEST.created(response, caller, work)


@router.get("/v1/privacy-requests")
async def list_privacy_requests(
    caller: Caller, paging: Paging, organization_id: OrgId | None = None, id: Several[PrivacyRequestId] = None
) -> Page[PrivacyRequestView]:
    """List the requests about oneself and those of organizations that one owns, newest first."""
    after = paging.after(organization=organization_id, id=id)
    requests = await logic.list_requests(
        caller, org_id=organization_id, ids=id, before=PrivacyRequestId(after[0]) if after else None, limit=paging.rows
    )
    return paging.page(requests, render=PrivacyRequestView.of)


@router.get("/v1/privacy-requests/-/report", public=True, raises=(PrivacyRequestNotFound,))
async def get_privacy_report(token: Annotated[str, Query(max_length=100)]) -> PrivacyReportView:
    """Return the signed report of a finished request. The token in the request's `report_url` is enough."""
    return PrivacyReportView.of(await logic.report_by(token))


@router.get("/v1/privacy-requests/{request_id}", raises=(PrivacyRequestNotFound,))
async def get_privacy_request(caller: Caller, request_id: PrivacyRequestId, response: Response) -> PrivacyRequestView:
    """Return a request with the parts of all services."""
    return REQUEST.show(response, await logic.get_request(caller, request_id))


@router.post(
    "/v1/privacy-requests/{request_id}/confirm",
    raises=(PrivacyRequestNotFound, PrivacyRequestOver, RecentSignInNeeded, SoleOwner, ForOneselfAlone),
)
async def confirm_privacy_request(
    caller: Caller, request_id: PrivacyRequestId, response: Response
) -> PrivacyRequestView:
    """Confirm a request, with a password proven in the last five minutes. An erasure begins 14 days later, an export at once."""
    return await REQUEST.once(response, caller, logic.confirm(caller, request_id, datetime.now(UTC)))


@router.post(
    "/v1/privacy-requests/{request_id}/cancel",
    raises=(PrivacyRequestNotFound, PrivacyRequestOver, ForOneselfAlone),
)
async def cancel_privacy_request(
    caller: Caller, request_id: PrivacyRequestId, response: Response
) -> PrivacyRequestView:
    """Cancel a request that has not begun."""
    return await REQUEST.once(response, caller, logic.cancel(caller, request_id))


@router.get(
    "/v1/privacy-requests/{request_id}/archive",
    raises=(PrivacyRequestNotFound, ArchiveNotReady, ForOneselfAlone),
    response_class=StreamingResponse,
)
async def get_privacy_archive(request: HttpRequest, caller: Caller, request_id: PrivacyRequestId) -> Response:
    """Download an export: a ZIP with a page for browsers (`index.html`), a JSON file of each service, and the person's files."""
    request.scope["state"]["become_stream"]()
    content = await logic.open_archive(caller, request_id, datetime.now(UTC))
    # The first chunk is read before the status is sent: afterwards it cannot become 503.
    first = await anext(content, b"")

    async def rest() -> AsyncGenerator[bytes, None]:
        async with aclosing(content):
            yield first
            async for chunk in content:
                yield chunk

    headers = {
        "Content-Disposition": f'attachment; filename="{request_id}.zip"',
        "Cache-Control": "private, no-store",
    }
    return StreamingResponse(rest(), headers=headers, media_type="application/zip")
