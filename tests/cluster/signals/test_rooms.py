"""Hints about live topics arrive after commit, again from the outbox, and a process knows when it may have missed some."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import pytest

from actors.relay import Relay
from cluster.base.ids import new_id
from cluster.signals import redis, rooms
from cluster.signals.rooms import Hints, tell
from cluster.signals.wake import Bell
from tests.kernel import committed, rows

pytestmark = pytest.mark.usefixtures("kernel", "empty")
Hint = tuple[str, UUID, int]


class Ear:
    """Collects the hints that a process hears."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[Hint] = asyncio.Queue()
        self.gaps: asyncio.Queue[None] = asyncio.Queue()
        self.hints = Hints(self.hear, self.gap)

    def hear(self, name: str, id: UUID, seq: int) -> None:
        self.heard.put_nowait((name, id, seq))

    async def gap(self) -> None:
        self.gaps.put_nowait(None)

    async def next(self) -> Hint:
        return await asyncio.wait_for(self.heard.get(), 10)


@pytest.fixture
async def ear() -> AsyncIterator[Ear]:
    ear = Ear()
    await ear.hints.start()
    yield ear
    await ear.hints.stop()


async def test_a_hint_arrives_after_commit_and_again_from_the_outbox(ear: Ear) -> None:
    topics = [new_id() for _ in range(8)]

    async with committed() as tx:
        for n, id in enumerate(topics):
            tell(tx, "probe", id, n)
    told = {("probe", id, n) for n, id in enumerate(topics)}
    first = {await ear.next() for _ in topics}
    relay = Relay(Bell())
    await relay.lease()
    await relay.publish_broadcasts()
    await relay.stop()

    assert (first, {await ear.next() for _ in topics}) == (told, told)
    assert await rows("SELECT 1 FROM hub.outbox") == []


async def test_a_hint_of_a_rolled_back_transaction_is_never_sent(ear: Ear) -> None:
    id = new_id()

    async def change() -> None:
        async with committed() as tx:
            tell(tx, "probe", id, 1)
            raise ValueError("changed its mind")

    with pytest.raises(ValueError, match="changed its mind"):
        await change()
    async with committed() as tx:
        tell(tx, "probe", id, 2)

    assert await ear.next() == ("probe", id, 2)


async def test_hints_are_known_to_be_missed_when_the_server_forgot_them(ear: Ear) -> None:
    id = new_id()
    async with committed() as tx:
        tell(tx, "probe", id, 1)
    await ear.next()
    await ear.hints.stop()

    client = cast(Any, redis.redis())
    for shard in range(rooms.SHARDS):
        await client.delete(redis.key("rooms", shard))
    ear.hints.resume()
    await asyncio.wait_for(ear.gaps.get(), 10)
    async with committed() as tx:
        tell(tx, "probe", id, 2)

    assert await ear.next() == ("probe", id, 2)


async def test_trim_deletes_hints_that_were_sent_before() -> None:
    async with committed() as tx:
        tell(tx, "probe", new_id(), 1)

    await rooms.trim(datetime.now(UTC) + timedelta(seconds=1))

    client = cast(Any, redis.redis())
    assert [await client.xlen(redis.key("rooms", shard)) for shard in range(rooms.SHARDS)] == [0] * rooms.SHARDS
