"""HTTP of organizations."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from api.core.organization import logic
from api.core.organization.contract import (
    MemberNotActive,
    OrganizationNotFound,
    SlugTaken,
    SuccessorIsOwner,
    SuspendedOrganization,
    TooManyFoundings,
)
from api.core.organization.invitation_routes import router as invitations
from api.core.organization.member_routes import router as members
from api.core.organization.rules import SHOWN_LINE
from api.core.organization.store import StoredOrganization
from api.core.rbac.contract import BeyondOwnRights, SuccessorIsSuspended
from cluster.base.ids import OrgId, UserId
from cluster.base.problems import Stale
from cluster.http import Body, Caller, IfMatch, Page, Paging, Patch, Router, Several, once, set_etag

router = Router("organization")
router.include_router(members)
router.include_router(invitations)

Name = Annotated[str, Field(min_length=1, max_length=200, pattern=SHOWN_LINE)]
Slug = Annotated[str, Field(max_length=100)]


class NewOrganization(Body):
    name: Name
    slug: Slug


class OrganizationPatch(Patch):
    name: Name = ""
    slug: Slug = ""


class Successor(Body):
    user_id: UserId


class OrganizationView(BaseModel):
    id: OrgId
    name: str
    slug: str
    state: str
    created_at: datetime


def render(organization: StoredOrganization, response: Response | None = None) -> OrganizationView:
    if response is not None:
        set_etag(response, organization.version)
    return OrganizationView(
        id=organization.id,
        name=organization.name,
        slug=organization.slug,
        state=organization.state,
        created_at=organization.created_at,
    )


@router.get("/v1/organizations")
async def list_organizations(
    caller: Caller,
    paging: Paging,
    slug: Annotated[str | None, Query(max_length=63)] = None,
    id: Several[UUID] = None,
) -> Page[OrganizationView]:
    """List the organizations of the caller, newest first."""
    after = paging.after(slug=slug, id=id)
    rows = await logic.list_organizations(
        caller, slug=slug, ids=id, after=after[0] if after else None, limit=paging.limit + 1
    )
    return paging.page(rows, render=render)


@router.post(
    "/v1/organizations",
    status_code=201,
    raises=(SlugTaken, TooManyFoundings),
    example={"name": "Analytical School", "slug": "analytical-school"},
)
async def create_organization(caller: Caller, new: NewOrganization, response: Response) -> OrganizationView:
    """Create an organization. The caller becomes its owner."""
    organization = await once(
        response,
        logic.create_organization(caller, name=new.name, slug=new.slug),
        again=lambda id: logic.get_organization(caller, OrgId(id)),
    )
    response.headers["Location"] = f"/v1/organizations/{organization.id}"
    return render(organization, response)


@router.get("/v1/organizations/{organization_id}", raises=(OrganizationNotFound, SuspendedOrganization))
async def get_organization(caller: Caller, organization_id: UUID, response: Response) -> OrganizationView:
    """Return an organization of the caller."""
    return render(await logic.get_organization(caller, OrgId(organization_id)), response)


@router.patch(
    "/v1/organizations/{organization_id}",
    raises=(OrganizationNotFound, SuspendedOrganization, SlugTaken, Stale),
    example={"name": "Analytical School of London"},
)
async def change_organization(
    caller: Caller, organization_id: UUID, patch: OrganizationPatch, version: IfMatch, response: Response
) -> OrganizationView:
    """Change the name or slug of an organization. The old slug becomes available at once."""
    organization = await once(
        response,
        logic.change_organization(caller, OrgId(organization_id), version, patch.changes()),
        again=lambda id: logic.get_organization(caller, OrgId(id)),
    )
    return render(organization, response)


@router.post("/v1/organizations/{organization_id}/suspend", raises=(OrganizationNotFound,))
async def suspend(caller: Caller, organization_id: UUID, response: Response) -> OrganizationView:
    """Suspend an organization: its members lose access. Only for the platform's administrators."""
    organization = await once(
        response,
        logic.suspend(caller, OrgId(organization_id)),
        again=lambda id: logic.get_organization(caller, OrgId(id)),
    )
    return render(organization, response)


@router.post("/v1/organizations/{organization_id}/resume", raises=(OrganizationNotFound,))
async def resume(caller: Caller, organization_id: UUID, response: Response) -> OrganizationView:
    """Resume a suspended organization. Only for the platform's administrators."""
    organization = await once(
        response,
        logic.resume(caller, OrgId(organization_id)),
        again=lambda id: logic.get_organization(caller, OrgId(id)),
    )
    return render(organization, response)


@router.post(
    "/v1/organizations/{organization_id}/transfer",
    raises=(OrganizationNotFound, MemberNotActive, SuccessorIsOwner, SuccessorIsSuspended, BeyondOwnRights),
    example={"user_id": "0198c0de-0000-7000-8000-000000000002"},
)
async def transfer(caller: Caller, organization_id: UUID, to: Successor, response: Response) -> OrganizationView:
    """Transfer the ownership of an organization to another member. The former owner becomes an administrator."""
    organization = await once(
        response,
        logic.transfer(caller, OrgId(organization_id), to.user_id),
        again=lambda id: logic.get_organization(caller, OrgId(id)),
    )
    return render(organization, response)
