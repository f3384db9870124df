"""Use cases of members: list, change, suspend and reactivate them, and end memberships."""

from dataclasses import replace
from typing import Any

import asyncpg

from api.core.organization.ban import store as bans
from api.core.organization.ban.check import refuse_banned, take_turns, try_again
from api.core.organization.contract import (
    ExternalIdTaken,
    InvitationRevoked,
    MemberId,
    MemberIsBanned,
    MemberLeft,
    MemberNotActive,
    MemberNotFound,
    MemberState,
    MemberUpdated,
)
from api.core.organization.invitation import store as invitations
from api.core.organization.invitation.store import Invitation
from api.core.organization.member import store
from api.core.organization.member.store import Member, MemberFilter
from api.core.rbac.contract import BeyondOwnRights, RbacCalls
from cluster.base.principal import Principal
from cluster.base.problems import Stale
from cluster.data import Transaction, read, write
from cluster.events import emit
from cluster.people import erasure
from cluster.people.access import permitted, reach_of
from cluster.people.calls import client
from cluster.people.erasure import Erasing
from cluster.signals.broadcast import announce

_BATCH = 500


async def list_members(caller: Principal, wanted: MemberFilter, *, before: MemberId | None, limit: int) -> list[Member]:
    """List the memberships that the caller may see, newest first."""
    reach = await reach_of(caller, "member:read")
    async with read() as db:
        return await store.list_members(db, reach, wanted, before=before, limit=limit)


async def get_member(caller: Principal, member_id: MemberId) -> Member:
    return await permitted(caller, "member:read", store.find_member, member_id, missing=MemberNotFound)


async def change_member(
    caller: Principal, member_id: MemberId, changes: dict[str, Any], expected_version: int
) -> Member:
    """Change what the organization keeps of a member.

    Raises:
        MemberNotFound, ExternalIdTaken, Stale
    """
    await permitted(caller, "member:edit", store.find_member, member_id, missing=MemberNotFound)
    async with write(caller, result=member_id) as tx:
        present = await store.lock_member(tx, member_id)
        if present.version != expected_version:
            raise Stale(present.version)
        try:
            changed = await store.update_member(tx, replace(present, **changes))
        except asyncpg.UniqueViolationError:
            detail = f"another member has the id {changes.get('external_id')} here"
            raise ExternalIdTaken(detail, pointer="/external_id") from None
        tell_state(tx, changed)
    return changed


def tell_state(tx: Transaction, member: Member) -> None:
    """Emit what others project of a membership, after a change of it."""
    event = MemberUpdated(
        member_id=member.id,
        org_id=member.org_id,
        user_id=member.user_id,
        state=member.state,
        removed=member.removed,
    )
    emit(tx, event, version=member.version)


async def suspend(caller: Principal, member_id: MemberId) -> Member:
    """Suspend a membership: its grants rest until `reactivate`.

    Raises:
        MemberNotFound, MemberNotActive, BeyondOwnRights, LastOwner
    """
    seen = await _permitted_to_remove(caller, member_id)
    if seen.state == "left":
        raise MemberNotActive("this person has left: there is nothing to suspend")
    await client(RbacCalls).suspend(seen.org_id, seen.user_id)
    try:
        return await _change_state(caller, seen, "active", "suspended")
    except MemberNotActive:
        # The person left meanwhile: after a return no grant may rest without a suspension that shows.
        await client(RbacCalls).resume(seen.org_id, seen.user_id)
        raise


async def reactivate(caller: Principal, member_id: MemberId) -> Member:
    """Reactivate a suspended membership.

    Raises:
        MemberNotFound, MemberNotActive, BeyondOwnRights, MemberIsBanned
    """
    seen = await _permitted_to_remove(caller, member_id)
    if seen.state == "left":
        raise MemberNotActive("this person has left and comes back by an invitation: POST /v1/invitations")
    async with read() as db:
        await refuse_banned(db, seen.org_id, seen.user_id)
    await client(RbacCalls).resume(seen.org_id, seen.user_id)
    try:
        return await _change_state(caller, seen, "suspended", "active")
    except MemberIsBanned:
        # Banned meanwhile: what the ban let rest before is resumed by now.
        await client(RbacCalls).suspend(seen.org_id, seen.user_id)
        raise


