"""HTTP of origins."""

from datetime import datetime
from typing import Annotated

from fastapi import Response
from pydantic import Field

from api.core.gateway.contract import (
    CorsOriginId,
    CorsOriginNotFound,
    CorsOriginTaken,
    OrganizationUnknown,
    TooManyCorsOrigins,
)
from api.core.gateway.cors_origin import logic
from cluster.base.ids import OrgId
from cluster.http import Answer, Body, Caller, OrganizationId, Page, Paging, Router, Several, View

router = Router("gateway")


class NewCorsOrigin(Body):
    """An origin whose pages may ask from a browser, with a token of whoever uses them."""

    organization_id: OrgId
    origin: Annotated[str, Field(max_length=300, examples=["https://learn.school.example"])]
    credentials: Annotated[
        bool, Field(description="Browsers send cookies along. Only the platform's administrators may say so")
    ] = False


class CorsOriginView(View):
    """An origin whose pages may ask."""

    id: CorsOriginId
    organization_id: OrganizationId
    origin: str
    credentials: bool
    created_at: datetime


CORS_ORIGIN = Answer(get=logic.get_cors_origin, view=CorsOriginView, path="/v1/cors-origins/{id}")


@router.post("/v1/cors-origins", status_code=201, raises=(OrganizationUnknown, CorsOriginTaken, TooManyCorsOrigins))
async def register_cors_origin(caller: Caller, new: NewCorsOrigin, response: Response) -> CorsOriginView:
    """Let pages of an origin ask from a browser (CORS). Every process obeys within a second."""
    work = logic.register_cors_origin(caller, new.organization_id, new.origin, credentials=new.credentials)
    return await CORS_ORIGIN.created(response, caller, work)


@router.get("/v1/cors-origins")
async def list_cors_origins(
    caller: Caller, paging: Paging, organization_id: OrgId | None = None, id: Several[CorsOriginId] = None
) -> Page[CorsOriginView]:
    """List the origins of the caller's organizations, newest first."""
    after = paging.after(org=organization_id, id=id)
    found = await logic.list_cors_origins(
        caller, org_id=organization_id, ids=id, before=CorsOriginId(after[0]) if after else None, limit=paging.rows
    )
    return paging.page(found, render=CorsOriginView.of)


@router.get("/v1/cors-origins/{cors_origin_id}", raises=(CorsOriginNotFound,))
async def get_cors_origin(caller: Caller, cors_origin_id: CorsOriginId) -> CorsOriginView:
    """Return an origin."""
    return CorsOriginView.of(await logic.get_cors_origin(caller, cors_origin_id))


@router.delete("/v1/cors-origins/{cors_origin_id}", status_code=204, raises=(CorsOriginNotFound,))
async def remove_cors_origin(caller: Caller, cors_origin_id: CorsOriginId) -> None:
    """Let pages of an origin ask no more."""
    await logic.remove_cors_origin(caller, cors_origin_id)
