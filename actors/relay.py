"""The relay: moves what the outbox holds to Kafka and to the broadcast stream, in order, at least once.

Why a relay whose lease has run out can do no harm. Every relay publishes the rows of a shard in the order of `seq`,
starting with the lowest that is still there, and deletes a row only after its ack. Take an event and its predecessor
of the same key. When a relay publishes the event, the predecessor either was deleted before, hence is in the log, or
the same relay has published it just before: the producer is idempotent, so after a batch that failed the broker
refuses the partition's later batches (their sequence numbers have a gap) instead of appending them. Hence the *first*
copy of the predecessor always precedes the first copy of the event, whatever a late relay appends behind them, and
the inbox drops all later copies.
"""

import asyncio
import logging
import time
from datetime import timedelta
from uuid import uuid4

from aiokafka import AIOKafkaProducer
from prometheus_client import Counter

from actors.loops import Idle, Loop
from cluster import broadcast, events, kafka, outbox
from cluster.outbox import SHARDS, Waiting
from cluster.postgres import read
from cluster.telemetry import REGISTRY, span_from
from cluster.wake import Bell

log = logging.getLogger(__name__)

LEASE_S = 6.0
_RENEW_S = 2.0
_BATCH = 500
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


class Relay:
    """One of several; together they lease all shards, each about the same number."""

    def __init__(self, bell: Bell) -> None:
        self._owner = uuid4()
        self._bell = bell
        self._shards: list[int] = []
        self._sure_until = float("-inf")
        self._producer: AIOKafkaProducer | None = None
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
        """Publish one batch of events in order; return how long to rest."""
        shards = self._leased()
        if not shards:
            return 0.2
        async with read() as db:
            rows = await outbox.next_events(db, shards, _BATCH)
        if rows:
            await self._send(rows)
            async with read() as db:
                await outbox.delete(db, rows)
            _published.labels("kafka").inc(len(rows))
            if len(rows) < _BATCH:
                # Under steady load a round for every few rows would cost more than it gains: let some gather.
                await asyncio.sleep(_GATHER_S)
        return self._idle.rest(worked=bool(rows))

    async def _send(self, rows: list[Waiting]) -> None:
        try:
            producer = await self._ready_producer({row.topic for row in rows})
            with span_from(None, "publish", "producer", {"events": len(rows)}):
                acks = [
                    await producer.send(
                        row.topic,
                        row.envelope.encode(),
                        key=row.key.encode(),
                        headers=[("content-type", b"application/cloudevents+json")],
                    )
                    for row in rows
                ]
                await asyncio.gather(*acks)
        except BaseException:
            # The rows are still there. A new producer, because the old one might still send what the next round sends
            # again behind something newer.
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
                max_batch_size=262_144,
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
            # Not cancelled when it takes longer: its sender would live on. What it still holds expires.
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
            await broadcast.send(*(row.envelope for row in rows))
            async with read() as db:
                await outbox.delete(db, rows)
            _published.labels("redis").inc(len(rows))
        return self._idle_broadcasts.rest(worked=bool(rows))
