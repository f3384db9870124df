"""HTTP of assets. Uploads speak tus, see `upload.protocol`."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Header, Request, Response
from pydantic import Field
from starlette.responses import StreamingResponse

from api.media.media import logic, rules
from api.media.media.contract import (
    AssetId,
    AssetNotFound,
    AssetNotReady,
    AssetRejected,
    QuotaExceeded,
    RangeNotSatisfiable,
    Reason,
    State,
)
from api.media.media.hold.routes import router as holds
from api.media.media.store import Filters
from api.media.media.upload.headers import Target, parse_target
from api.media.media.upload.protocol import PREFIX, uploads
from cluster.base.ids import OrgId, UserId
from cluster.base.problems import Invalid
from cluster.data.uses import ThingInUse
from cluster.http import Answer, Caller, Page, Paging, Router, Several, UsesView, View, once

router = Router("media")
router.include_router(holds)
router.mount_asgi(PREFIX, uploads)


class AssetView(View):
    """An uploaded file."""

    id: AssetId
    organization_id: Annotated[OrgId | None, Field(validation_alias="org_id")]
    course_id: UUID | None
    run_id: UUID | None
    owner_id: UserId
    purpose: str
    state: State
    reason: Reason | None
    """The reason of its rejection."""
    filename: str
    content_type: str | None
    """The type that the uploader declares; when ready, the type that the bytes have."""
    size_bytes: int
    sha256: str | None
    in_use: bool
    """`GET .../uses` lists the users."""
    created_at: datetime
    expires_at: datetime | None
    """The instant at which it is deleted unless it is finished and used before."""


ASSET = Answer(get=logic.get_asset, view=AssetView, etag="version")


@router.get("/v1/assets")
async def list_assets(
    caller: Caller,
    paging: Paging,
    organization_id: OrgId | None = None,
    target: str | None = None,
    state: Several[State] = None,
    purpose: str | None = None,
) -> Page[AssetView]:
    """List files, newest first: of an organization, of a `target` (`course:<id>`, `run:<id>`), or the caller's own."""
    if organization_id is not None and target is not None:
        raise Invalid("ask for the files of an organization or of a target, not both", pointer="/query/target")
    place = Target("user", None) if target is None else parse_target(target)
    if organization_id is not None:
        place = Target("org", organization_id)
    after = paging.after(place=f"{place.kind}:{place.id}", state=state, purpose=purpose)
    assets = await logic.list_assets(
        caller,
        Filters(states=state, purpose=purpose),
        kind=place.kind,
        place_id=place.id,
        before=AssetId(after[0]) if after else None,
        limit=paging.rows,
    )
    return paging.page(assets, render=AssetView.of)


@router.get("/v1/assets/{asset_id}", raises=(AssetNotFound,))
async def get_asset(caller: Caller, asset_id: AssetId, response: Response) -> AssetView:
    """Return a file's metadata."""
    return ASSET.show(response, await logic.get_asset(caller, asset_id))


@router.get("/v1/assets/{asset_id}/uses", raises=(AssetNotFound,))
async def list_uses(caller: Caller, asset_id: AssetId) -> UsesView:
    """Return the users of a file: blocks, outlines, films. Those that the caller may not see are only counted."""
    return UsesView.of(await logic.list_uses(caller, asset_id))


@router.get(
    "/v1/assets/{asset_id}/content",
    raises=(AssetNotFound, AssetNotReady, AssetRejected, RangeNotSatisfiable),
    response_class=StreamingResponse,
    responses={206: {"description": "The range that was asked for"}, 304: {"description": "The client has it"}},
)
async def get_content(
    request: Request,
    caller: Caller,
    asset_id: AssetId,
    range: Annotated[str | None, Header()] = None,
    if_range: Annotated[str | None, Header()] = None,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """Download the original file. A request may name one range."""
    request.scope["state"]["become_stream"]()
    asset, span, content = await logic.open_content(caller, asset_id, range, if_range)
    known = {"ETag": f'"{asset.sha256}"', "Cache-Control": "private, no-cache"}
    if known["ETag"] in [each.strip().removeprefix("W/") for each in (if_none_match or "").split(",")]:
        return Response(status_code=304, headers=known)
    # The store must answer before we do: once the status is sent, 503 cannot be.
    first = await anext(content, b"")

    async def rest() -> AsyncGenerator[bytes, None]:
        async with aclosing(content):
            yield first
            async for chunk in content:
                yield chunk

    start, end = span or (0, asset.size_bytes)
    headers = known | {
        "Content-Length": str(end - start),
        "Content-Disposition": rules.attachment(asset.filename),
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Accept-Ranges": "bytes",
    }
    if span is not None:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{asset.size_bytes}"
    return StreamingResponse(rest(), 206 if span else 200, headers, asset.content_type)


@router.delete("/v1/assets/{asset_id}", status_code=204, raises=(AssetNotFound, ThingInUse))
async def delete_asset(caller: Caller, asset_id: AssetId, response: Response) -> None:
    """Delete a file that nothing uses. Its room is free at once, and it can be restored for 30 days."""
    await once(response, logic.delete_asset(caller, asset_id), None)


@router.post("/v1/assets/{asset_id}/restore", raises=(AssetNotFound, QuotaExceeded))
async def restore_asset(caller: Caller, asset_id: AssetId, response: Response) -> AssetView:
    """Bring a deleted file back, if there is room for it."""
    return await ASSET.once(response, caller, logic.restore_asset(caller, asset_id))
