"""The outbox: rows that leave with the transaction's commit, or not at all.

The writer holds its aggregate's row before it emits, and rows are numbered at the very end of the transaction: so for
one key a smaller `seq` always means an earlier commit. Between keys it does not, which is why nobody reads
"everything after the last seen".
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from cluster.data import Connection, Transaction
from cluster.signals import wake

SHARDS = 16
BROADCAST = "broadcast"
"""The topic of rows that go to the Redis stream instead of Kafka."""
MAX_BYTES = 256 * 1024
"""Per row. Kafka refuses what is larger than its limit (1 MiB), and a row that cannot leave would hold up its shard."""


@dataclass(frozen=True, slots=True)
class Row:
    """One message: what Kafka or the broadcast stream gets."""

    id: UUID
    topic: str
    key: str
    envelope: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """A row that waits to be published."""

    seq: int
    id: UUID
    topic: str
    key: str
    envelope: str


def shard_of(key: str) -> int:
    return zlib.crc32(key.encode()) % SHARDS


def add(tx: Transaction, row: Row) -> None:
    """Buffer a row until COMMIT.

    Raises:
        ValueError: it is larger than `MAX_BYTES`.
    """
    size = len(row.envelope.encode())
    if size > MAX_BYTES:
        raise ValueError(f"a message of {size} bytes for {row.topic}: send ids, not contents ({MAX_BYTES} at most)")
    tx.buffer("outbox", row, _flush)


# ORDER BY before the identity column is drawn: rows of one transaction are numbered in the order they were emitted.
_INSERT = """
INSERT INTO hub.outbox (id, topic, key, shard, envelope)
SELECT id, topic, key, shard, envelope
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::smallint[], $5::json[])
    WITH ORDINALITY AS message (id, topic, key, shard, envelope, position)
ORDER BY position
"""


async def _flush(tx: Transaction) -> None:
    rows: list[Row] = tx.buffers["outbox"]
    await tx.run(
        _INSERT,
        [row.id for row in rows],
        [row.topic for row in rows],
        [row.key for row in rows],
        [shard_of(row.key) for row in rows],
        [row.envelope for row in rows],
    )
    tx.after_commit(partial(wake.signal, *{"broadcasts" if row.topic == BROADCAST else "outbox" for row in rows}))


# Two constant statements: while Kafka is away, its rows must not stand in front of the broadcasts.
NEXT_EVENTS = """
SELECT seq, id, topic, key, envelope FROM hub.outbox
WHERE topic <> 'broadcast' AND shard = ANY($1::smallint[]) ORDER BY seq LIMIT $2
"""
NEXT_BROADCASTS = """
SELECT seq, id, topic, key, envelope FROM hub.outbox
WHERE topic = 'broadcast' AND shard = ANY($1::smallint[]) ORDER BY seq LIMIT $2
"""


async def next_events(db: Connection, shards: Sequence[int], limit: int) -> list[Waiting]:
    return await db.all(Waiting, NEXT_EVENTS, shards, limit)


async def next_broadcasts(db: Connection, shards: Sequence[int], limit: int) -> list[Waiting]:
    return await db.all(Waiting, NEXT_BROADCASTS, shards, limit)


async def delete(db: Connection, rows: Sequence[Waiting]) -> None:
    """Forget rows that were acknowledged by where they went."""
    await db.run("DELETE FROM hub.outbox WHERE seq = ANY($1::bigint[])", [row.seq for row in rows])
