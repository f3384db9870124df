"""The SQL of deliveries, their log, and what was sent together."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from api.engagement.notification.contract import (
    AwayChannel,
    Category,
    DeliveryId,
    DeliveryState,
    DeviceId,
    NotificationId,
    Reason,
)
from cluster.base.ids import OrgId, UserId
from cluster.data import Connection, Transaction
from cluster.people.notices import Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    id: DeliveryId
    notification_id: NotificationId
    channel: AwayChannel
    state: DeliveryState
    reason: Reason | None
    due_at: datetime


LIST_DELIVERIES = """
SELECT id, notification_id, channel, state, reason, due_at FROM notification.deliveries
WHERE notification_id = $notification_id ORDER BY channel LIMIT 10
"""


async def list_deliveries(db: Connection, notification_id: NotificationId) -> list[Delivery]:
    return await db.all(Delivery, LIST_DELIVERIES, notification_id=notification_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    delivery_id: DeliveryId
    state: DeliveryState
    reason: Reason | None
    device_id: DeviceId | None
    status: int | None
    due_at: datetime | None
    at: datetime


LIST_LOG = """
SELECT delivery_id, state, reason, device_id, status, due_at, at FROM notification.delivery_log
WHERE delivery_id = ANY($delivery_ids::uuid[]) ORDER BY id LIMIT 1000
"""


async def list_log(db: Connection, delivery_ids: Sequence[DeliveryId]) -> list[LogEntry]:
    return await db.all(LogEntry, LIST_LOG, delivery_ids=delivery_ids)


UPDATE_SKIPPED = """
WITH skipped AS (
    UPDATE notification.deliveries
    SET state = 'skipped', reason = $reason, version = version + 1, updated_at = $now
    WHERE user_id = $user_id AND state IN ('planned', 'held') AND notification_id = ANY($notification_ids::uuid[])
    RETURNING id, user_id
)
INSERT INTO notification.delivery_log (delivery_id, user_id, state, reason, at)
SELECT id, user_id, 'skipped', $reason, $now FROM skipped
"""


async def update_skipped(
    tx: Transaction, user_id: UserId, notification_ids: Sequence[NotificationId], reason: Reason
) -> None:
    """Let what waits of these notifications go untold."""
    await tx.run(UPDATE_SKIPPED, user_id=user_id, notification_ids=notification_ids, reason=reason)


UPDATE_WITHDRAWN = """
WITH skipped AS (
    UPDATE notification.deliveries
    SET state = 'skipped', reason = 'withdrawn', version = version + 1, updated_at = $now
    WHERE notification_id = ANY($notification_ids::uuid[]) AND state IN ('planned', 'held')
    RETURNING id, user_id
)
INSERT INTO notification.delivery_log (delivery_id, user_id, state, reason, at)
SELECT id, user_id, 'skipped', 'withdrawn', $now FROM skipped
"""


async def update_withdrawn(tx: Transaction, notification_ids: Sequence[NotificationId]) -> None:
    """Let what waits of these notifications go untold: they are withdrawn."""
    await tx.run(UPDATE_WITHDRAWN, notification_ids=notification_ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDelivery:
    id: DeliveryId
    notification_id: NotificationId
    user_id: UserId
    channel: AwayChannel
    shard: int
    state: DeliveryState
    reason: Reason | None
    due_at: datetime


INSERT_DELIVERIES = """
WITH inserted AS (
    INSERT INTO notification.deliveries
        (id, notification_id, user_id, channel, shard, state, reason, due_at, created_at, updated_at)
    SELECT w.*, $now, $now FROM unnest($ids::uuid[], $notification_ids::uuid[], $user_ids::uuid[], $channels::text[],
        $shards::smallint[], $states::text[], $reasons::text[], $dues::timestamptz[]) AS w
    RETURNING id, user_id, state, reason, due_at
)
INSERT INTO notification.delivery_log (delivery_id, user_id, state, reason, due_at, at)
SELECT id, user_id, state, reason, due_at, $now FROM inserted WHERE state = 'held'
"""


async def insert_deliveries(tx: Transaction, new: Sequence[NewDelivery]) -> None:
    """Insert deliveries. The log begins with the first that changes: what is skipped at once says so itself."""
    await tx.run(
        INSERT_DELIVERIES,
        ids=[each.id for each in new],
        notification_ids=[each.notification_id for each in new],
        user_ids=[each.user_id for each in new],
        channels=[each.channel for each in new],
        shards=[each.shard for each in new],
        states=[each.state for each in new],
        reasons=[each.reason for each in new],
        dues=[each.due_at for each in new],
    )


LIST_DUE_PEOPLE = """
SELECT DISTINCT user_id FROM (
    SELECT user_id FROM notification.deliveries
    WHERE channel = $channel AND shard = $shard AND state IN ('planned', 'held') AND due_at <= $at
    ORDER BY due_at LIMIT $limit
) AS due
"""


async def list_due_people(
    db: Connection, channel: AwayChannel, shard: int, *, at: datetime, limit: int
) -> list[UserId]:
    """List people of a shard for whom something is due."""
    rows = await db.rows(LIST_DUE_PEOPLE, channel=channel, shard=shard, at=at, limit=limit)
    return [row["user_id"] for row in rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A delivery that waits, or is being sent, with its notification."""

    id: DeliveryId
    notification_id: NotificationId
    user_id: UserId
    state: DeliveryState
    reason: Reason | None
    due_at: datetime
    batch_id: UUID | None
    attempts: int
    version: int
    seq: int
    occasion_id: UUID
    notice_slug: str
    category: Category
    severity: Severity
    topic_key: str | None
    org_id: OrgId | None
    course_id: UUID | None
    expires_at: datetime | None
    created_at: datetime
    read_at: datetime | None


