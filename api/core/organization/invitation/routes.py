"""HTTP of invitations. The token is told once, so making one is exempt from Idempotency-Key."""

from datetime import datetime, timedelta
from typing import Annotated, Self

from pydantic import Field, model_validator
from starlette.responses import Response

from api.core.organization.contract import (
    AddressNotVerified,
    InvitationId,
    InvitationNotFound,
    InvitationOver,
    MemberIsBanned,
    MemberIsSuspended,
    SuspendedOrganization,
)
from api.core.organization.invitation import letters, logic
from api.core.organization.member.view import MemberView
from api.core.rbac.contract import BeyondOwnRights, RoleDoesNotFit, RoleUnknown
from cluster.base.ids import OrgId, UserId
from cluster.http import Answer, Body, Caller, OrganizationId, Page, Paging, Router, Several, View

router = Router("organization")


class NewInvitation(Body):
    """An invitation to create. With `email`, only an account with this verified address can accept it."""

    organization_id: OrgId
    email: Annotated[str | None, Field(max_length=320, pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")] = None
    roles: Annotated[list[Annotated[str, Field(min_length=1, max_length=60)]], Field(max_length=10)] = []
    max_uses: Annotated[int, Field(ge=1, le=10_000)] = 1
    expires_in_days: Annotated[
        int | None, Field(ge=1, le=90, description="Default: the setting `organization.invitation_days`")
    ] = None

    @model_validator(mode="after")
    def _one_person_one_use(self) -> Self:
        if self.email is not None and self.max_uses != 1:
            raise ValueError("an invitation for one address is used once: leave max_uses out")
        return self


class Token(Body):
    token: Annotated[str, Field(min_length=1, max_length=200)]


class InvitationView(View):
    id: InvitationId
    organization_id: OrganizationId
    email: str | None
    roles: list[str]
    max_uses: int
    uses: int
    created_by: UserId
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None


class CreatedInvitationView(InvitationView):
    """A new invitation. `token` and `url` are shown only this once."""

    token: str
    url: str


class PreviewView(View):
    organization_id: OrgId
    organization_name: str
    email_is_named: bool
    expires_at: datetime


INVITATION = Answer(get=logic.get_invitation, view=InvitationView)


@router.get("/v1/invitations")
async def list_invitations(
    caller: Caller, paging: Paging, organization_id: OrgId | None = None, id: Several[InvitationId] = None
) -> Page[InvitationView]:
    """List the invitations of organizations where the caller may invite, newest first. Tokens are not shown again."""
    after = paging.after(organization_id=organization_id, id=id)
    invitations = await logic.list_invitations(
        caller, org_id=organization_id, ids=id, before=InvitationId(after[0]) if after else None, limit=paging.rows
    )
    return paging.page(invitations, render=InvitationView.of)


@router.post(
    "/v1/invitations",
    status_code=201,
    raises=(RoleUnknown, RoleDoesNotFit, BeyondOwnRights),
    example={"organization_id": "0198c0de-0000-7000-8000-000000000001", "email": "grace@school.example"},
)
async def invite(caller: Caller, new: NewInvitation, response: Response) -> CreatedInvitationView:
    """Create an invitation: its link makes the holder a member. With an address it is mailed there, too.

    The answer holds a secret: an Idempotency-Key has no effect.
    """
    invitation, token = await logic.invite(
        caller,
        new.organization_id,
        email=new.email,
        roles=new.roles,
        max_uses=new.max_uses,
        lifetime=None if new.expires_in_days is None else timedelta(days=new.expires_in_days),
    )
    response.headers["Location"] = f"/v1/invitations/{invitation.id}"
    response.headers["Cache-Control"] = "no-store"
    url = letters.url_of(token)
    return CreatedInvitationView(**InvitationView.of(invitation).model_dump(), token=token, url=url)


@router.post(
    "/v1/invitations/-/preview",
    public=True,
    raises=(InvitationNotFound, InvitationOver, SuspendedOrganization),
    example={"token": "the-part-of-the-link-after-the-number-sign"},
)
async def preview(body: Token) -> PreviewView:
    """Return the organization and address of an invitation, without signing in."""
    invitation, organization = await logic.preview(body.token)
    return PreviewView(
        organization_id=organization.id,
        organization_name=organization.name,
        email_is_named=invitation.email is not None,
        expires_at=invitation.expires_at,
    )


@router.post(
    "/v1/invitations/-/accept",
    raises=(
        InvitationNotFound,
        InvitationOver,
        AddressNotVerified,
        MemberIsSuspended,
        MemberIsBanned,
        SuspendedOrganization,
    ),
    example={"token": "the-part-of-the-link-after-the-number-sign"},
)
async def accept(caller: Caller, body: Token) -> MemberView:
    """Accept an invitation and become a member. Repeating the request changes nothing, so it needs no Idempotency-Key."""
    return MemberView.of(await logic.accept(caller, body.token))


@router.get("/v1/invitations/{invitation_id}", raises=(InvitationNotFound,))
async def get_invitation(caller: Caller, invitation_id: InvitationId, response: Response) -> InvitationView:
    """Return an invitation."""
    return INVITATION.show(response, await logic.get_invitation(caller, invitation_id))


@router.post("/v1/invitations/{invitation_id}/revoke", raises=(InvitationNotFound,))
async def revoke(caller: Caller, invitation_id: InvitationId, response: Response) -> InvitationView:
    """Revoke an invitation. People who accepted it stay members."""
    return await INVITATION.once(response, caller, logic.revoke(caller, invitation_id))
