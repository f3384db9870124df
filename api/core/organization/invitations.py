"""Invitations: links that make members, and give them the roles that their inviter may give."""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from api.core.organization import invitation_store, members, rules, store
from api.core.organization.contract import (
    AddressNotVerified,
    InvitationAccepted,
    InvitationCreated,
    InvitationId,
    InvitationNotFound,
    InvitationOver,
    InvitationRevoked,
    MemberId,
    MemberIsSuspended,
    MemberJoined,
    SuspendedOrganization,
)
from api.core.organization.jobs import GrantInvited, grant_roles
from api.core.organization.store import Invitation, Member, StoredOrganization
from api.core.rbac.contract import BeyondOwnRights, RbacCalls
from cluster.base.ids import OrgId, UserId, new_id
from cluster.base.principal import Principal, platform
from cluster.data import read, write
from cluster.events import emit
from cluster.jobs import cancel_jobs, enqueue
from cluster.people.access import AddressSource, lacking, permit, reach_of, within
from cluster.people.calls import RemoteUnavailable, client
from cluster.signals.broadcast import announce


def _sha256(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


async def list_invitations(
    principal: Principal, *, org_id: UUID | None, ids: list[UUID] | None, after: UUID | None, limit: int
) -> Sequence[Invitation]:
    reach = await reach_of(principal, "invitation:manage")
    async with read() as db:
        return await invitation_store.list_invitations(db, reach, org_id=org_id, ids=ids, after=after, limit=limit)


async def get_invitation(principal: Principal, invitation_id: InvitationId) -> Invitation:
    async with read() as db:
        guarded = await invitation_store.find_invitation(db, invitation_id)
    return await permit(principal, "invitation:manage", guarded, missing=InvitationNotFound)


async def invite(
    principal: Principal, org_id: OrgId, *, email: str | None, roles: list[str], max_uses: int, lasts: timedelta
) -> tuple[Invitation, str]:
    """Make an invitation; return it with its token, which is told this once.

    Raises:
        RoleUnknown, BeyondOwnRights, NotFound
    """
    await permit(principal, "invitation:manage", within(org_id=org_id))
    inviter = principal.person()
    for index, role in enumerate(roles):
        missing = await client(RbacCalls).lacking(principal, role, org_id)
        if missing:
            raise BeyondOwnRights(
                f"the role {role} holds permissions that you do not hold",
                pointer=f"/roles/{index}",
                permissions=missing,
            )
    token = secrets.token_urlsafe(32)
    async with write(principal) as tx:
        invitation = await invitation_store.insert_invitation(
            tx,
            InvitationId(new_id()),
            org_id,
            token_sha256=_sha256(token),
            email=email,
            roles=roles,
            max_uses=max_uses,
            created_by=inviter,
            expires_at=tx.now + lasts,
        )
        emit(tx, InvitationCreated(invitation_id=invitation.id, org_id=org_id), version=invitation.version)
    return invitation, token


async def revoke(principal: Principal, invitation_id: InvitationId) -> Invitation:
    """Revoke an invitation. People who accepted it stay members."""
    seen = await get_invitation(principal, invitation_id)
    async with write(principal, result=invitation_id) as tx:
        revoked = await invitation_store.revoke(tx, invitation_id)
        if revoked is None:
            return seen
        emit(tx, InvitationRevoked(invitation_id=revoked.id, org_id=revoked.org_id), version=revoked.version)
    return revoked


async def preview(token: str) -> tuple[Invitation, StoredOrganization]:
    """Return what an invitation leads to, for whoever holds its token.

    Raises:
        InvitationNotFound, InvitationOver, SuspendedOrganization
    """
    async with read() as db:
        invitation = await invitation_store.find_by_token(db, _sha256(token))
        if invitation is None:
            raise InvitationNotFound("check that the link is whole")
        guarded = await store.find_organization(db, invitation.org_id)
    rules.check_counts(invitation, datetime.now(UTC))
    organization = await permit(platform("organization"), "organization:read", guarded)
    if organization.state == "suspended":
        raise SuspendedOrganization("nobody can join it at present")
    await _check_inviter(invitation)
    return invitation, organization


async def accept(principal: Principal, token: str) -> Member:
    """Become a member; repeating it changes nothing.

    The membership commits before the roles are given: an invitation that was used up by a twin must have given nothing. The job
    that commits with it gives the roles even if this process dies now.

    Raises:
        InvitationNotFound, InvitationOver, AddressNotVerified, MemberIsSuspended, SuspendedOrganization
    """
    user_id = principal.person()
    async with read() as db:
        invitation = await invitation_store.find_by_token(db, _sha256(token))
        if invitation is None:
            raise InvitationNotFound("check that the link is whole")
    await permit(principal, "invitation:accept", within(org_id=invitation.org_id), missing=InvitationNotFound)
    async with read() as db:
        accepted = await store.find_member_of(db, invitation.org_id, user_id)
        used = await invitation_store.was_used_by(db, invitation.id, user_id)
    if used and accepted is not None and accepted.state == "active":
        return accepted
    if used:
        raise InvitationOver("you accepted it before; to come back, ask for a new one")
    await preview(token)
    if invitation.email is not None and not await client(AddressSource).owns_address(user_id, invitation.email):
        raise AddressNotVerified("sign in with the account of the address that was invited, and verify that address")
    async with write(principal) as tx:
        locked = await invitation_store.lock_invitation(tx, invitation.id)
        if not await invitation_store.was_used_by(tx, invitation.id, user_id):
            rules.check_counts(locked, tx.now)
            locked = await invitation_store.count_use(tx, invitation.id, invitation.org_id, user_id)
            event = InvitationAccepted(invitation_id=locked.id, org_id=locked.org_id, user_id=user_id)
            emit(tx, event, version=locked.version)
        joined = await store.insert_member(tx, MemberId(new_id()), locked.org_id, user_id, email=locked.email)
        if joined is None:
            raise MemberIsSuspended("somebody who manages the organization's members can end the suspension")
        member, is_new = joined
        if is_new:
            emit(tx, MemberJoined(member_id=member.id, org_id=member.org_id, user_id=user_id), version=member.version)
            members.tell(tx, member)
            announce(tx, "access", {"user_id": str(user_id)})
        if locked.roles:
            job = GrantInvited(invitation_id=locked.id, user_id=user_id)
            enqueue(tx, job, at=tx.now + timedelta(seconds=30), dedupe=f"{locked.id} {user_id}")
    if locked.roles:
        await _grant_at_once(principal, locked, user_id)
    return member


async def _grant_at_once(principal: Principal, invitation: Invitation, user_id: UserId) -> None:
    """Give the roles now and call the job off, which else might give again what an administrator took right after."""
    try:
        await grant_roles(invitation, user_id)
    except RemoteUnavailable:
        return
    async with write(principal) as tx:
        cancel_jobs(tx, GrantInvited, f"{invitation.id} {user_id}")


async def _check_inviter(invitation: Invitation) -> None:
    """Return while the inviter may still invite, and give what the invitation promises.

    Raises:
        InvitationOver
    """
    inviter = Principal(kind="person", id=invitation.created_by)
    if await lacking(inviter, ["invitation:manage"], within(org_id=invitation.org_id)):
        raise InvitationOver("who invited you may not invite any more; ask somebody else for a new one")
    for role in invitation.roles:
        if await client(RbacCalls).lacking(inviter, role, invitation.org_id):
            raise InvitationOver("who invited you may not give its roles any more; ask for a new one")
