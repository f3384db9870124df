"""Use cases of invitations: invite, revoke, preview and accept."""

import hashlib
import secrets
from datetime import UTC, datetime, timedelta

from api.core.organization import store as organizations
from api.core.organization.ban.check import refuse_banned, take_turns
from api.core.organization.contract import (
    AddressNotVerified,
    GrantInvited,
    InvitationAccepted,
    InvitationCreated,
    InvitationId,
    InvitationNotFound,
    InvitationOver,
    InvitationRevoked,
    MailInvitation,
    MemberId,
    MemberIsSuspended,
    MemberJoined,
    Organization,
    SuspendedOrganization,
)
from api.core.organization.invitation import letters, store
from api.core.organization.invitation.rules import check_valid
from api.core.organization.invitation.store import Invitation
from api.core.organization.member import store as members
from api.core.organization.member.logic import tell_state
from api.core.organization.member.store import Member
from api.core.organization.offers import INVITATION_DAYS
from api.core.rbac.contract import BeyondOwnRights, RbacCalls
from cluster.base.ids import OrgId, UserId, new_id
from cluster.base.principal import Principal
from cluster.data import read, write
from cluster.events import emit
from cluster.jobs import cancel_jobs, enqueue
from cluster.people.access import AddressSource, lacking, permit, permitted, reach_of, within
from cluster.people.calls import RemoteUnavailable, client
from cluster.people.org_settings import setting
from cluster.signals.broadcast import announce

_GRANT_DELAY = timedelta(seconds=30)
"""The request that accepts an invitation gives its roles itself. The job does it when that request broke off."""


