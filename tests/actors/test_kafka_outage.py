"""A Kafka that is frozen: the worker host stays healthy, and afterwards every event takes effect once, in order."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from actors import consumers, relay
from actors.consumers import Consumer
from actors.loops import Loop
from actors.relay import BATCH_BYTES, Relay, first_round
from cluster import events
from cluster.base.ids import OrgId, new_id
from cluster.base.settings import settings
from cluster.data import Transaction
from cluster.events import Envelope, kafka
from cluster.servers.kafka import Kafka
from cluster.servers.testing import own_home
from cluster.signals import outbox
from cluster.signals.outbox import MAX_BYTES, Waiting
from cluster.signals.wake import Bell
from tests.kernel import committed, registries_kept, rows
from tests.own_server import OwnServer

pytestmark = pytest.mark.usefixtures("kernel", "empty")


@pytest.fixture(scope="module")
async def own_kafka(kernel: str) -> AsyncIterator[tuple[OwnServer, Kafka]]:
    with own_home() as home:
        server = Kafka(home)
        broker = OwnServer(server)
        await broker.start()
        yield broker, server
        await broker.kill()


@pytest.fixture
def broker(own_kafka: tuple[OwnServer, Kafka], monkeypatch: pytest.MonkeyPatch) -> OwnServer:
    """A broker of this module's own, to which this process's clients go."""
    broker, server = own_kafka
    pointed = replace(settings(), kafka_bootstrap=server.bootstrap, kafka_password=server.password)
    monkeypatch.setattr(kafka, "settings", lambda: pointed)
    return broker


@dataclass(frozen=True, slots=True, kw_only=True)
class Turned:
    thing_id: UUID
    org_id: OrgId | None = None
    n: int


@pytest.fixture
def speaker() -> Iterator[str]:
    with registries_kept():
        name = f"speaker-{new_id().hex[-12:]}"
        events.event("probe.turned", subject="thing_id", service=name)(Turned)
        yield name


async def turn(speaker: str, thing: UUID, *numbers: int) -> None:
    async with committed(speaker) as tx:
        for n in numbers:
            events.emit(tx, Turned(thing_id=thing, n=n), version=n)


async def effects() -> list[int]:
    return [n for (n,) in await rows("SELECT n FROM probe.effects ORDER BY position")]


def every(parts: tuple[Loop, ...], limit_s: float) -> None:
    for loop in parts:
        loop._limit_s = limit_s  # pyright: ignore[reportPrivateUsage]


async def test_while_kafka_is_away_events_wait_and_then_arrive_in_order(
    broker: OwnServer, speaker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "ACK_LIMIT_S", 0.5, raising=False)
    monkeypatch.setattr(consumers, "COMMIT_LIMIT_S", 0.5, raising=False)
    monkeypatch.setattr(consumers, "JOIN_LIMIT_S", 2.0, raising=False)
    monkeypatch.setattr(consumers, "_LEAVE_LIMIT_S", 0.5, raising=False)
    away = asyncio.Event()

    async def handle(tx: Transaction, envelope: Envelope, event: Turned) -> None:
        await tx.run("INSERT INTO probe.effects (consumer, key, n) VALUES ('l', $1, $2)", envelope.subject, event.n)
        if event.n == 3 and not away.is_set():
            # Between the events and the commit of their offsets.
            broker.freeze()
            away.set()

    events.on(Turned, service="listener")(handle)
    thing = new_id()
    sender, listener = Relay(Bell()), Consumer("listener", asyncio.Semaphore())
    sender.start()
    listener.loop.start()
    loops = (*sender.loops, listener.loop)
    try:
        await turn(speaker, thing, 1, 2, 3)
        await asyncio.wait_for(away.wait(), 60)
        await turn(speaker, thing, 4, 5)
        every(loops, 4.0)
        for _ in range(30):
            await asyncio.sleep(0.2)
            for loop in loops:
                loop.healthy()
        every(loops, 120.0)
        broker.thaw()
        await turn(speaker, thing, 6)
        async with asyncio.timeout(40):
            while len(await effects()) < 6:  # noqa: ASYNC110  the database tells nobody
                await asyncio.sleep(0.1)
        assert await effects() == [1, 2, 3, 4, 5, 6]
    finally:
        await listener.loop.stop()
        await listener.leave()
        await sender.stop()


async def test_what_kafka_refuses_is_not_overtaken(broker: OwnServer, speaker: str) -> None:
    """The first event of a key is too large for its topic, the rest would fit: none of them may go before it."""
    topic = kafka.topic(speaker)
    admin = AIOKafkaAdminClient(**kafka.connection())
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1, topic_configs={"max.message.bytes": "150000"})])
    await admin.close()
    thing = str(new_id())
    async with committed(speaker) as tx:
        for size in (200_000, 100_000, 10):
            outbox.add(tx, outbox.Row(new_id(), topic, thing, '"' + "x" * size + '"'))
    sender = Relay(Bell())
    await sender.lease()
    with pytest.raises(Exception, match="MessageSizeTooLarge"):
        await sender.publish_events()
    await sender.stop()
    assert len(await rows("SELECT 1 FROM hub.outbox")) == 3
    async with AIOKafkaConsumer(topic, **kafka.connection()) as reader:
        partition = TopicPartition(topic, 0)
        assert await reader.end_offsets([partition]) == {partition: 0}


def test_a_round_fits_into_one_record_batch_whatever_it_holds() -> None:
    from aiokafka.producer.message_accumulator import BatchBuilder

    for envelope in ("x", "x" * 700, "x" * (MAX_BYTES - 2), "\N{SNOWMAN}" * 40_000):
        waiting = [Waiting(n, new_id(), "topic", str(new_id()), envelope) for n in range(500)]
        chosen = first_round(waiting)
        assert chosen == waiting[: len(chosen)]
        assert len(chosen) > 2
        batch: Any = BatchBuilder(BATCH_BYTES, 0)
        headers = [("content-type", b"application/cloudevents+json")]
        for row in chosen:
            content = row.envelope.encode()
            assert batch.append(timestamp=None, key=row.key.encode(), value=content, headers=headers) is not None
        assert batch.size() < 1024 * 1024


async def test_an_events_size_is_counted_in_bytes() -> None:
    async with committed() as tx:
        with pytest.raises(ValueError, match="send ids, not contents"):
            outbox.add(tx, outbox.Row(new_id(), "t", "k", "\N{SNOWMAN}" * (MAX_BYTES // 2)))
