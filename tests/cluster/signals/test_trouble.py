"""Broadcasts while Redis does not answer, and receivers that are far behind."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, cast

import pytest

from cluster.base.settings import settings
from cluster.servers.testing import own_home
from cluster.servers.valkey import Valkey
from cluster.signals import broadcast, redis
from cluster.signals.broadcast import Listener, announce
from tests.kernel import committed, rows
from tests.own_server import OwnServer

pytestmark = pytest.mark.usefixtures("kernel", "empty")


@pytest.fixture
async def valkey(kernel: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[OwnServer]:
    """A server of this test's own behind the client of this process."""
    with own_home() as home:
        server = Valkey(home)
        valkey = OwnServer(server)
        await valkey.start()
        pointed = replace(settings(), redis_url=server.url)
        with monkeypatch.context() as patch:
            patch.setattr(redis, "settings", lambda: pointed)
            patch.setattr(redis, "_client", None)
            await redis.connect()
            yield valkey
            await redis.disconnect()
        await valkey.kill()


async def test_a_commit_waits_once_for_a_redis_that_does_not_answer(
    valkey: OwnServer,
) -> None:
    valkey.freeze()
    async with asyncio.timeout(8), committed() as tx:
        for n in range(100):
            announce(tx, "probe", {"n": n})
    assert len(await rows("SELECT 1 FROM hub.outbox")) == 100
    valkey.thaw()


async def test_a_busy_receiver_hears_of_a_gap_when_messages_were_trimmed() -> None:
    busy, go_on, gap = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def hear(message: dict[str, Any]) -> None:
        busy.set()
        await go_on.wait()

    async def missed() -> None:
        gap.set()

    listener = Listener()
    listener.listen("probe", hear, on_gap=missed)
    await listener.start()
    try:
        async with committed() as tx:
            announce(tx, "probe", {})
        await asyncio.wait_for(busy.wait(), 10)
        for _ in range(3):
            await broadcast.send(*(f'{{"id":"{n:032x}","topic":"other","message":{{}}}}' for n in range(300)))
        client = cast(Any, redis.redis())
        await client.xtrim(redis.key("broadcast"), maxlen=600, approximate=False)
        go_on.set()
        await asyncio.wait_for(gap.wait(), 10)
    finally:
        await listener.stop()


async def test_a_receiver_starts_over_when_redis_was_away(valkey: OwnServer) -> None:
    """Who answers then may be a replica that never got what was sent last."""
    gap = asyncio.Event()

    async def missed() -> None:
        gap.set()

    listener = Listener()
    listener.listen("probe", _nothing, on_gap=missed)
    async with committed() as tx:
        announce(tx, "probe", {})
    await listener.start()
    try:
        await valkey.kill()
        await valkey.start()
        await asyncio.wait_for(gap.wait(), 20)
    finally:
        await listener.stop()


async def _nothing(message: dict[str, Any]) -> None:
    return
