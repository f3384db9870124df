"""HTTP of invitations. The token is told once, so making one is exempt from Idempotency-Key."""

from datetime import datetime, timedelta
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, Field, model_validator
from starlette.responses import Response

from api.core.organization import invitations
from api.core.organization.contract import (
    AddressNotVerified,
    InvitationId,
    InvitationNotFound,
    InvitationOver,
    MemberIsSuspended,
    SuspendedOrganization,
)
from api.core.organization.member_routes import MemberView
from api.core.organization.member_routes import render as render_member
from api.core.organization.store import Invitation
from api.core.rbac.contract import BeyondOwnRights, RoleDoesNotFit, RoleUnknown
from cluster.base.ids import OrgId, UserId
from cluster.base.settings import settings
from cluster.http import Body, Caller, Page, Paging, Router, Several, once

router = Router("organization")


class NewInvitation(Body):
    """An invitation to create. With `email`, only an account with this verified address can accept it."""

    organization_id: OrgId
    email: Annotated[str | None, Field(max_length=320, pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")] = None
    roles: Annotated[list[Annotated[str, Field(min_length=1, max_length=60)]], Field(max_length=10)] = []
    max_uses: Annotated[int, Field(ge=1, le=10_000)] = 1
    expires_in_days: Annotated[int, Field(ge=1, le=90)] = 7

    @model_validator(mode="after")
    def _one_person_one_use(self) -> Self:
        if self.email is not None and self.max_uses != 1:
            raise ValueError("an invitation for one address is used once: leave max_uses out")
        return self


class Token(Body):
    token: Annotated[str, Field(min_length=1, max_length=200)]


class InvitationView(BaseModel):
    id: InvitationId
    organization_id: OrgId
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


class PreviewView(BaseModel):
    organization_id: OrgId
    organization_name: str
    email_is_named: bool
    expires_at: datetime


def render(invitation: Invitation) -> InvitationView:
    return InvitationView(
        id=invitation.id,
        organization_id=invitation.org_id,
        email=invitation.email,
        roles=invitation.roles,
        max_uses=invitation.max_uses,
        uses=invitation.uses,
        created_by=invitation.created_by,
        created_at=invitation.created_at,
        expires_at=invitation.expires_at,
        revoked_at=invitation.revoked_at,
    )


@router.get("/v1/invitations")
async def list_invitations(
    caller: Caller, paging: Paging, organization_id: UUID | None = None, id: Several[UUID] = None
) -> Page[InvitationView]:
    """List the invitations of organizations where the caller may invite, newest first. Tokens are not shown again."""
    after = paging.after(organization_id=organization_id, id=id)
    rows = await invitations.list_invitations(
        caller, org_id=organization_id, ids=id, after=after[0] if after else None, limit=paging.limit + 1
    )
    return paging.page(rows, render=render)


@router.post(
    "/v1/invitations",
    status_code=201,
    raises=(RoleUnknown, RoleDoesNotFit, BeyondOwnRights),
    example={"organization_id": "0198c0de-0000-7000-8000-000000000001", "email": "grace@school.example"},
)
async def invite(caller: Caller, new: NewInvitation, response: Response) -> CreatedInvitationView:
    """Create an invitation: its link makes the holder a member. The answer holds a secret: an Idempotency-Key has no effect."""
    invitation, token = await invitations.invite(
        caller,
        new.organization_id,
        email=new.email,
        roles=new.roles,
        max_uses=new.max_uses,
        lasts=timedelta(days=new.expires_in_days),
    )
    response.headers["Location"] = f"/v1/invitations/{invitation.id}"
    response.headers["Cache-Control"] = "no-store"
    # After the #: browsers send that part to no server, so no log has it.
    url = f"{settings().public_url}/join#{token}"
    return CreatedInvitationView(**render(invitation).model_dump(), token=token, url=url)


@router.post(
    "/v1/invitations/-/preview",
    public=True,
    raises=(InvitationNotFound, InvitationOver, SuspendedOrganization),
    example={"token": "the-part-of-the-link-after-the-number-sign"},
)
async def preview(body: Token) -> PreviewView:
    """Return the organization and address of an invitation, without signing in."""
    invitation, organization = await invitations.preview(body.token)
    return PreviewView(
        organization_id=organization.id,
        organization_name=organization.name,
        email_is_named=invitation.email is not None,
        expires_at=invitation.expires_at,
    )


@router.post(
    "/v1/invitations/-/accept",
    raises=(InvitationNotFound, InvitationOver, AddressNotVerified, MemberIsSuspended, SuspendedOrganization),
    example={"token": "the-part-of-the-link-after-the-number-sign"},
)
async def accept(caller: Caller, body: Token) -> MemberView:
    """Accept an invitation and become a member. Repeating the request changes nothing, so it needs no Idempotency-Key."""
    return render_member(await invitations.accept(caller, body.token))


@router.get("/v1/invitations/{invitation_id}", raises=(InvitationNotFound,))
async def get_invitation(caller: Caller, invitation_id: UUID) -> InvitationView:
    """Return an invitation."""
    return render(await invitations.get_invitation(caller, InvitationId(invitation_id)))


@router.post("/v1/invitations/{invitation_id}/revoke", raises=(InvitationNotFound,))
async def revoke(caller: Caller, invitation_id: UUID, response: Response) -> InvitationView:
    """Revoke an invitation. People who accepted it stay members."""
    invitation = await once(
        response,
        invitations.revoke(caller, InvitationId(invitation_id)),
        again=lambda id: invitations.get_invitation(caller, InvitationId(id)),
    )
    return render(invitation)
