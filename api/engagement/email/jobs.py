"""Durable work of email: hand letters over lane by lane, and forget them in time."""

from functools import partial

from api.engagement.email.contract import DeliverBulk, DeliverPersonal, DeliverSecurity, Lane, LetGo, LookAgain
from api.engagement.email.delivery import logic as delivery
from api.engagement.email.hold import logic as holds
from api.engagement.email.letter import logic as letters
from api.engagement.email.receiving import logic as receiving
from api.engagement.email.sender import logic as senders
from api.engagement.email.warm_up import logic as warm_ups
from cluster.jobs import JobRun, cron, in_batches, perform


@perform(DeliverSecurity)
async def deliver_security(run: JobRun, args: DeliverSecurity) -> None:
    await delivery.deliver(run.principal, "security")


@perform(DeliverPersonal)
async def deliver_personal(run: JobRun, args: DeliverPersonal) -> None:
    await delivery.deliver(run.principal, "personal")


@perform(DeliverBulk)
async def deliver_bulk(run: JobRun, args: DeliverBulk) -> None:
    await delivery.deliver(run.principal, "bulk")


@perform(LetGo)
async def let_go(run: JobRun, args: LetGo) -> None:
    await in_batches(run, partial(holds.let_go, run.principal, args.org_id))


@perform(LookAgain)
async def look_again(run: JobRun, args: LookAgain) -> None:
    await warm_ups.look_again(run, args.sender_id)


@cron("email.wake", "* * * * *")
async def wake(run: JobRun) -> None:
    """Have letters handed over that wait though no job does: the one that stood for them is dead."""
    lanes: tuple[Lane, ...] = ("security", "personal", "bulk")
    for lane in lanes:
        await delivery.wake(run.principal, lane)


@cron("email.check_senders", "19 * * * *", lane="bulk")
async def check_senders(run: JobRun) -> None:
    """Ask DNS whether it still allows each sender."""
    await in_batches(run, partial(senders.check_due, run.principal), limit=20)


@cron("email.follow_zones", "23 * * * *", lane="bulk")
async def follow_zones(run: JobRun) -> None:
    """Have warm-up plans count their days in the time zones that organizations chose."""
    await warm_ups.follow_zones(run.principal)


@cron("email.purge", "47 3 * * *", lane="bulk")
async def purge(run: JobRun) -> None:
    """Delete addresses and words 7 days after a letter's end, and the rest after 90."""
    await in_batches(run, partial(holds.expire, run.principal))
    await in_batches(run, partial(letters.delete_content, run.principal), limit=5000)
    await in_batches(run, partial(receiving.delete_words, run.principal), limit=5000)
    await in_batches(run, partial(receiving.delete_received, run.principal), limit=5000)
    await in_batches(run, partial(letters.delete_letters, run.principal), limit=5000)