async def _permitted_to_remove(caller: Principal, member_id: MemberId) -> Member:
    """Return a member whom the caller may suspend or remove: nobody with rights that the caller lacks.

    Raises:
        MemberNotFound, BeyondOwnRights
    """
    member = await permitted(caller, "member:remove", store.find_member, member_id, missing=MemberNotFound)
    missing = await client(RbacCalls).lacking_against(caller, member.user_id, member.org_id)
    if missing:
        raise BeyondOwnRights("this member may do more than you here; ask an owner", permissions=missing)
    return member


async def _change_state(caller: Principal, seen: Member, present: MemberState, wanted: MemberState) -> Member:
    async with write(caller, result=seen.id) as tx:
        if wanted == "active":
            await take_turns(tx, seen.org_id, seen.user_id)
            await refuse_banned(tx, seen.org_id, seen.user_id)
        member = await store.lock_member(tx, seen.id)
        if wanted == "suspended":
            # Who was banned before stays suspended after the ban.
            await bans.update_carried_out(tx, member.org_id, member.user_id)
        else:
            await try_again(tx, member.org_id)
        if member.state == wanted:
            return member
        if member.state != present:
            raise MemberNotActive("this person left meanwhile")
        changed = await store.update_member(tx, replace(member, state=wanted))
        tell_state(tx, changed)
        announce(tx, "access", {"user_id": str(changed.user_id)})
    return changed


async def remove(caller: Principal, member_id: MemberId) -> Member:
    """End a membership and all grants with it.

    Raises:
        MemberNotFound, BeyondOwnRights, LastOwner
    """
    return await _end(caller, await _permitted_to_remove(caller, member_id), removed=True)


async def leave(caller: Principal, member_id: MemberId) -> Member:
    """End one's own membership of an organization.

    Raises:
        MemberNotFound, LastOwner
    """
    member = await permitted(caller, "member:leave", store.find_member, member_id, missing=MemberNotFound)
    return await _end(caller, member, removed=False)


async def end_memberships(caller: Principal, request: Erasing) -> None:
    """End a person's memberships, in one organization or in all, and delete their address in invitations, used or not.

    Raises:
        LastOwner
    """
    async with read() as db:
        memberships = await store.list_memberships(db, request.user_id, request.org_id)
    for member in memberships:
        await _end(caller, member, removed=True)
    async with write(caller) as tx:
        used = await invitations.delete_addresses(tx, request.user_id, request.org_id)
        _tell_revoked(tx, used)
        await erasure.count(tx, request, rows=len(used))
    full = True
    while full:
        async with write(caller) as tx:
            invited = await invitations.delete_invited_addresses(tx, request.addresses, request.org_id, limit=_BATCH)
            _tell_revoked(tx, invited)
            await erasure.count(tx, request, rows=len(invited))
        full = len(invited) == _BATCH


async def _end(caller: Principal, member: Member, *, removed: bool) -> Member:
    # Grants end first: a member who is seen to have left must have none. They end once more afterwards: an acceptance under way
    # may have given some meanwhile. One that gives them later sees that the member has left.
    await client(RbacCalls).revoke_all(member.user_id, member.org_id, caller.id)
    async with write(caller, result=member.id) as tx:
        left = await store.lock_member(tx, member.id)
        if left.state != "left":
            left = await _mark_left(tx, left, removed=removed)
    await client(RbacCalls).revoke_all(member.user_id, member.org_id, caller.id)
    return left


async def _mark_left(tx: Transaction, present: Member, *, removed: bool) -> Member:
    left = await store.update_member(
        tx,
        replace(present, state="left", external_id=None, removed=removed or present.state == "suspended"),
    )
    event = MemberLeft(member_id=left.id, org_id=left.org_id, user_id=left.user_id, removed=removed)
    emit(tx, event, version=left.version)
    tell_state(tx, left)
    _tell_revoked(tx, await invitations.update_revoked_of_inviter(tx, left.org_id, left.user_id))
    announce(tx, "access", {"user_id": str(left.user_id)})
    return left


def _tell_revoked(tx: Transaction, revoked: list[Invitation]) -> None:
    for invitation in revoked:
        event = InvitationRevoked(invitation_id=invitation.id, org_id=invitation.org_id)
        emit(tx, event, version=invitation.version)
