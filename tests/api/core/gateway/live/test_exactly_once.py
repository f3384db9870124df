"""Every follower gets the messages 1 to n, each once, in order, whatever happens to hints and to the processes between."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from cluster.base.settings import REPOSITORY
from cluster.people import live
from cluster.signals import redis, rooms
from tests.api.core.gateway.live.conftest import socket
from tests.api.core.gateway.live.probe import Source, new_topic, say
from tests.harness import Hub, Person, School
from tests.own_server import OwnServer


@dataclass
class Follower:
    """A client that comes back from where it was whenever its connection ends."""

    person: Person
    got: list[int] = field(default_factory=list[int])
    connections: int = 0
    codes: list[int] = field(default_factory=list[int])
    """With which its connections were closed."""
    told: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    async def follow(self, ports: list[int], topic: str, last: int, ready: asyncio.Semaphore) -> None:
        """Follow at the newest of these ports until message `last` has come."""
        while not self.got or self.got[-1] < last:
            try:
                async with socket(ports[-1], self.person) as connection:
                    self.connections += 1
                    answer = await connection.subscribe(topic, self.got[-1] if self.got else 0)
                    assert "subscribed" in answer, answer
                    ready.release()
                    while not self.got or self.got[-1] < last:
                        frame = await connection.next()
                        if "ping" not in frame:
                            self.got.append(frame["seq"])
                            self.told.release()
            except (ConnectionClosed, OSError, InvalidHandshake) as error:
                if isinstance(error, ConnectionClosed):
                    self.codes.append(error.rcvd.code if error.rcvd else 1006)
                await asyncio.sleep(0.05)


@asynccontextmanager
async def another_host() -> AsyncGenerator[tuple[int, asyncio.subprocess.Process]]:
    """Run a web host in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.api.core.gateway.live.probe"),
        cwd=REPOSITORY,
        env=os.environ | {"HUB_LOG_LEVEL": "critical"},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        yield int(await asyncio.wait_for(process.stdout.readline(), 120)), process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.fixture(scope="module")
async def people(hub: Hub) -> list[Person]:
    return [await hub.person() for _ in range(3)]


async def test_followers_hold_all_messages_when_their_server_is_killed(port: int, people: list[Person]) -> None:
    id = await new_topic()
    followers = [Follower(person) for person in people for _ in range(20)]
    ready = asyncio.Semaphore(0)
    async with another_host() as (first, process):
        ports = [first]
        working = [asyncio.create_task(each.follow(ports, f"hall:{id}", 90, ready)) for each in followers]
        for _ in followers:
            await asyncio.wait_for(ready.acquire(), 60)

        for n in range(30):
            await say("hall", id, f"{n}")
        process.send_signal(signal.SIGKILL)
        ports.append(port)
        for n in range(30, 90, 3):
            await say("hall", id, f"{n}", f"{n + 1}", f"{n + 2}")
        await asyncio.wait_for(asyncio.gather(*working), 60)

    assert [each.got for each in followers] == [list(range(1, 91))] * len(followers)
    assert all(each.connections > 1 for each in followers)