_WAITING = """SELECT d.id, d.notification_id, d.user_id, d.state, d.reason, d.due_at, d.batch_id, d.attempts, d.version, n.seq,
    n.occasion_id, n.notice_slug, n.category, n.severity, n.topic_key, n.org_id, n.course_id, n.expires_at, n.created_at,
    n.read_at
FROM notification.deliveries d JOIN notification.notifications n ON n.id = d.notification_id """

LIST_WAITING = (
    _WAITING
    + """WHERE d.user_id = ANY($user_ids::uuid[]) AND d.channel = $channel AND d.state IN ('planned', 'held')
    ORDER BY d.user_id, n.seq LIMIT 5000"""
)


async def list_waiting(db: Connection, user_ids: Sequence[UserId], channel: AwayChannel) -> list[Waiting]:
    """List all that waits for these people, due or not, by person and age."""
    return await db.all(Waiting, LIST_WAITING, user_ids=user_ids, channel=channel)


LIST_OF_BATCHES = (
    _WAITING + "WHERE d.batch_id = ANY($batch_ids::uuid[]) AND d.state = 'sending' ORDER BY n.seq LIMIT 5000"
)


async def list_of_batches(db: Connection, batch_ids: Sequence[UUID]) -> list[Waiting]:
    return await db.all(Waiting, LIST_OF_BATCHES, batch_ids=batch_ids)


UPDATE_CLAIMED = """
UPDATE notification.deliveries d
SET state = 'sending', reason = NULL, batch_id = w.batch_id, attempts = attempts + 1, version = d.version + 1,
    updated_at = $now
FROM unnest($ids::uuid[], $batch_ids::uuid[]) AS w (id, batch_id)
WHERE d.id = w.id AND d.state IN ('planned', 'held') AND EXISTS (
    SELECT FROM notification.notifications n
    WHERE n.id = d.notification_id AND n.read_at IS NULL AND n.withdrawn_at IS NULL)
RETURNING d.id
"""


async def update_claimed(tx: Transaction, batch_of: dict[DeliveryId, UUID]) -> set[DeliveryId]:
    """Take deliveries for sending, and return those that are ours: nobody else sends or has read them."""
    rows = await tx.rows(UPDATE_CLAIMED, ids=list(batch_of), batch_ids=list(batch_of.values()))
    return {row["id"] for row in rows}


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """The next state of a delivery."""

    id: DeliveryId
    state: DeliveryState
    reason: Reason | None
    due_at: datetime
    logged: bool = True
    uncounted: bool = False
    """The attempt for which it was claimed was none."""


