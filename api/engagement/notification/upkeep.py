"""Forget what is old: notifications after a year, what they were made of after 60 days."""

from datetime import timedelta

from api.engagement.notification.announcement import store as announcements
from api.engagement.notification.batch import store as batches
from api.engagement.notification.device import store as devices
from api.engagement.notification.inbox import store as inboxes
from api.engagement.notification.spreading import store as occasions
from api.engagement.notification.texting import store as phones
from cluster.base.principal import Principal
from cluster.data import write

NOTIFICATIONS_KEPT = timedelta(days=365)
OCCASIONS_KEPT = timedelta(days=60)
"""Longer than anything is held: a weekly digest that quiet hours and outages put off."""
BATCHES_KEPT = timedelta(days=2)
DEVICES_KEPT = timedelta(days=30)
CODES_KEPT = timedelta(days=2)


async def purge_notifications(platform: Principal, limit: int) -> int:
    async with write(platform) as tx:
        return await inboxes.delete_old(tx, tx.now - NOTIFICATIONS_KEPT, limit)


async def purge_occasions(platform: Principal, limit: int) -> int:
    async with write(platform) as tx:
        return await occasions.delete_old(tx, tx.now - OCCASIONS_KEPT, limit)


async def purge_batches(platform: Principal, limit: int) -> int:
    async with write(platform) as tx:
        return await batches.delete_old_batches(tx, tx.now - BATCHES_KEPT, limit)


async def purge_devices(platform: Principal, limit: int) -> int:
    async with write(platform) as tx:
        return await devices.delete_ended(tx, tx.now - DEVICES_KEPT, limit)


async def purge_phone_codes(platform: Principal, limit: int) -> int:
    async with write(platform) as tx:
        return await phones.delete_old_codes(tx, tx.now - CODES_KEPT, limit)


async def purge_phones(platform: Principal, limit: int) -> int:
    async with write(platform) as tx:
        return await phones.delete_ended_phones(tx, tx.now - DEVICES_KEPT, limit)


async def purge_announcements(platform: Principal, limit: int) -> int:
    async with write(platform) as tx:
        return await announcements.delete_old(tx, tx.now - NOTIFICATIONS_KEPT, limit)


STEPS = (
    purge_notifications,
    purge_announcements,
    purge_occasions,
    purge_batches,
    purge_devices,
    purge_phone_codes,
    purge_phones,
)
