"""Use cases of bans: hear of a decision or its reversal, and carry out what holds.

News come in any order and more than once: each decision has one row, in which facts only come to be. What holds then is carried out
by a job, because rbac is asked.
"""

from dataclasses import replace
from datetime import timedelta

from api.core.organization.ban import store
from api.core.organization.ban.check import take_turns, try_again
from api.core.organization.contract import CarryOutBans, MemberBanRefused, MemberState
from api.core.organization.member import store as members
from api.core.organization.member.logic import tell_state
from api.core.organization.member.store import Member
from api.core.rbac.contract import LastOwner, RbacCalls
from api.platform.moderation.contract import Decided
from cluster.base.ids import OrgId, UserId
from cluster.base.principal import Principal
from cluster.data import Transaction, read, write
from cluster.events import emit
from cluster.jobs import enqueue
from cluster.people.calls import client
from cluster.signals.broadcast import announce

_AGAIN_AFTER = timedelta(minutes=1)


async def follow_decision(tx: Transaction, event: Decided) -> None:
    """Note a ban or its reversal, and have it carried out; a ban that ends, at its end once more."""
    if event.org_id is None or event.user_id is None:
        return
    if "ban" in event.actions:
        await take_turns(tx, event.org_id, event.user_id)
        await store.upsert_banned(tx, event.decision_id, event.org_id, event.user_id, event.until_at)
        if event.until_at is not None:
            over = CarryOutBans(org_id=event.org_id, user_id=event.user_id)
            enqueue(tx, over, at=event.until_at, dedupe=f"ban:{event.decision_id}")
    elif event.reverses_id is not None:
        await take_turns(tx, event.org_id, event.user_id)
        await store.upsert_reversed(tx, event.reverses_id, event.org_id, event.user_id)
    else:
        return
    enqueue(tx, CarryOutBans(org_id=event.org_id, user_id=event.user_id))


async def carry_out(caller: Principal, org_id: OrgId, user_id: UserId) -> None:
    """Suspend a member whom a ban keeps out, or reactivate one whom no ban keeps out any more. Safe to repeat.

    Of somebody who is no member the grants rest: courses have staff from elsewhere.

    The last owner is not suspended: an organization would be left to nobody. It is told, and done when there is another owner.
    Who was suspended by staff before stays so.
    """
    async with read() as db:
        standing = await store.find_standing(db, org_id, user_id)
        member = next(iter(await members.list_memberships(db, user_id, org_id)), None)
    if standing.banned:
        try:
            # Once more when it is suspended: the end of another ban may have been carried out halfway.
            await client(RbacCalls).suspend(org_id, user_id)
        except LastOwner:
            if member is not None and not standing.refused:
                await _refuse(caller, member)
            return
        if member is None:
            held = await _note_outsider(caller, org_id, user_id, banned=True)
        else:
            held = member.state != "active" or await _change(caller, member, banned=True)
        if not held:
            # The ban was reversed, or the person left meanwhile: no grant may rest without a suspension that shows.
            await client(RbacCalls).resume(org_id, user_id)
    elif standing.suspends:
        # Somebody may have joined since their ban ended: nothing but their grants is left to be resumed.
        await client(RbacCalls).resume(org_id, user_id)
        if member is None or member.state == "active":
            held = await _note_outsider(caller, org_id, user_id, banned=False)
        else:
            held = await _change(caller, member, banned=False)
        if not held:
            await client(RbacCalls).suspend(org_id, user_id)


async def _note_outsider(caller: Principal, org_id: OrgId, user_id: UserId, *, banned: bool) -> bool:
    """Note that the grants of somebody rest without a suspended membership, or count again; False: bans say otherwise by now."""
    async with write(caller) as tx:
        await take_turns(tx, org_id, user_id)
        standing = await store.find_standing(tx, org_id, user_id)
        member = next(iter(await members.list_memberships(tx, user_id, org_id)), None)
        if standing.banned != banned or (member is not None and member.state == "suspended"):
            return False
        await store.update_carried_out(tx, org_id, user_id, suspends=banned)
    return True


async def _change(caller: Principal, seen: Member, *, banned: bool) -> bool:
    """Write what bans say, and return whether the membership is as they wanted it."""
    wanted: MemberState = "suspended" if banned else "active"
    async with write(caller) as tx:
        await take_turns(tx, seen.org_id, seen.user_id)
        standing = await store.find_standing(tx, seen.org_id, seen.user_id)
        member = await members.lock_member(tx, seen.id)
        if standing.banned != banned or member.state != seen.state:
            return member.state == wanted
        if not banned:
            # An owner who is back lets go of one whose ban waits.
            await try_again(tx, seen.org_id)
        changed = await members.update_member(tx, replace(member, state=wanted))
        await store.update_carried_out(tx, seen.org_id, seen.user_id, suspends=banned)
        tell_state(tx, changed)
        announce(tx, "access", {"user_id": str(changed.user_id)})
    return True


async def _refuse(caller: Principal, seen: Member) -> None:
    async with write(caller) as tx:
        member = await members.lock_member(tx, seen.id)
        await store.update_carried_out(tx, seen.org_id, seen.user_id, refused=True)
        told = MemberBanRefused(member_id=member.id, org_id=member.org_id, user_id=member.user_id)
        emit(tx, told, version=member.version)
        # News of another owner may have come before this was noted, and found nothing that waits.
        again = CarryOutBans(org_id=seen.org_id, user_id=seen.user_id)
        dedupe = f"ban again:{seen.org_id}:{seen.user_id}"
        enqueue(tx, again, at=tx.now + _AGAIN_AFTER, dedupe=dedupe)