UPDATE_MOVED = """
WITH moved AS (
    UPDATE notification.deliveries d
    SET state = w.state, reason = w.reason, due_at = w.due_at, version = d.version + 1, updated_at = $now,
        attempts = d.attempts - w.uncounted::int,
        batch_id = CASE WHEN w.state IN ('planned', 'held') THEN NULL ELSE d.batch_id END
    FROM unnest($ids::uuid[], $states::text[], $reasons::text[], $dues::timestamptz[], $logged::boolean[],
        $uncounted::boolean[]) AS w (id, state, reason, due_at, logged, uncounted)
    WHERE d.id = w.id AND d.state = ANY($before::text[])
    RETURNING d.id, d.user_id, d.notification_id, d.channel, d.state, d.reason, d.due_at, d.version, w.logged
), noted AS (
    INSERT INTO notification.delivery_log (delivery_id, user_id, state, reason, due_at, at)
    SELECT id, user_id, state, reason, CASE WHEN state IN ('planned', 'held') THEN due_at END, $now FROM moved WHERE logged
)
SELECT id, user_id, notification_id, channel, state, reason, version FROM moved
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    id: DeliveryId
    user_id: UserId
    notification_id: NotificationId
    channel: AwayChannel
    state: DeliveryState
    reason: Reason | None
    version: int


async def update_moved(tx: Transaction, moves: Sequence[Move], *before: DeliveryState) -> list[Moved]:
    """Move deliveries that are in one of these states to their next one, note it, and return them."""
    if not moves:
        return []
    return await tx.all(
        Moved,
        UPDATE_MOVED,
        ids=[each.id for each in moves],
        states=[each.state for each in moves],
        reasons=[each.reason for each in moves],
        dues=[each.due_at for each in moves],
        logged=[each.logged for each in moves],
        uncounted=[each.uncounted for each in moves],
        before=before,
    )


INSERT_ATTEMPTS = """
INSERT INTO notification.delivery_log (delivery_id, user_id, state, reason, device_id, status, at)
SELECT w.*, $now FROM unnest($delivery_ids::uuid[], $user_ids::uuid[], $states::text[], $reasons::text[],
    $device_ids::uuid[], $statuses::int[]) AS w
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What one device's push service said, or who sends to a phone."""

    delivery_id: DeliveryId
    user_id: UserId
    state: DeliveryState
    reason: Reason | None
    device_id: DeviceId | None
    status: int | None


async def insert_attempts(tx: Transaction, attempts: Sequence[Attempt]) -> None:
    if attempts:
        await tx.run(
            INSERT_ATTEMPTS,
            delivery_ids=[each.delivery_id for each in attempts],
            user_ids=[each.user_id for each in attempts],
            states=[each.state for each in attempts],
            reasons=[each.reason for each in attempts],
            device_ids=[each.device_id for each in attempts],
            statuses=[each.status for each in attempts],
        )


FIND_NEXT_DUE = """
SELECT least(
    (SELECT min(due_at) FROM notification.deliveries
        WHERE channel = $channel AND shard = $shard AND state IN ('planned', 'held')),
    (SELECT min(claimed_until) FROM notification.batches
        WHERE channel = $channel AND shard = $shard AND state = 'sending'))
"""


async def find_next_due(db: Connection, channel: AwayChannel, shard: int) -> datetime | None:
    """Return when there is something to do for a shard; None: nothing waits."""
    return await db.value(FIND_NEXT_DUE, channel=channel, shard=shard)


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """Of which event an occasion tells."""

    id: UUID
    notice_slug: str
    payload: dict[str, Any]


LIST_PAYLOADS = """
SELECT id, notice_slug, payload FROM notification.occasions WHERE id = ANY($ids::uuid[]) LIMIT 5000
"""


async def list_payloads(db: Connection, ids: Sequence[UUID]) -> dict[UUID, Payload]:
    return {each.id: each for each in await db.all(Payload, LIST_PAYLOADS, ids=ids)}


UPDATE_BOUNCED = """
WITH bounced AS (
    UPDATE notification.deliveries SET state = 'failed', reason = 'bounced', version = version + 1, updated_at = $now
    WHERE batch_id = $batch_id AND channel = 'mail' AND state = 'delivered' RETURNING id, user_id
)
INSERT INTO notification.delivery_log (delivery_id, user_id, state, reason, at)
SELECT id, user_id, 'failed', 'bounced', $now FROM bounced
"""


async def update_bounced(tx: Transaction, batch_id: UUID) -> None:
    """Note that a letter reached nobody."""
    await tx.run(UPDATE_BOUNCED, batch_id=batch_id)


LIST_CATEGORIES = """
SELECT DISTINCT n.category FROM notification.deliveries d
JOIN notification.notifications n ON n.id = d.notification_id WHERE d.batch_id = $batch_id LIMIT 20
"""


async def list_categories(db: Connection, batch_id: UUID) -> set[str]:
    """Return the categories of what a letter told."""
    return {row["category"] for row in await db.rows(LIST_CATEGORIES, batch_id=batch_id)}