async def test_followers_hold_all_messages_whatever_becomes_of_hints(
    port: int, people: list[Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    id = await new_topic()
    followers = [Follower(person) for person in people for _ in range(5)]
    ready = asyncio.Semaphore(0)
    working = [asyncio.create_task(each.follow([port], f"hall:{id}", 40, ready)) for each in followers]
    for _ in followers:
        await asyncio.wait_for(ready.acquire(), 60)

    for n in range(39):
        await say("hall", id, f"{n}", hint=n % 3 == 0)
        if n % 5 == 0:
            late = [f'{{"name":"hall","id":"{id}","seq":{seq}}}' for seq in (1, n + 1, n)]
            await rooms.send(*late, *late)
    await say("hall", id, "last")
    await asyncio.wait_for(asyncio.gather(*working), 60)

    assert [each.got for each in followers] == [list(range(1, 41))] * len(followers)


async def test_followers_hold_all_messages_while_hints_cannot_travel(
    port: int, people: list[Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Away:
        def __getattr__(self, command: str) -> None:
            raise ConnectionError(f"Redis is away for {command}")

    id = await new_topic()
    followers = [Follower(person) for person in people]
    ready = asyncio.Semaphore(0)
    working = [asyncio.create_task(each.follow([port], f"hall:{id}", 10, ready)) for each in followers]
    for _ in followers:
        await asyncio.wait_for(ready.acquire(), 60)

    with monkeypatch.context() as patch:
        patch.setattr(redis, "redis", Away)
        for n in range(10):
            await say("hall", id, f"{n}")
        await asyncio.wait_for(asyncio.gather(*working), 60)

    assert [each.got for each in followers] == [list(range(1, 11))] * len(followers)


@pytest.mark.timeout(300)
async def test_followers_hold_all_messages_when_hosts_are_replaced(port: int, people: list[Person]) -> None:
    id = await new_topic()
    followers = [Follower(person) for person in people for _ in range(19)]
    ready = asyncio.Semaphore(0)
    said = 0
    async with another_host() as (first, old), another_host() as (second, new):
        ports = [first]
        working = [asyncio.create_task(each.follow(ports, f"hall:{id}", 60, ready)) for each in followers]
        for _ in followers:
            await asyncio.wait_for(ready.acquire(), 60)

        for leaving, next_port in ((old, second), (new, port)):
            ports.append(next_port)
            leaving.terminate()
            while leaving.returncode is None and said < 58:
                said = await say("hall", id, "while it leaves")
            await asyncio.wait_for(leaving.wait(), 120)
            said = await say("hall", id, "when it is gone")
            for _ in followers:
                await asyncio.wait_for(ready.acquire(), 60)
        while said < 60:
            said = await say("hall", id, "at the end")
        await asyncio.wait_for(asyncio.gather(*working), 60)

    assert [each.got for each in followers] == [list(range(1, 61))] * len(followers)
    assert [each.codes for each in followers] == [[1012, 1012]] * len(followers)


async def test_followers_hold_all_messages_while_valkey_is_away(
    port: int, people: list[Person], valkey: OwnServer
) -> None:
    id = await new_topic()
    followers = [Follower(person) for person in people for _ in range(10)]
    ready = asyncio.Semaphore(0)
    working = [asyncio.create_task(each.follow([port], f"hall:{id}", 16, ready)) for each in followers]
    for _ in followers:
        await asyncio.wait_for(ready.acquire(), 60)

    async def heard(*texts: str) -> None:
        for text in texts:
            await say("hall", id, text)
        for each in followers:
            for _ in texts:
                await asyncio.wait_for(each.told.acquire(), 20)

    await heard("hints arrive", "and again")
    valkey.freeze()
    await heard("1", "2", "3", "4")
    await heard("5")
    valkey.thaw()
    await heard("it answers again")
    await valkey.kill()
    await heard("6", "7", "8", "9")
    await valkey.start()
    while not live.current().hears:  # noqa: ASYNC110 (nothing tells)
        await asyncio.sleep(0.05)
    asked = Source.asked
    await heard("hints arrive", "and again", "and", "again")
    asked = Source.asked - asked
    await asyncio.wait_for(asyncio.gather(*working), 20)

    assert [each.got for each in followers] == [list(range(1, 17))] * len(followers)
    assert [each.connections for each in followers] == [1] * len(followers)
    assert asked <= 4


async def test_who_missed_more_than_is_kept_gets_it_in_portions(port: int, people: list[Person]) -> None:
    id = await new_topic()
    await say("hall", id, *(f"{n}" for n in range(900)))
    topic = f"hall:{id}"

    async with socket(port, people[0]) as connection:
        answer = await connection.subscribe(topic, 0)
        told = await connection.messages(topic, 900)

    assert answer == {"topic": topic, "subscribed": 0}
    assert [seq for seq, _ in told] == list(range(1, 901))


async def test_who_missed_too_much_is_told_to_read_and_go_on(port: int, people: list[Person]) -> None:
    id = await new_topic()
    await say("hall", id, *(f"{n}" for n in range(1002)))
    topic = f"hall:{id}"

    async with socket(port, people[0]) as connection:
        answers = [await connection.subscribe(topic, after) for after in (0, 1003)]
        await say("hall", id, "next")
        told = await connection.messages(topic, 1003)

    assert answers == [{"topic": topic, "reset": 1002}] * 2
    assert told == [(1003, "next")]


async def test_statements_do_not_grow_with_followers(port: int, people: list[Person]) -> None:
    asked: list[int] = []
    before = 0
    for followers in (1, 20):
        id = await new_topic()
        working: list[Follower] = [Follower(person) for person in people for _ in range(followers)]
        ready = asyncio.Semaphore(0)
        tasks = [asyncio.create_task(each.follow([port], f"hall:{id}", 11, ready)) for each in working]
        for _ in working:
            await ready.acquire()
        for n in range(1, 12):
            if n == 2:
                before = Source.asked
            await say("hall", id, f"{n}")
            for each in working:
                await asyncio.wait_for(each.told.acquire(), 20)
        await asyncio.gather(*tasks)
        asked.append(Source.asked - before)

    assert asked == [10, 10]


async def test_of_a_state_only_the_newest_is_sent(port: int, school: School) -> None:
    id = await new_topic(org_id=school.org_id)
    topic = f"gauge:{id}"
    await say("gauge", id, "a", "b", "c")

    async with socket(port, school.owner) as connection:
        await connection.send(subscribe={topic: 1})
        answers = [await connection.next(), await connection.next()]
        await say("gauge", id, "d", "e")
        told = await connection.messages(topic, 5)

    assert (answers[0], answers[1]["seq"]) == ({"topic": topic, "subscribed": 1}, 3)
    assert told == [(5, "e")]
