"""Use cases of holding letters back: what is heard of organizations, and letting go."""

from api.engagement.email.contract import LetGo
from api.engagement.email.delivery.logic import enqueue_delivery
from api.engagement.email.hold import store
from api.engagement.email.letter.store import upsert_destinations
from cluster.base.ids import OrgId
from cluster.base.principal import Principal
from cluster.data import Transaction, write
from cluster.jobs import enqueue


async def note_organization(tx: Transaction, org_id: OrgId, *, suspended: bool, version: int) -> None:
    """Remember whether an organization is suspended. Those who hand letters over look there; older news change nothing."""
    changed = await store.upsert_organization(tx, org_id, suspended=suspended, version=version)
    if changed and not suspended and await store.find_held(tx, org_id) is not None:
        enqueue(tx, LetGo(org_id=org_id), dedupe=str(org_id))


async def let_go(caller: Principal, org_id: OrgId, limit: int) -> int:
    """Let up to `limit` letters of an organization go on, and return how many; the limit too when some are being changed now.

    None while it is suspended again.
    """
    async with write(caller) as tx:
        # One at a time: a letter that another one let go may be under way, under locks in another order.
        await tx.take_turns("email.let_go", org_id)
        if await store.find_suspended(tx, org_id):
            return 0
        held = await store.list_held(tx, org_id, limit)
        if held:
            await upsert_destinations(tx, {(each.lane, each.sender_domain, each.domain) for each in held})
            gone = await store.update_let_go(tx, [each.letter_id for each in held])
            enqueue_delivery(tx, "bulk")
            return limit if gone < len(held) else gone
    return 0


async def expire(caller: Principal, limit: int) -> int:
    """End up to `limit` letters that wait though their time is over; return how many."""
    async with write(caller) as tx:
        over = await store.list_expired(tx, limit)
        if over:
            await store.update_expired(tx, over)
    return len(over)
