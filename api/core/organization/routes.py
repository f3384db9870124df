"""HTTP of organizations. Members and invitations have routes of their own."""

from datetime import datetime
from typing import Annotated

from fastapi import Query
from pydantic import Field
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
from api.core.organization.invitation.routes import router as invitations
from api.core.organization.member.routes import router as members
from api.core.organization.rules import SHOWN_LINE
from api.core.organization.setting.routes import router as settings
from api.core.rbac.contract import BeyondOwnRights, SuccessorIsSuspended
from cluster.base.ids import OrgId, UserId
from cluster.base.problems import Stale
from cluster.http import Answer, Body, Caller, IfMatch, Page, Paging, Patch, Router, Several, View

router = Router("organization")
for part in (members, invitations, settings):
    router.include_router(part)

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


class OrganizationView(View):
    id: OrgId
    name: str
    slug: str
    state: str
    created_at: datetime


ORGANIZATION = Answer(get=logic.get_organization, view=OrganizationView, etag="version", path="/v1/organizations/{id}")


@router.get("/v1/organizations")
async def list_organizations(
    caller: Caller,
    paging: Paging,
    slug: Annotated[str | None, Query(max_length=63)] = None,
    id: Several[OrgId] = None,
) -> Page[OrganizationView]:
    """List the organizations of the caller, newest first."""
    after = paging.after(slug=slug, id=id)
    organizations = await logic.list_organizations(
        caller, slug=slug, ids=id, before=OrgId(after[0]) if after else None, limit=paging.rows
    )
    return paging.page(organizations, render=OrganizationView.of)


@router.post(
    "/v1/organizations",
    status_code=201,
    raises=(SlugTaken, TooManyFoundings),
    example={"name": "Analytical School", "slug": "analytical-school"},
)
async def create_organization(caller: Caller, new: NewOrganization, response: Response) -> OrganizationView:
    """Create an organization. The caller becomes its owner."""
    work = logic.create_organization(caller, name=new.name, slug=new.slug)
    return await ORGANIZATION.created(response, caller, work)


@router.get("/v1/organizations/{organization_id}", raises=(OrganizationNotFound, SuspendedOrganization))
async def get_organization(caller: Caller, organization_id: OrgId, response: Response) -> OrganizationView:
    """Return an organization of the caller."""
    return ORGANIZATION.show(response, await logic.get_organization(caller, organization_id))


@router.patch(
    "/v1/organizations/{organization_id}",
    raises=(OrganizationNotFound, SuspendedOrganization, SlugTaken, Stale),
    example={"name": "Analytical School of London"},
)
async def change_organization(
    caller: Caller, organization_id: OrgId, patch: OrganizationPatch, version: IfMatch, response: Response
) -> OrganizationView:
    """Change the name or slug of an organization. The old slug becomes available at once."""
    work = logic.change_organization(caller, organization_id, patch.changes(), version)
    return await ORGANIZATION.once(response, caller, work)


@router.post("/v1/organizations/{organization_id}/suspend", raises=(OrganizationNotFound,))
async def suspend(caller: Caller, organization_id: OrgId, response: Response) -> OrganizationView:
    """Suspend an organization: its members lose access. Only for the platform's administrators."""
    return await ORGANIZATION.once(response, caller, logic.suspend(caller, organization_id))


@router.post("/v1/organizations/{organization_id}/resume", raises=(OrganizationNotFound,))
async def resume(caller: Caller, organization_id: OrgId, response: Response) -> OrganizationView:
    """Resume a suspended organization. Only for the platform's administrators."""
    return await ORGANIZATION.once(response, caller, logic.resume(caller, organization_id))


@router.post(
    "/v1/organizations/{organization_id}/transfer",
    raises=(OrganizationNotFound, MemberNotActive, SuccessorIsOwner, SuccessorIsSuspended, BeyondOwnRights),
    example={"user_id": "0198c0de-0000-7000-8000-000000000002"},
)
async def transfer(caller: Caller, organization_id: OrgId, to: Successor, response: Response) -> OrganizationView:
    """Transfer the ownership of an organization to another member. The former owner becomes an administrator."""
    return await ORGANIZATION.once(response, caller, logic.transfer(caller, organization_id, to.user_id))
