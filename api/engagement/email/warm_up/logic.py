"""Use cases of warm-up plans."""

from collections.abc import Sequence
from uuid import UUID
from zoneinfo import ZoneInfo

from api.engagement.email.contract import Lane, LookAgain, SenderId, SenderNotFound, WarmUpNotFound
from api.engagement.email.delivery.logic import enqueue_delivery
from api.engagement.email.letter.store import upsert_destinations
from api.engagement.email.offers import TIME_ZONE
from api.engagement.email.sender import store as senders
from api.engagement.email.sender.logic import get_sender
from api.engagement.email.warm_up import store
from api.engagement.email.warm_up.rules import Plan, check_steps
from cluster.base.principal import Principal
from cluster.data import read, write
from cluster.jobs import JobRun, enqueue
from cluster.people.access import permitted
from cluster.people.org_settings import setting


async def get_warm_up(caller: Principal, sender_id: SenderId) -> Plan:
    """Return how a sender warms up.

    Raises:
        SenderNotFound, WarmUpNotFound
    """
    plan = (await get_sender(caller, sender_id)).warm_up
    if plan is None:
        raise WarmUpNotFound("it sends as many letters as there are")
    return plan


async def set_warm_up(caller: Principal, sender_id: SenderId, steps: Sequence[int]) -> Plan:
    """Let a sender warm up from today on; the steps that it has already change nothing.

    Raises:
        SenderNotFound, Invalid
    """
    sender = await permitted(caller, "sender:edit", senders.find_sender, sender_id, missing=SenderNotFound)
    check_steps(steps)
    time_zone = await setting(TIME_ZONE, sender.org_id)
    async with write(caller, result=sender_id) as tx:
        if await senders.lock_sender(tx, sender_id) is None:
            raise SenderNotFound
        today = tx.now.astimezone(ZoneInfo(time_zone)).date()
        if await store.upsert_warm_up(tx, sender_id, steps=steps, started_on=today, time_zone=time_zone):
            enqueue(tx, LookAgain(sender_id=sender_id), dedupe=str(sender_id))
    return await get_warm_up(caller, sender_id)


async def end_warm_up(caller: Principal, sender_id: SenderId) -> None:
    """End the plan of a sender; without one nothing changes.

    Raises:
        SenderNotFound
    """
    await permitted(caller, "sender:edit", senders.find_sender, sender_id, missing=SenderNotFound)
    async with write(caller, result=sender_id, status=204) as tx:
        if await store.delete_warm_up(tx, sender_id):
            enqueue(tx, LookAgain(sender_id=sender_id), dedupe=str(sender_id))


async def look_again(run: JobRun, sender_id: SenderId, limit: int = 2000) -> None:
    """Have each letter looked at once more that waits for its sender's next day."""
    after: UUID | None = None
    while True:
        async with write(run.principal) as tx:
            found = await store.list_postponed(tx, sender_id, after, limit)
            if found:
                await upsert_destinations(tx, {(each.lane, each.sender_domain, each.domain) for each in found})
                await store.update_due(tx, [each.id for each in found])
                lanes: set[Lane] = {each.lane for each in found}
                for lane in lanes:
                    enqueue_delivery(tx, lane)
        if len(found) < limit:
            return
        after = found[-1].id
        await run.extend()


async def follow_zones(caller: Principal, limit: int = 500) -> None:
    """Have plans count their days as the organizations' clocks show them now."""
    after: UUID | None = None
    while True:
        async with read() as db:
            plans = await store.list_zones(db, after, limit)
        for plan in plans:
            time_zone = await setting(TIME_ZONE, plan.org_id)
            if time_zone != plan.time_zone:
                async with write(caller) as tx:
                    await store.update_zone(tx, plan.sender_id, time_zone)
        if len(plans) < limit:
            return
        after = plans[-1].sender_id
