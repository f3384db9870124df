"""Members: what an organization keeps of its people, and how they come to leave."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from api.core.organization import invitation_store, store
from api.core.organization.contract import (
    InvitationRevoked,
    MemberId,
    MemberLeft,
    MemberNotActive,
    MemberNotFound,
    MemberState,
    MemberUpdated,
)
from api.core.organization.store import Member, MemberFilter
from api.core.rbac.contract import BeyondOwnRights, RbacCalls
from cluster.base.ids import OrgId, UserId
from cluster.base.principal import Principal
from cluster.base.problems import Stale
from cluster.data import Transaction, read, write
from cluster.events import emit
from cluster.people.access import permit, reach_of
from cluster.people.calls import client
from cluster.signals.broadcast import announce


async def list_members(principal: Principal, wanted: MemberFilter, after: UUID | None, limit: int) -> Sequence[Member]:
    reach = await reach_of(principal, "member:read")
    async with read() as db:
        return await store.list_members(db, reach, wanted, after, limit)


async def get_member(principal: Principal, member_id: MemberId) -> Member:
    return await _permit(principal, "member:read", member_id)


async def _permit(principal: Principal, permission: str, member_id: MemberId) -> Member:
    async with read() as db:
        guarded = await store.find_member(db, member_id)
    return await permit(principal, permission, guarded, missing=MemberNotFound)


async def change_member(principal: Principal, member_id: MemberId, version: int, changes: dict[str, Any]) -> Member:
    """Change what the organization keeps of a member.

    Raises:
        MemberNotFound, ExternalIdTaken, Stale
    """
    await _permit(principal, "member:edit", member_id)
    async with write(principal, result=member_id) as tx:
        present = await store.lock_member(tx, member_id)
        if present.version != version:
            raise Stale(present.version)
        return await _update(tx, present, state=present.state, changes=changes)


def tell(tx: Transaction, member: Member) -> None:
    """Tell what a membership is after a change."""
    event = MemberUpdated(
        member_id=member.id,
        org_id=member.org_id,
        user_id=member.user_id,
        state=member.state,
        removed=member.removed,
    )
    emit(tx, event, version=member.version)


async def _update(tx: Transaction, present: Member, *, state: MemberState, changes: dict[str, Any]) -> Member:
    member = await store.update_member(
        tx,
        present.id,
        display_name=changes.get("display_name", present.display_name),
        external_id=changes.get("external_id", present.external_id),
        email=changes.get("email", present.email),
        state=state,
        removed=present.removed,
    )
    tell(tx, member)
    if present.state != member.state:
        announce(tx, "access", {"user_id": str(member.user_id)})
    return member


async def _permit_to_shut_out(principal: Principal, member_id: MemberId) -> Member:
    """Return the member whom `principal` may suspend or remove: nobody who may do more than they.

    Raises:
        MemberNotFound, BeyondOwnRights
    """
    member = await _permit(principal, "member:remove", member_id)
    missing = await client(RbacCalls).lacking_against(principal, member.user_id, member.org_id)
    if missing:
        raise BeyondOwnRights("this member may do more than you here; ask an owner", permissions=missing)
    return member


async def suspend(principal: Principal, member_id: MemberId) -> Member:
    """Shut a member out until further notice; what they had comes back with `reactivate`.

    Raises:
        MemberNotFound, MemberNotActive, BeyondOwnRights, LastOwner
    """
    seen = await _permit_to_shut_out(principal, member_id)
    if seen.state == "left":
        raise MemberNotActive("who left is shut out already")
    await client(RbacCalls).suspend(seen.org_id, seen.user_id)
    try:
        return await _move(principal, member_id, "active", "suspended")
    except MemberNotActive:
        # They left meanwhile: should they come back, nothing of theirs may rest without a suspension that shows.
        await client(RbacCalls).resume(seen.org_id, seen.user_id)
        raise


async def reactivate(principal: Principal, member_id: MemberId) -> Member:
    """Reactivate a suspended membership.

    Raises:
        MemberNotFound, MemberNotActive, BeyondOwnRights
    """
    seen = await _permit_to_shut_out(principal, member_id)
    if seen.state == "left":
        raise MemberNotActive("who left comes back by an invitation: POST /v1/invitations")
    await client(RbacCalls).resume(seen.org_id, seen.user_id)
    return await _move(principal, member_id, "suspended", "active")


async def _move(principal: Principal, member_id: MemberId, state: MemberState, to: MemberState) -> Member:
    async with write(principal, result=member_id) as tx:
        present = await store.lock_member(tx, member_id)
        if present.state == to:
            return present
        if present.state != state:
            raise MemberNotActive("they left meanwhile")
        return await _update(tx, present, state=to, changes={})


async def remove(principal: Principal, member_id: MemberId) -> Member:
    """End a membership and all grants with it.

    Raises:
        MemberNotFound, BeyondOwnRights, LastOwner
    """
    return await _leave(principal, await _permit_to_shut_out(principal, member_id), removed=True)


async def leave(principal: Principal, member_id: MemberId) -> Member:
    """End one's own membership of an organization.

    Raises:
        MemberNotFound, LastOwner
    """
    return await _leave(principal, await _permit(principal, "member:leave", member_id), removed=False)


async def _leave(principal: Principal, member: Member, *, removed: bool) -> Member:
    # Rights first: who is seen to have left must have none. And last: an acceptance under way may have given some meanwhile; if
    # it gives them later, it sees that the member has left.
    await client(RbacCalls).revoke_all(member.user_id, member.org_id, principal.id)
    async with write(principal, result=member.id) as tx:
        left = await store.lock_member(tx, member.id)
        if left.state != "left":
            left = await _mark_left(tx, left, removed=removed)
    await client(RbacCalls).revoke_all(member.user_id, member.org_id, principal.id)
    return left


async def _mark_left(tx: Transaction, present: Member, *, removed: bool) -> Member:
    left = await store.update_member(
        tx,
        present.id,
        display_name=present.display_name,
        external_id=None,
        email=present.email,
        state="left",
        removed=removed or present.state == "suspended",
    )
    event = MemberLeft(member_id=left.id, org_id=left.org_id, user_id=left.user_id, removed=removed)
    emit(tx, event, version=left.version)
    tell(tx, left)
    for invitation in await invitation_store.revoke_of_inviter(tx, left.org_id, left.user_id):
        revoked = InvitationRevoked(invitation_id=invitation.id, org_id=invitation.org_id)
        emit(tx, revoked, version=invitation.version)
    announce(tx, "access", {"user_id": str(left.user_id)})
    return left


async def let_go(actor: Principal, user_id: UserId, org_id: OrgId | None) -> None:
    """End a person's memberships, in one organization or in all, and forget the addresses they were invited at.

    Raises:
        LastOwner
    """
    async with read() as db:
        memberships = await store.list_memberships(db, user_id, org_id)
    for member in memberships:
        await _leave(actor, member, removed=True)
    async with write(actor) as tx:
        for invitation in await invitation_store.forget_addresses(tx, user_id, org_id):
            emit(
                tx, InvitationRevoked(invitation_id=invitation.id, org_id=invitation.org_id), version=invitation.version
            )
