"""Broadcasts reach every process, soon and for certain, and a process knows when it may have missed some."""

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from actors.relay import Relay
from cluster.base.ids import new_id
from cluster.base.settings import settings
from cluster.data import read
from cluster.signals import broadcast, outbox, redis
from cluster.signals.broadcast import Listener, announce
from cluster.signals.wake import Bell, end, signal
from tests.kernel import committed, rows

pytestmark = pytest.mark.usefixtures("kernel", "empty")


class Ear:
    """Collects what a listener calls back with."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.gaps: asyncio.Queue[None] = asyncio.Queue()

    async def hear(self, message: dict[str, Any]) -> None:
        self.heard.put_nowait(message)

    async def gap(self) -> None:
        self.gaps.put_nowait(None)

    async def next(self) -> dict[str, Any]:
        return await asyncio.wait_for(self.heard.get(), 10)


@pytest.fixture
async def ear() -> Ear:
    return Ear()


@pytest.fixture
async def listener(ear: Ear) -> AsyncIterator[Listener]:
    listener = Listener()
    listener.listen("probe", ear.hear, on_gap=ear.gap)
    await listener.start()
    yield listener
    await listener.stop()


async def shout(n: int) -> None:
    async with committed() as tx:
        announce(tx, "probe", {"n": n})


async def test_a_message_arrives_after_commit_and_its_second_copy_is_dropped(ear: Ear, listener: Listener) -> None:
    await shout(1)
    assert await ear.next() == {"n": 1}
    async with read() as db:
        waiting = await outbox.next_broadcasts(db, range(outbox.SHARDS), 10)
    assert len(waiting) == 1
    await broadcast.send(waiting[0].envelope)
    await shout(2)
    assert await ear.next() == {"n": 2}


async def test_a_message_of_a_rolled_back_transaction_is_never_sent(ear: Ear, listener: Listener) -> None:
    async def change() -> None:
        async with committed() as tx:
            announce(tx, "probe", {"n": 1})
            raise ValueError("changed its mind")

    with pytest.raises(ValueError, match="changed its mind"):
        await change()
    await shout(2)
    assert await ear.next() == {"n": 2}


async def test_the_relay_sends_what_could_not_be_sent_after_commit(
    ear: Ear, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Away:
        def __getattr__(self, command: str) -> None:
            raise ConnectionError(f"Redis is away for {command}")

    with monkeypatch.context() as patch:
        patch.setattr(redis, "redis", Away)
        await shout(1)
    relay = Relay(Bell())
    await relay.lease()
    await relay.publish_broadcasts()
    await relay.stop()
    assert await ear.next() == {"n": 1}
    assert await rows("SELECT 1 FROM hub.outbox") == []


async def test_a_callback_that_fails_stops_neither_the_others_nor_the_listener(ear: Ear, listener: Listener) -> None:
    async def fail(message: dict[str, Any]) -> None:
        raise ValueError("not today")

    listener.listen("probe", fail)
    late = Ear()
    listener.listen("probe", late.hear)
    await shout(1)
    await shout(2)
    assert [await late.next(), await late.next()] == [{"n": 1}, {"n": 2}]


async def test_a_listener_is_fresh_only_while_it_tails(ear: Ear) -> None:
    listener = Listener()
    assert not listener.fresh_within(1.5)
    await listener.start()
    assert listener.fresh_within(1.5)
    await listener.stop()
    assert not listener.fresh_within(1.5)


async def test_a_listener_that_was_trimmed_past_is_told_of_the_gap(ear: Ear, monkeypatch: pytest.MonkeyPatch) -> None:
    listener = Listener()
    listener.listen("probe", ear.hear, on_gap=ear.gap)
    await shout(1)
    await listener.start()
    await listener.stop()
    for n in range(2, 5):
        await shout(n)
    client = cast(Any, redis.redis())
    await client.xtrim(redis.key("broadcast"), maxlen=1, approximate=False)
    listener.resume()
    await asyncio.wait_for(ear.gaps.get(), 10)
    assert await ear.next() == {"n": 4}
    await listener.stop()


async def test_trim_deletes_what_was_sent_before_and_nothing_after(ear: Ear, listener: Listener) -> None:
    await shout(1)
    await ear.next()
    client = cast(Any, redis.redis())
    sent_ms = int((await client.xrevrange(redis.key("broadcast"), count=1))[0][0].partition(b"-")[0])

    await broadcast.trim(datetime.fromtimestamp(sent_ms / 1000, UTC))
    kept = await client.xlen(redis.key("broadcast"))
    await broadcast.trim(datetime.fromtimestamp((sent_ms + 1) / 1000, UTC))

    assert (kept, await client.xlen(redis.key("broadcast"))) == (1, 0)
    await shout(2)
    assert await ear.next() == {"n": 2}


async def test_a_listener_hears_a_server_that_forgot_everything(ear: Ear, listener: Listener) -> None:
    await shout(1)
    assert await ear.next() == {"n": 1}
    await listener.stop()
    await cast(Any, redis.redis()).delete(redis.key("broadcast"))
    listener.resume()
    await asyncio.wait_for(ear.gaps.get(), 10)
    await shout(2)
    assert await ear.next() == {"n": 2}


async def test_one_things_keys_share_a_slot() -> None:
    room = new_id()
    assert redis.key("room", room, "log") == f"{{{settings().stack}:room:{room}}}:log"
    client = cast(Any, redis.redis())
    assert client.keyslot(redis.key("room", room, "log")) == client.keyslot(redis.key("room", room, "people"))


async def test_a_wake_up_rings_its_own_bell() -> None:
    bell = Bell()
    listening = asyncio.create_task(bell.listen())
    try:
        rung = False
        for _ in range(50):
            await signal("jobs")
            if rung := await bell.wait("jobs", 0.2):
                break
        assert rung
        assert not await bell.wait("outbox", 0.0)
    finally:
        await end(listening)


def test_the_stack_prefixes_every_key() -> None:
    assert redis.key("broadcast").startswith("{" + os.environ["HUB_STACK"])


async def test_reading_a_stream_asks_no_server_where_its_key_is(ear: Ear, listener: Listener) -> None:
    client = cast(Any, redis.redis())
    await shout(1)
    await ear.next()
    before = await client.info("commandstats", target_nodes=client.get_default_node())

    for n in range(20):
        await shout(n)
        await ear.next()

    after = await client.info("commandstats", target_nodes=client.get_default_node())
    looked_up = [stats.get("cmdstat_command|getkeys", {"calls": 0})["calls"] for stats in (before, after)]
    assert after["cmdstat_xread"]["calls"] >= before["cmdstat_xread"]["calls"] + 10
    assert looked_up[0] == looked_up[1]
