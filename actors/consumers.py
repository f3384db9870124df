"""Consumers: one group per listening service, all in one process; the inbox makes their effects happen once.

Offsets are committed after the database transaction, so an event is never skipped; whatever a crash, a rebalance or a
lost commit brings again, the inbox drops.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError
from prometheus_client import Gauge

from actors.loops import Idle, Loop
from cluster import events
from cluster.base.telemetry import REGISTRY
from cluster.events import Envelope, drainer, inbox, kafka

log = logging.getLogger(__name__)

_MAX_RECORDS = 500
_POLL_MS = 1000
_SIDE_BY_SIDE = 4
"""Batches at a time in one process, so that the pool's other connections stay free for jobs and the relay."""
_TURN_LIMIT_S = 30.0
JOIN_LIMIT_S = 60.0
COMMIT_LIMIT_S = 20.0
"""The client tries for ever; a step does not, or the host would seem to hang while Kafka is away."""
_LEAVE_LIMIT_S = 5.0
_DRAIN_S = 10.0

_lag = Gauge("hub_consumer_lag", "Events that a service has not taken over yet", ["service"], registry=REGISTRY)


@dataclass(frozen=True, slots=True)
class _Batch:
    envelopes: list[Envelope]
    offsets: dict[TopicPartition, int]


class Consumer:
    """Reads all topics that one service listens to."""

    def __init__(self, service: str, turn: asyncio.Semaphore, joining: asyncio.Semaphore | None = None) -> None:
        self.service = service
        self._turn = turn
        self._joining = joining or asyncio.Semaphore()
        self._stopping: set[asyncio.Task[None]] = set()
        self._client: AIOKafkaConsumer | None = None
        self._batch: _Batch | None = None
        self._behind: dict[TopicPartition, int] = {}
        self.loop = Loop(f"consumer {service}", self.step)

    async def step(self) -> float:
        """Take over one batch: the next one, or again the one that the database could not take."""
        client = self._client or await self._join()
        if self._batch is None:
            try:
                polled: Any = await client.getmany(timeout_ms=_POLL_MS, max_records=_MAX_RECORDS)
            except Exception:
                await self.leave()
                raise
            if not polled:
                return 0.0
            self._batch = self._read(polled)
        await inbox.receive(self.service, self._batch.envelopes, self._my_turn)
        batch, self._batch = self._batch, None
        try:
            async with asyncio.timeout(COMMIT_LIMIT_S):
                await client.commit(batch.offsets)
        except (CommitFailedError, IllegalStateError) as error:
            # The partitions are somebody else's by now, who gets the batch again and finds it taken.
            log.info("offsets not committed", extra={"service": self.service, "error": repr(error)})
        except Exception:
            await self.leave()
            raise
        self._measure(client, batch.offsets)
        return 0.0

    @asynccontextmanager
    async def _my_turn(self) -> AsyncGenerator[None]:
        """Hold one of the places at the database for a transaction."""
        async with asyncio.timeout(_TURN_LIMIT_S):
            await self._turn.acquire()
        try:
            yield
        finally:
            self._turn.release()
            self.loop.beat()

    def _read(self, polled: dict[TopicPartition, list[Any]]) -> _Batch:
        handlers = events.handlers_of(self.service)
        envelopes: list[Envelope] = []
        for partition, records in polled.items():
            for record in records:
                try:
                    envelope = Envelope.decode(record.value)
                except ValueError as error:
                    # Not written by a relay: there is no key to park it under, and waiting would not make it readable.
                    place = {"topic": partition.topic, "partition": partition.partition, "offset": record.offset}
                    log.error("a message is no event of ours", extra=place | {"error": repr(error)})
                    continue
                if handlers.hear(envelope.type):
                    envelopes.append(envelope)
        return _Batch(envelopes, {partition: records[-1].offset + 1 for partition, records in polled.items()})

    async def _join(self) -> AIOKafkaConsumer:
        topics = events.topics_of(self.service)
        async with asyncio.timeout(JOIN_LIMIT_S), self._joining:
            await kafka.ensure_topics(topics)
            client = AIOKafkaConsumer(
                *sorted(topics),
                **kafka.connection(),
                group_id=kafka.topic(self.service),
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                # Data arrive at once all the same; this is how often an idle fetch comes back with nothing.
                fetch_max_wait_ms=5000,
                # With nothing to say, 40 groups in a process must not be heard either.
                metadata_max_age_ms=60_000,
            )
            try:
                await client.start()
            except BaseException:
                await self._stop(client)
                raise
        self._client = client
        return client

    async def leave(self) -> None:
        """Leave the group. A batch that was read and not taken over will be read again by whoever comes next."""
        client, self._client, self._batch = self._client, None, None
        self._behind.clear()
        if client is not None:
            await self._stop(client)

    async def _stop(self, client: AIOKafkaConsumer) -> None:
        """Say good-bye to the group; who waits for a broker that does not answer says it alone."""
        stopping = asyncio.create_task(client.stop(), name=f"{self.service} leaves")
        self._stopping.add(stopping)
        stopping.add_done_callback(self._stopped)
        await asyncio.wait([stopping], timeout=_LEAVE_LIMIT_S)

    def _stopped(self, task: "asyncio.Task[None]") -> None:
        self._stopping.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.debug("group not left cleanly", extra={"service": self.service, "error": repr(error)})

    def _measure(self, client: AIOKafkaConsumer, offsets: dict[TopicPartition, int]) -> None:
        mine: set[TopicPartition] = client.assignment()
        self._behind = {partition: behind for partition, behind in self._behind.items() if partition in mine}
        for partition in offsets.keys() & mine:
            offset = offsets[partition]
            self._behind[partition] = max(0, (client.highwater(partition) or offset) - offset)
        _lag.labels(self.service).set(sum(self._behind.values()))


class Drainer:
    """Works on what the services of this host have parked: each for itself, so that slow handlers hold up their own."""

    def __init__(self, services: tuple[str, ...], turn: asyncio.Semaphore) -> None:
        self._services = services
        self._turn = turn
        self._idle = Idle()
        self.loop = Loop("drainer", self.step)

    async def step(self) -> float:
        """Give every service with due keys some seconds; return how long to rest."""
        due = await drainer.due(self._services)
        results = await asyncio.gather(*(self._drain(service) for service in due), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return self._idle.rest(worked=bool(due))

    async def _drain(self, service: str) -> None:
        until = time.monotonic() + _DRAIN_S
        while time.monotonic() < until:
            async with self._turn:
                if not await drainer.drain_once((service,)):
                    return
            self.loop.beat()


class Consumers:
    """All consumers of a worker host, and the drainer of what they parked."""

    def __init__(self, services: tuple[str, ...]) -> None:
        turn, joining = asyncio.Semaphore(_SIDE_BY_SIDE), asyncio.Semaphore(_SIDE_BY_SIDE)
        self._services = tuple(service for service in events.listening_services() if service in services)
        self._consumers = [Consumer(service, turn, joining) for service in self._services]
        self.loops = (*(consumer.loop for consumer in self._consumers), Drainer(self._services, turn).loop)

    def start(self) -> None:
        for loop in self.loops:
            loop.start()

    async def stop(self) -> None:
        """Finish the batches under way and leave the groups, so that others take the partitions over at once."""
        await asyncio.gather(*(loop.stop(grace_s=5.0) for loop in self.loops))
        await asyncio.gather(*(consumer.leave() for consumer in self._consumers))