def token_sha256(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


async def list_invitations(
    caller: Principal,
    *,
    org_id: OrgId | None,
    ids: list[InvitationId] | None,
    before: InvitationId | None,
    limit: int,
) -> list[Invitation]:
    """List the invitations of organizations where the caller may invite, newest first."""
    reach = await reach_of(caller, "invitation:manage")
    async with read() as db:
        return await store.list_invitations(db, reach, org_id=org_id, ids=ids, before=before, limit=limit)


async def get_invitation(caller: Principal, invitation_id: InvitationId) -> Invitation:
    return await permitted(
        caller, "invitation:manage", store.find_invitation, invitation_id, missing=InvitationNotFound
    )


async def invite(
    caller: Principal, org_id: OrgId, *, email: str | None, roles: list[str], max_uses: int, lifetime: timedelta | None
) -> tuple[Invitation, str]:
    """Make an invitation; return it with its token, which is told this once. To an address it is mailed, too.

    Without `lifetime` it is valid for as long as the organization's setting says.

    Raises:
        RoleUnknown, BeyondOwnRights, NotFound
    """
    await permit(caller, "invitation:manage", within(org_id=org_id))
    inviter = caller.person()
    for index, role in enumerate(roles):
        missing = await client(RbacCalls).lacking(caller, role, org_id)
        if missing:
            raise BeyondOwnRights(
                f"the role {role} holds permissions that you do not hold",
                pointer=f"/roles/{index}",
                permissions=missing,
            )
    if lifetime is None:
        lifetime = timedelta(days=await setting(INVITATION_DAYS, org_id))
    token = secrets.token_urlsafe(32)
    async with write(caller) as tx:
        invitation = await store.insert_invitation(
            tx,
            InvitationId(new_id()),
            org_id,
            token_sha256=token_sha256(token),
            email=email,
            sealed=None if email is None else letters.seal_token(token),
            roles=roles,
            max_uses=max_uses,
            created_by=inviter,
            expires_at=tx.now + lifetime,
        )
        emit(tx, InvitationCreated(invitation_id=invitation.id, org_id=org_id), version=invitation.version)
        if email is not None:
            enqueue(tx, MailInvitation(invitation_id=invitation.id))
    return invitation, token


async def revoke(caller: Principal, invitation_id: InvitationId) -> Invitation:
    """Revoke an invitation. People who accepted it stay members."""
    seen = await get_invitation(caller, invitation_id)
    async with write(caller, result=invitation_id) as tx:
        revoked = await store.update_revoked(tx, invitation_id)
        if revoked is None:
            return seen
        emit(tx, InvitationRevoked(invitation_id=revoked.id, org_id=revoked.org_id), version=revoked.version)
    return revoked


async def preview(token: str) -> tuple[Invitation, Organization]:
    """Return an invitation and its organization to the holder of the token.

    Raises:
        InvitationNotFound, InvitationOver, SuspendedOrganization
    """
    async with read() as db:
        invitation = await store.find_by_token(db, token_sha256(token))
        organization = None if invitation is None else await organizations.find_summary(db, invitation.org_id)
    if invitation is None or organization is None:
        raise _unknown_token()
    check_valid(invitation, datetime.now(UTC))
    if organization.state == "suspended":
        raise SuspendedOrganization("nobody can join it at present")
    await _check_inviter(invitation)
    return invitation, organization


def _unknown_token() -> InvitationNotFound:
    return InvitationNotFound("check that the link is whole")


async def accept(caller: Principal, token: str) -> Member:
    """Become a member; repeating it changes nothing.

    The membership commits before the roles are given, so that an invitation whose last use went to a concurrent request gives
    nothing. A job that commits with the membership gives the roles even if this process dies now.

    Raises:
        InvitationNotFound, InvitationOver, AddressNotVerified, MemberIsSuspended, MemberIsBanned,
        SuspendedOrganization
    """
    user_id = caller.person()
    async with read() as db:
        invitation = await store.find_by_token(db, token_sha256(token))
    if invitation is None:
        raise _unknown_token()
    await permit(caller, "invitation:accept", within(org_id=invitation.org_id), missing=InvitationNotFound)
    async with read() as db:
        member = await members.find_active_member(db, invitation.org_id, user_id)
        accepted_at = await store.find_accepted_at(db, invitation.id, user_id)
    if accepted_at is not None:
        if member is not None:
            return member
        raise InvitationOver("you accepted it before; to come back, ask for a new one")
    await preview(token)
    if invitation.email is not None and not await client(AddressSource).owns_address(user_id, invitation.email):
        raise AddressNotVerified("sign in with the account of the address that was invited, and verify that address")
    async with write(caller) as tx:
        await take_turns(tx, invitation.org_id, user_id)
        locked = await store.lock_invitation(tx, invitation.id)
        if await store.find_accepted_at(tx, invitation.id, user_id) is None:
            check_valid(locked, tx.now)
            locked = await store.insert_use(tx, locked, user_id)
            event = InvitationAccepted(invitation_id=locked.id, org_id=locked.org_id, user_id=user_id)
            emit(tx, event, version=locked.version)
        await refuse_banned(tx, locked.org_id, user_id)
        joined = await members.upsert_member(tx, MemberId(new_id()), locked.org_id, user_id, email=locked.email)
        if joined is None:
            raise MemberIsSuspended("somebody who manages the organization's members can end the suspension")
        member, is_new = joined
        if is_new:
            emit(tx, MemberJoined(member_id=member.id, org_id=member.org_id, user_id=user_id), version=member.version)
            tell_state(tx, member)
            announce(tx, "access", {"user_id": str(user_id)})
        if locked.roles:
            job = GrantInvited(invitation_id=locked.id, user_id=user_id)
            enqueue(tx, job, at=tx.now + _GRANT_DELAY, dedupe=job.dedupe)
    if locked.roles:
        await _grant_at_once(caller, locked, user_id)
    return member


async def _grant_at_once(caller: Principal, invitation: Invitation, user_id: UserId) -> None:
    """Give the roles now and cancel the job, which could give again a role that an administrator took right after."""
    try:
        await grant_roles(invitation, user_id)
    except RemoteUnavailable:
        return
    async with write(caller) as tx:
        cancel_jobs(tx, GrantInvited, GrantInvited(invitation_id=invitation.id, user_id=user_id).dedupe)


async def grant_invited(caller: Principal, invitation_id: InvitationId, user_id: UserId) -> None:
    """Give the roles of an accepted invitation, unless the member has left since."""
    invitation = await get_invitation(caller, invitation_id)
    async with read() as db:
        member = await members.find_active_member(db, invitation.org_id, user_id)
    if member is not None:
        await grant_roles(invitation, user_id)


async def grant_roles(invitation: Invitation, user_id: UserId) -> None:
    """Give the roles of an invitation in the name of its inviter, and take them again if the member leaves meanwhile."""
    for role in invitation.roles:
        await client(RbacCalls).grant(
            user_id, role, "organization", invitation.org_id, invitation.org_id, invitation.created_by
        )
    async with read() as db:
        member = await members.find_active_member(db, invitation.org_id, user_id)
    if member is None:
        await client(RbacCalls).revoke_all(user_id, invitation.org_id)


async def _check_inviter(invitation: Invitation) -> None:
    """Check that the inviter may still invite, and give the roles of the invitation.

    Raises:
        InvitationOver
    """
    inviter = Principal(kind="person", id=invitation.created_by)
    if await lacking(inviter, ["invitation:manage"], within(org_id=invitation.org_id)):
        raise InvitationOver("the person who invited you may not invite any more; ask somebody else for a new one")
    for role in invitation.roles:
        if await client(RbacCalls).lacking(inviter, role, invitation.org_id):
            raise InvitationOver("the person who invited you may not give its roles any more; ask for a new one")
