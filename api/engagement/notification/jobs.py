"""Durable work of notification: spreading, delivering, and forgetting what is old."""

from datetime import UTC, datetime
from functools import partial

from api.engagement.notification import upkeep
from api.engagement.notification.announcement import process as announcements
from api.engagement.notification.contract import Announce, Deliver, DeliverTexts, FollowAnnouncement, Spread
from api.engagement.notification.delivery import logic as delivery
from api.engagement.notification.spreading import logic as spreading
from cluster.jobs import JobRun, cron, in_batches, perform


def clock() -> datetime:
    """Return the time by which things are due."""
    return datetime.now(UTC)


@perform(Spread)
async def spread(run: JobRun, args: Spread) -> None:
    await spreading.spread(run, args.occasion_id)


@perform(Deliver)
async def deliver(run: JobRun, args: Deliver) -> None:
    await delivery.deliver(run, args.channel, args.shard, clock)


@perform(DeliverTexts)
async def deliver_texts(run: JobRun, args: DeliverTexts) -> None:
    await delivery.deliver(run, "sms", args.shard, clock)


@perform(Announce)
async def announce(run: JobRun, args: Announce) -> None:
    await announcements.announce(run.principal, args.announcement_id)


@perform(FollowAnnouncement)
async def follow_announcement(run: JobRun, args: FollowAnnouncement) -> None:
    await announcements.follow(run, args.announcement_id)


@cron("notification.sweep", "*/5 * * * *")
async def sweep(run: JobRun) -> None:
    """Have every shard looked after for which something waits, whatever became of its job."""
    await delivery.enqueue_all(run.principal)


@cron("notification.purge", "23 4 * * *", lane="bulk")
async def purge(run: JobRun) -> None:
    """Forget what nobody looks at any more."""
    for step in upkeep.STEPS:
        await in_batches(run, partial(step, run.principal))
