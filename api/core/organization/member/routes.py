"""HTTP of members."""

from typing import Annotated

from fastapi import Query
from pydantic import Field
from starlette.responses import Response

from api.core.organization.contract import (
    ExternalIdTaken,
    MemberId,
    MemberIsBanned,
    MemberNotActive,
    MemberNotFound,
    MemberState,
)
from api.core.organization.member import logic
from api.core.organization.member.store import MemberFilter
from api.core.organization.member.view import MEMBER, MemberView
from api.core.organization.rules import SHOWN_LINE
from api.core.rbac.contract import BeyondOwnRights, LastOwner
from cluster.base.ids import OrgId, UserId
from cluster.base.problems import Stale
from cluster.http import Caller, IfMatch, Page, Paging, Patch, Router, Several

router = Router("organization")

Line = Annotated[str, Field(min_length=1, max_length=200, pattern=SHOWN_LINE)]


class MemberPatch(Patch):
    """Changes of a membership; null clears a field."""

    display_name: Line | None = None
    external_id: Line | None = None
    email: Annotated[str | None, Field(max_length=320, pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")] = None


@router.get("/v1/members")
async def list_members(
    caller: Caller,
    paging: Paging,
    organization_id: OrgId | None = None,
    user_id: UserId | None = None,
    state: Several[MemberState] = None,
    external_id: Annotated[str | None, Query(max_length=200)] = None,
    id: Several[MemberId] = None,
) -> Page[MemberView]:
    """List memberships, newest first: the caller's own, and those that the caller may see."""
    wanted = MemberFilter(org_id=organization_id, user_id=user_id, states=state, external_id=external_id, ids=id)
    after = paging.after(organization_id=organization_id, user_id=user_id, state=state, external_id=external_id, id=id)
    members = await logic.list_members(caller, wanted, before=MemberId(after[0]) if after else None, limit=paging.rows)
    return paging.page(members, render=MemberView.of)


@router.get("/v1/members/{member_id}", raises=(MemberNotFound,))
async def get_member(caller: Caller, member_id: MemberId, response: Response) -> MemberView:
    """Return a membership."""
    return MEMBER.show(response, await logic.get_member(caller, member_id))


@router.patch(
    "/v1/members/{member_id}",
    raises=(MemberNotFound, ExternalIdTaken, Stale),
    example={"display_name": "Ada L.", "external_id": "1815"},
)
async def change_member(
    caller: Caller, member_id: MemberId, patch: MemberPatch, version: IfMatch, response: Response
) -> MemberView:
    """Change a membership. The member's own account stays as it is."""
    return await MEMBER.once(response, caller, logic.change_member(caller, member_id, patch.changes(), version))


@router.post("/v1/members/{member_id}/suspend", raises=(MemberNotFound, MemberNotActive, BeyondOwnRights, LastOwner))
async def suspend_member(caller: Caller, member_id: MemberId, response: Response) -> MemberView:
    """Suspend a membership. Its roles have no effect until `reactivate`."""
    return await MEMBER.once(response, caller, logic.suspend(caller, member_id))


@router.post(
    "/v1/members/{member_id}/reactivate", raises=(MemberNotFound, MemberNotActive, MemberIsBanned, BeyondOwnRights)
)
async def reactivate(caller: Caller, member_id: MemberId, response: Response) -> MemberView:
    """Reactivate a suspended membership."""
    return await MEMBER.once(response, caller, logic.reactivate(caller, member_id))


@router.post("/v1/members/{member_id}/remove", raises=(MemberNotFound, BeyondOwnRights, LastOwner))
async def remove(caller: Caller, member_id: MemberId, response: Response) -> MemberView:
    """Remove a member. Their roles and open invitations in the organization end."""
    return await MEMBER.once(response, caller, logic.remove(caller, member_id))


@router.post("/v1/members/{member_id}/leave", raises=(MemberNotFound, LastOwner))
async def leave(caller: Caller, member_id: MemberId, response: Response) -> MemberView:
    """End one's own membership of an organization."""
    return await MEMBER.once(response, caller, logic.leave(caller, member_id))
