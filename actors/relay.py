"""The relay: moves what the outbox holds to Kafka and to the broadcast stream, in order, at least once.

Why a relay whose lease has run out can do no harm. Every relay publishes the rows of a shard in the order of `seq`,
starting with the lowest that is still there, and deletes a row only after its ack. Take an event and its predecessor
of the same key. When a relay publishes the event, the predecessor either was deleted before, hence is in the log, or
it stands before the event in the same record batch: a round is so small that it makes a single one for a partition,
which the broker appends whole or not at all, and the next round begins when all of the last is acknowledged. Hence
the *first* copy of the predecessor always precedes the first copy of the event, whatever a late relay appends behind
them, and the inbox drops all later copies. (Between batches, that the producer is idempotent would not do: a broker
that has never seen this producer appends its second batch although the first has failed.)
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, cast
from uuid import uuid4

from aiokafka import AIOKafkaProducer
from prometheus_client import Counter

from actors.loops import Idle, Loop
from cluster import events
from cluster.base.telemetry import REGISTRY, span_from
from cluster.data import read
from cluster.events import kafka
from cluster.signals import outbox, rooms
from cluster.signals.outbox import SHARDS, Waiting
from cluster.signals.wake import Bell, end

log = logging.getLogger(__name__)

LEASE_S = 6.0
_RENEW_S = 2.0
_BATCH = 500
ROUND_BYTES = 900_000
BATCH_BYTES = 1_000_000
"""Of a record batch: more than a round holds, less than brokers take (1 MiB)."""
_RECORD_BYTES = 150
"""What a record has beside key and value, and more."""
ACK_LIMIT_S = 10.0
"""How long a step waits for acks; the next step waits on. The producer tries until Kafka is back."""
_GATHER_S = 0.01

_published = Counter(
    "hub_events_published_total", "Rows of the outbox that were acknowledged", ["to"], registry=REGISTRY
)

# The count does not see the row inserted beside it, so it is of the others.
_SHOW_UP = """
WITH me AS (
    INSERT INTO hub.relays (owner, seen_at) VALUES ($1, now()) ON CONFLICT (owner) DO UPDATE SET seen_at = now()
), gone AS (
    DELETE FROM hub.relays WHERE seen_at < now() - interval '1 minute'
)
SELECT count(*) FROM hub.relays WHERE owner <> $1 AND seen_at > now() - $2::interval
"""
_RENEW = """
UPDATE hub.relay_leases SET expires_at = now() + $2 WHERE owner = $1 AND expires_at > now() RETURNING shard
"""
_TAKE = """
UPDATE hub.relay_leases SET owner = $1, expires_at = now() + $2
WHERE shard IN (
    SELECT shard FROM hub.relay_leases WHERE expires_at <= now() ORDER BY shard LIMIT $3 FOR UPDATE SKIP LOCKED
) RETURNING shard
"""
_RELEASE = """
UPDATE hub.relay_leases SET owner = NULL, expires_at = '-infinity' WHERE owner = $1 AND shard = ANY($2::smallint[])
"""


def first_round(rows: Sequence[Waiting]) -> Sequence[Waiting]:
    """Return as many of the first rows as fit into one record batch, were they all of one partition."""
    size = 0
    for n, row in enumerate(rows):
        size += len(row.envelope.encode()) + len(row.key.encode()) + _RECORD_BYTES
        if n and size > ROUND_BYTES:
            return rows[:n]
    return rows


class Relay:
    """One of several; together they lease all shards, each about the same number."""

    def __init__(self, bell: Bell) -> None:
        self._owner = uuid4()
        self._bell = bell
        self._shards: list[int] = []
        self._sure_until = float("-inf")
        self._producer: AIOKafkaProducer | None = None
        self._sending: tuple[Sequence[Waiting], asyncio.Task[None]] | None = None
        self._silent = False
        self._known_topics: set[str] = set()
        self._stopping: set[asyncio.Task[None]] = set()
        self._idle, self._idle_broadcasts = Idle(), Idle()
        self.loops = (
            Loop("relay leases", self.lease),
            Loop("relay events", self.publish_events, wait=lambda rest_s: bell.wait("outbox", rest_s)),
            Loop("relay broadcasts", self.publish_broadcasts, wait=lambda rest_s: bell.wait("broadcasts", rest_s)),
        )

    def start(self) -> None:
        for loop in self.loops:
            loop.start()

    async def stop(self) -> None:
        """Finish the batch under way, give the leases back and leave."""
        for loop in self.loops:
            await loop.stop(grace_s=5.0)
        sending, self._sending = self._sending, None
        if sending is not None:
            await end(sending[1])
        await self._drop_producer()
        shards, self._shards = self._shards, []
        async with read() as db:
            await db.run(_RELEASE, self._owner, shards)
            await db.run("DELETE FROM hub.relays WHERE owner = $1", self._owner)

    async def lease(self) -> float:
        """Renew the leases held; give some up, or take free ones, until this relay has its fair share."""
        asked_at = time.monotonic()
        duration = timedelta(seconds=LEASE_S)
        async with read() as db:
            others: int = await db.value(_SHOW_UP, self._owner, duration)
            share = -(-SHARDS // (others + 1))
            mine = sorted(row[0] for row in await db.rows(_RENEW, self._owner, duration))
            if len(mine) > share:
                mine, surplus = mine[:share], mine[share:]
                self._shards = mine
                await db.run(_RELEASE, self._owner, surplus)
            elif len(mine) < share:
                taken = [row[0] for row in await db.rows(_TAKE, self._owner, duration, share - len(mine))]
                mine += taken
                if taken:
                    self._bell.ring("outbox")
                    self._bell.ring("broadcasts")
        self._shards, self._sure_until = mine, asked_at + LEASE_S
        return _RENEW_S

    def _leased(self) -> list[int]:
        return self._shards if time.monotonic() < self._sure_until else []

    async def publish_events(self) -> float:
        """Publish one round of events in order; return how long to rest. While Kafka is away, the round goes on."""
        if self._sending is None:
            shards = self._leased()
            if not shards:
                return 0.2
            async with read() as db:
                rows = first_round(await outbox.next_events(db, shards, _BATCH))
            if not rows:
                return self._idle.rest(worked=False)
            self._sending = rows, asyncio.create_task(self._send(rows), name="relay round")
        rows, task = self._sending
        await asyncio.wait([task], timeout=ACK_LIMIT_S)
        if not task.done():
            if not self._silent:
                log.warning("Kafka does not acknowledge; events wait")
            self._silent = True
            return 0.0
        self._sending, self._silent = None, False
        task.result()
        async with read() as db:
            await outbox.delete(db, rows)
        _published.labels("kafka").inc(len(rows))
        if len(rows) < _BATCH:
            # Under steady load a round for every few rows would cost more than it gains: let some gather.
            await asyncio.sleep(_GATHER_S)
        return self._idle.rest(worked=True)

    async def _send(self, rows: Sequence[Waiting]) -> None:
        try:
            producer = await self._ready_producer({row.topic for row in rows})
            content = [("content-type", b"application/cloudevents+json")]
            with span_from(None, "publish", "producer", {"events": len(rows)}):
                acks = [
                    await producer.send(
                        row.topic,
                        row.envelope.encode(),
                        key=row.key.encode(),
                        headers=content,
                    )
                    for row in rows
                ]
                await asyncio.gather(*acks)
        except BaseException:
            # The rows are still there, and will be sent by a new producer: this one may be refused for good.
            await self._drop_producer()
            raise

    async def _ready_producer(self, topics: set[str]) -> AIOKafkaProducer:
        if not topics <= self._known_topics:
            wanted = topics | {kafka.topic(service) for service in events.speaking_services()}
            await kafka.ensure_topics(wanted)
            self._known_topics |= wanted
        if self._producer is None:
            producer = AIOKafkaProducer(
                **kafka.connection(),
                acks="all",
                enable_idempotence=True,
                request_timeout_ms=15_000,
                max_batch_size=BATCH_BYTES,
                partitioner=cast(Any, kafka.partition_of),  # aiokafka's type names its own class; any callable does
            )
            try:
                await producer.start()
            except BaseException:
                await producer.stop()
                raise
            self._producer = producer
        return self._producer

    async def _drop_producer(self) -> None:
        producer, self._producer = self._producer, None
        self._known_topics.clear()
        if producer is not None:
            # Not cancelled when it takes longer: its sender would live on. It ends with its last batch.
            stopping = asyncio.create_task(producer.stop())
            self._stopping.add(stopping)
            stopping.add_done_callback(self._stopping.discard)
            await asyncio.wait([stopping], timeout=2.0)

    async def publish_broadcasts(self) -> float:
        """Send one batch of broadcasts again, for whoever missed the first copy; return how long to rest."""
        shards = self._leased()
        if not shards:
            return 0.2
        async with read() as db:
            rows = await outbox.next_broadcasts(db, shards, _BATCH)
        if rows:
            await rooms.send_waiting(rows)
            async with read() as db:
                await outbox.delete(db, rows)
            _published.labels("redis").inc(len(rows))
        return self._idle_broadcasts.rest(worked=bool(rows))
