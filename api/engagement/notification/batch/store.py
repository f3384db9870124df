"""The SQL of batches: letters and messages, each to one person."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from api.engagement.notification.contract import AwayChannel
from cluster.base.ids import UserId
from cluster.data import Connection, Transaction

UPDATE_BROKEN_OFF = """
UPDATE notification.batches SET claimed_until = $until WHERE id = ANY(ARRAY(
    SELECT id FROM notification.batches
    WHERE channel = $channel AND shard = $shard AND state = 'sending' AND claimed_until < $at
    ORDER BY claimed_until LIMIT $limit FOR UPDATE SKIP LOCKED))
RETURNING id
"""


async def update_broken_off(
    tx: Transaction, channel: AwayChannel, shard: int, *, at: datetime, until: datetime, limit: int
) -> list[UUID]:
    """Claim what somebody began to send and did not end, and return the ids."""
    rows = await tx.rows(UPDATE_BROKEN_OFF, channel=channel, shard=shard, at=at, until=until, limit=limit)
    return [row["id"] for row in rows]


@dataclass(frozen=True, slots=True)
class Sent:
    """How much somebody was sent within a window, and when the first of it was."""

    count: int
    first_at: datetime


LIST_SENT = """
SELECT user_id, count(*) AS count, min(created_at) AS first_at FROM notification.batches
WHERE user_id = ANY($user_ids::uuid[]) AND channel = $channel AND created_at > $since GROUP BY user_id LIMIT 1000
"""


async def list_sent(
    db: Connection, user_ids: Sequence[UserId], channel: AwayChannel, since: datetime
) -> dict[UserId, Sent]:
    rows = await db.rows(LIST_SENT, user_ids=user_ids, channel=channel, since=since)
    return {row["user_id"]: Sent(row["count"], row["first_at"]) for row in rows}


INSERT_BATCHES = """
INSERT INTO notification.batches (id, user_id, channel, shard, state, claimed_until, created_at)
SELECT id, user_id, $channel, $shard, 'sending', $claimed_until, $created_at
FROM unnest($ids::uuid[], $user_ids::uuid[]) AS w (id, user_id)
"""


async def insert_batches(
    tx: Transaction,
    people: dict[UUID, UserId],
    channel: AwayChannel,
    shard: int,
    *,
    created_at: datetime,
    claimed_until: datetime,
) -> None:
    await tx.run(
        INSERT_BATCHES,
        ids=list(people),
        user_ids=list(people.values()),
        channel=channel,
        shard=shard,
        created_at=created_at,
        claimed_until=claimed_until,
    )


UPDATE_BATCHES_DONE = "UPDATE notification.batches SET state = 'done' WHERE id = ANY($ids::uuid[])"
DELETE_BATCHES = "DELETE FROM notification.batches WHERE id = ANY($ids::uuid[])"


async def update_batches_done(tx: Transaction, ids: Sequence[UUID]) -> None:
    await tx.run(UPDATE_BATCHES_DONE, ids=ids)


async def delete_batches(tx: Transaction, ids: Sequence[UUID]) -> None:
    """Forget batches of which nothing was sent: they count for nothing."""
    await tx.run(DELETE_BATCHES, ids=ids)


DELETE_OLD_BATCHES = """
DELETE FROM notification.batches WHERE id IN (
    SELECT id FROM notification.batches WHERE created_at < $before AND state = 'done' ORDER BY created_at LIMIT $limit
    FOR UPDATE SKIP LOCKED)
"""


async def delete_old_batches(tx: Transaction, before: datetime, limit: int) -> int:
    return await tx.run(DELETE_OLD_BATCHES, before=before, limit=limit)
