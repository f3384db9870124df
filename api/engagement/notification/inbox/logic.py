"""Use cases of an inbox: list, count, read and archive. What is read in one place is not told in another."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from api.engagement.notification.contract import (
    AWAY_CHANNELS,
    AwayChannel,
    NotificationId,
    NotificationNotFound,
    State,
)
from api.engagement.notification.delivery import store as deliveries
from api.engagement.notification.delivery.store import Delivery, LogEntry
from api.engagement.notification.inbox import live, store
from api.engagement.notification.inbox.store import Change, Counter, InboxFilter, Notification
from api.engagement.notification.texting import providers
from cluster.base.ids import UserId
from cluster.base.principal import Principal
from cluster.base.registry import offers
from cluster.data import Transaction, read, write
from cluster.people.access import Guarded, permit, permitted, reach_of
from cluster.people.notices import Notice


async def list_notifications(
    caller: Principal, wanted: InboxFilter, *, before: int | None, limit: int
) -> list[Notification]:
    user_id = (await reach_of(caller, "notification:read")).own
    if user_id is None:
        return []
    async with read() as db:
        return await store.list_notifications(db, user_id, wanted, before=before, limit=limit)


async def get_notification(caller: Principal, notification_id: NotificationId) -> Notification:
    return await permitted(
        caller, "notification:read", store.find_notification, notification_id, missing=NotificationNotFound
    )


async def get_counter(caller: Principal) -> Counter:
    """Return how much is unread, and the newest number."""
    user_id = caller.person()
    await permit(caller, "notification:read", Guarded(user_id, owner_id=user_id))
    async with read() as db:
        return await store.find_counter(db, user_id)


async def get_counter_of(caller: Principal, _: UUID) -> Counter:
    return await get_counter(caller)


async def read_up_to(caller: Principal, up_to_seq: int) -> Counter:
    """Mark everything up to a number as read. A repetition changes nothing."""
    user_id = caller.person()
    await permit(caller, "notification:edit", Guarded(user_id, owner_id=user_id))
    async with write(caller, result=user_id) as tx:
        await store.lock_people(tx, [user_id])
        ids = await store.update_read_up_to(tx, user_id, up_to_seq)
        if ids:
            await deliveries.update_skipped(tx, user_id, ids, "read")
            await _change(tx, Change(user_id=user_id, kind="read", up_to_seq=up_to_seq, unread=-len(ids)))
        return await store.find_counter(tx, user_id)


async def set_state(caller: Principal, notification_id: NotificationId, state: State) -> Notification:
    """Read, unread or archive one notification; other channels do not tell it any more once it was read."""
    present = await permitted(
        caller, "notification:edit", store.find_notification, notification_id, missing=NotificationNotFound
    )
    user_id = present.user_id
    async with write(caller, result=notification_id) as tx:
        await store.lock_people(tx, [user_id])
        changed = await store.update_state(tx, notification_id, state)
        if changed is not None:
            notification, before = changed
            if state != "unread":
                await deliveries.update_skipped(tx, user_id, [notification_id], "read")
            unread = int(state == "unread") - int(before == "unread")
            change = Change(user_id=user_id, kind=state, notification_id=notification_id, unread=unread)
            await _change(tx, change)
            return notification
    return await get_notification(caller, notification_id)


async def withdraw(tx: Transaction, ids: Sequence[NotificationId], user_ids: Sequence[UserId]) -> None:
    """Take notifications out of the inboxes of these people: what they told of is gone at its source."""
    await store.lock_people(tx, list(user_ids))
    withdrawn = await store.update_withdrawn(tx, ids)
    await deliveries.update_withdrawn(tx, [id for id, _, _ in withdrawn])
    await _change(
        tx,
        *(
            Change(user_id=user_id, kind="withdrawn", notification_id=id, unread=-int(state == "unread"))
            for id, user_id, state in withdrawn
        ),
    )


async def change_words(
    tx: Transaction, ids: Sequence[NotificationId], user_ids: Sequence[UserId], *, title: str, body: str
) -> None:
    """Let notifications of these people say something else, and have their open pages show it."""
    await store.lock_people(tx, list(user_ids))
    changed = await store.update_words(tx, ids, title=title, body=body)
    await _change(tx, *(Change(user_id=user_id, kind="changed", notification_id=id) for id, user_id in changed))


async def _change(tx: Transaction, *changes: Change) -> None:
    if changes:
        for user_id, seq in (await store.insert_changes(tx, changes)).items():
            live.tell_inbox(tx, user_id, seq)


@dataclass(frozen=True, slots=True)
class Deliveries:
    """The channels by which a notification was to be told, each with its log, and those by which it is not told at all."""

    of: Notification
    planned: list[tuple[Delivery, list[LogEntry]]]
    not_offered: list[AwayChannel]
    off: list[AwayChannel]
    """The person does not want to be told so."""


async def list_deliveries(caller: Principal, notification_id: NotificationId) -> Deliveries:
    """List by which channels a notification was told, or why not, each with its log."""
    notification = await get_notification(caller, notification_id)
    async with read() as db:
        found = await deliveries.list_deliveries(db, notification_id)
        log = await deliveries.list_log(db, [each.id for each in found])
    planned = [(each, [entry for entry in log if entry.delivery_id == each.id]) for each in found]
    absent: list[AwayChannel] = [
        channel for channel in AWAY_CHANNELS if channel not in {each.channel for each in found}
    ]
    notice = next((each for each in offers(Notice) if each.name == notification.notice_slug), None)
    sms = notice is not None and "sms" in notice.channels and providers.provider() is not None
    off: list[AwayChannel] = [channel for channel in absent if channel == "sms" and sms]
    return Deliveries(notification, planned, [channel for channel in absent if channel not in off], off)
