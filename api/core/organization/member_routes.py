"""HTTP of members."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from api.core.organization import members
from api.core.organization.contract import ExternalIdTaken, MemberId, MemberNotActive, MemberNotFound, MemberState
from api.core.organization.rules import SHOWN_LINE
from api.core.organization.store import Member, MemberFilter
from api.core.rbac.contract import BeyondOwnRights, LastOwner
from cluster.base.ids import OrgId, UserId
from cluster.base.problems import Stale
from cluster.http import Caller, IfMatch, Page, Paging, Patch, Router, Several, once, set_etag

router = Router("organization")

Line = Annotated[str, Field(min_length=1, max_length=200, pattern=SHOWN_LINE)]


class MemberPatch(Patch):
    """Changes of a membership; null clears a field."""

    display_name: Line | None = None
    external_id: Line | None = None
    email: Annotated[str | None, Field(max_length=320, pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")] = None


class MemberView(BaseModel):
    id: MemberId
    organization_id: OrgId
    user_id: UserId
    display_name: str | None
    external_id: str | None
    email: str | None
    state: MemberState
    joined_at: datetime
    left_at: datetime | None


def render(member: Member, response: Response | None = None) -> MemberView:
    if response is not None:
        set_etag(response, member.version)
    return MemberView(
        id=member.id,
        organization_id=member.org_id,
        user_id=member.user_id,
        display_name=member.display_name,
        external_id=member.external_id,
        email=member.email,
        state=member.state,
        joined_at=member.joined_at,
        left_at=member.left_at,
    )


@router.get("/v1/members")
async def list_members(
    caller: Caller,
    paging: Paging,
    organization_id: UUID | None = None,
    user_id: UUID | None = None,
    state: Several[MemberState] = None,
    external_id: Annotated[str | None, Query(max_length=200)] = None,
    id: Several[UUID] = None,
) -> Page[MemberView]:
    """List memberships, newest first: the caller's own, and those that the caller may see."""
    wanted = MemberFilter(org_id=organization_id, user_id=user_id, states=state, external_id=external_id, ids=id)
    after = paging.after(organization_id=organization_id, user_id=user_id, state=state, external_id=external_id, id=id)
    rows = await members.list_members(caller, wanted, after[0] if after else None, paging.limit + 1)
    return paging.page(rows, render=render)


@router.get("/v1/members/{member_id}", raises=(MemberNotFound,))
async def get_member(caller: Caller, member_id: UUID, response: Response) -> MemberView:
    """Return a membership."""
    return render(await members.get_member(caller, MemberId(member_id)), response)


@router.patch(
    "/v1/members/{member_id}",
    raises=(MemberNotFound, ExternalIdTaken, Stale),
    example={"display_name": "Ada L.", "external_id": "1815"},
)
async def change_member(
    caller: Caller, member_id: UUID, patch: MemberPatch, version: IfMatch, response: Response
) -> MemberView:
    """Change a membership. The member's own account stays as it is."""
    member = await once(
        response,
        members.change_member(caller, MemberId(member_id), version, patch.changes()),
        again=lambda id: members.get_member(caller, MemberId(id)),
    )
    return render(member, response)


@router.post("/v1/members/{member_id}/suspend", raises=(MemberNotFound, MemberNotActive, BeyondOwnRights, LastOwner))
async def suspend_member(caller: Caller, member_id: UUID, response: Response) -> MemberView:
    """Suspend a membership. Its roles have no effect until `reactivate`."""
    member = await once(
        response,
        members.suspend(caller, MemberId(member_id)),
        again=lambda id: members.get_member(caller, MemberId(id)),
    )
    return render(member, response)


@router.post("/v1/members/{member_id}/reactivate", raises=(MemberNotFound, MemberNotActive, BeyondOwnRights))
async def reactivate(caller: Caller, member_id: UUID, response: Response) -> MemberView:
    """Reactivate a suspended membership."""
    member = await once(
        response,
        members.reactivate(caller, MemberId(member_id)),
        again=lambda id: members.get_member(caller, MemberId(id)),
    )
    return render(member, response)


@router.post("/v1/members/{member_id}/remove", raises=(MemberNotFound, BeyondOwnRights, LastOwner))
async def remove(caller: Caller, member_id: UUID, response: Response) -> MemberView:
    """Remove a member. Their roles and open invitations in the organization end."""
    member = await once(
        response,
        members.remove(caller, MemberId(member_id)),
        again=lambda id: members.get_member(caller, MemberId(id)),
    )
    return render(member, response)


@router.post("/v1/members/{member_id}/leave", raises=(MemberNotFound, LastOwner))
async def leave(caller: Caller, member_id: UUID, response: Response) -> MemberView:
    """End one's own membership of an organization."""
    member = await once(
        response,
        members.leave(caller, MemberId(member_id)),
        again=lambda id: members.get_member(caller, MemberId(id)),
    )
    return render(member, response)
