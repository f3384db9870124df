"""Token buckets that several processes share, on a real Valkey."""

import asyncio
from collections.abc import AsyncIterator
from time import monotonic
from typing import Any, cast

import pytest

from cluster.base.ids import new_id
from cluster.signals import redis
from cluster.signals.buckets import Quota, Refusal, SharedBuckets
from tests.cluster.signals.test_trouble import valkey
from tests.own_server import OwnServer

__all__ = ["valkey"]
pytestmark = pytest.mark.usefixtures("kernel")
PER_MINUTE = Quota(100, 60)


class Hosts:
    """Processes that share buckets, each with an own view of them."""

    def __init__(self, count: int) -> None:
        self.each = [SharedBuckets() for _ in range(count)]
        self._next = 0

    async def ask(self, id: str, quota: Quota, cost: int = 1) -> Refusal | None:
        """Ask one after the other."""
        host = self.each[self._next % len(self.each)]
        self._next += 1
        return await host.ask([host.bucket("person", id, id, quota)], cost)

    async def stop(self) -> None:
        for each in self.each:
            await each.stop()


@pytest.fixture
async def hosts() -> AsyncIterator[Hosts]:
    found = Hosts(4)
    yield found
    await found.stop()


@pytest.mark.parametrize("together", [True, False])
async def test_hosts_together_admit_what_a_bucket_holds(hosts: Hosts, together: bool) -> None:
    id, begun = str(new_id()), monotonic()

    if together:
        answers = await asyncio.gather(*(hosts.ask(id, PER_MINUTE) for _ in range(1000)))
    else:
        answers = [await hosts.ask(id, PER_MINUTE) for _ in range(1000)]

    refilled = (monotonic() - begun) * 100 / 60
    assert 95 <= answers.count(None) <= 105 + refilled
    refusals = [each for each in answers if each is not None]
    assert all(0 < each.wait_s <= 60 for each in refusals)


async def test_hosts_admit_the_rate_while_they_are_asked_too_much(hosts: Hosts) -> None:
    id, quota, admitted, begun = str(new_id()), Quota(200, 1), 0, monotonic()

    while monotonic() - begun < 4:
        answers = await asyncio.gather(*(hosts.ask(id, quota) for _ in range(40)))
        admitted += answers.count(None)
        await asyncio.sleep(0)

    expected = 200 + 200 * (monotonic() - begun)
    # Fewer where the machine is too busy to ask so often; never more.
    assert 0.5 * expected <= admitted <= 1.05 * expected


async def test_a_heavy_request_takes_its_cost_and_none_takes_more(hosts: Hosts) -> None:
    id, begun = str(new_id()), monotonic()

    answers = [await hosts.ask(id, PER_MINUTE, 30) for _ in range(6)]

    assert [each is None for each in answers] == [True, True, True, False, False, False]
    refusal = answers[3]
    assert refusal is not None
    assert refusal.wait_s == pytest.approx(20 * 0.6 - (monotonic() - begun), abs=1)  # pyright: ignore[reportUnknownMemberType]
    assert await hosts.ask(str(new_id()), Quota(10, 60), 500) is None


async def test_what_a_request_needs_of_two_buckets_it_takes_of_both_or_none(hosts: Hosts) -> None:
    host, id = hosts.each[0], str(new_id())
    small = host.bucket("route", f"GET /x {id}", id, Quota(3, 60))
    large = host.bucket("person", id, id, PER_MINUTE)

    answers = [await host.ask([large, small], 1) for _ in range(10)]

    assert [each is None for each in answers] == [True] * 3 + [False] * 7
    assert {each.bucket.kind for each in answers if each is not None} == {"route"}
    assert [await hosts.ask(id, PER_MINUTE) for _ in range(150)].count(None) in range(92, 103)


async def test_leased_units_of_a_dead_host_are_lost_and_others_given_back(hosts: Hosts) -> None:
    dead, id = SharedBuckets(), str(new_id())
    bucket = dead.bucket("person", id, id, PER_MINUTE)
    bucket.wanted = 40
    assert await dead.ask([bucket], 2) is None
    assert bucket.leased == 40
    for task in dead._tasks.copy():  # pyright: ignore[reportPrivateUsage]
        task.cancel()
    assert dead._timer is not None  # pyright: ignore[reportPrivateUsage]
    dead._timer.cancel()  # pyright: ignore[reportPrivateUsage]

    after_death = [await hosts.ask(id, PER_MINUTE) for _ in range(100)].count(None)

    other, leaving = str(new_id()), SharedBuckets()
    bucket = leaving.bucket("person", other, other, PER_MINUTE)
    bucket.wanted = 40
    assert await leaving.ask([bucket], 2) is None
    await leaving.stop()
    after_leaving = [await hosts.ask(other, PER_MINUTE) for _ in range(150)].count(None)
    assert after_death in range(55, 64)
    assert after_leaving in range(93, 103)


async def test_without_redis_each_host_goes_on_with_its_share(valkey: OwnServer) -> None:
    hosts, id = Hosts(2), str(new_id())
    for host in hosts.each:
        host.hosts = 2
    assert await hosts.ask(id, PER_MINUTE, 3) is None
    valkey.freeze()

    answers = [await hosts.ask(id, PER_MINUTE, 2) for _ in range(200)]

    assert answers.count(None) * 2 in range(92, 103)
    assert all(host.is_alone for host in hosts.each)
    valkey.thaw()
    async with asyncio.timeout(20):
        while any(host.is_alone for host in hosts.each):  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(0.05)
    assert await hosts.ask(str(new_id()), PER_MINUTE, 2) is None
    await hosts.stop()


async def test_a_server_that_forgot_the_script_gets_it_again(hosts: Hosts) -> None:
    await cast(Any, redis.redis()).script_flush()

    assert await hosts.ask(str(new_id()), PER_MINUTE, 5) is None
