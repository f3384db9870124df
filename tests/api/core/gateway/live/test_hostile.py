"""Clients that send nonsense, too much, or do not read."""

import asyncio

import orjson
import pytest
from websockets.exceptions import ConnectionClosed

from cluster.people import live
from cluster.people.live import reader
from tests.api.core.gateway.live.conftest import socket
from tests.api.core.gateway.live.probe import new_topic, say
from tests.harness import Hub, Person, problem


@pytest.fixture(scope="module")
async def person(hub: Hub) -> Person:
    return await hub.person()


NONSENSE: list[str | bytes] = [
    "",
    "{",
    "[]",
    "null",
    '{"subscribe": []}',
    '{"subscribe": {"hall:me": -1}}',
    '{"subscribe": {"hall:me": 1e400}}',
    '{"subscribe": {"hall:me": 99999999999999999999}}',
    '{"subscribe": {"hall:me": "1"}}',
    '{"unsubscribe": {"a": 1}}',
    '{"other": 1}',
    "[" * 30_000,
    b"\x00\x01",
    orjson.dumps({"subscribe": {f"hall:{n}": None for n in range(201)}}).decode(),
    orjson.dumps({"subscribe": {"x" * 101: None}}).decode(),
]


async def test_a_frame_that_means_nothing_ends_the_connection(port: int, person: Person) -> None:
    ends: list[object] = []
    for frame in NONSENSE:
        async with socket(port, person) as connection:
            await connection.send_raw(frame)
            ends.append(await connection.closed())

    assert ends == [(4400, [])] * len(NONSENSE)


async def test_a_frame_that_is_too_large_ends_the_connection(port: int, person: Person) -> None:
    async with socket(port, person) as connection:
        await connection.send_raw('{"subscribe": {}}' + " " * 70_000)
        code, _ = await connection.closed()

    assert code == 1009


async def test_too_many_frames_end_the_connection(port: int, person: Person) -> None:
    async with socket(port, person) as connection:
        for _ in range(60):
            try:
                await connection.send(unsubscribe=["hall:me"])
            except ConnectionClosed:
                break
        code, _ = await connection.closed()

    assert code == 4429


async def test_who_subscribes_and_leaves_again_and_again_leaves_nothing(port: int, person: Person) -> None:
    id = await new_topic()
    topic = f"hall:{id}"

    async with socket(port, person) as connection:
        for _ in range(4):
            await connection.send(subscribe={topic: None})
            await connection.send(subscribe={topic: 0})
            await connection.send(unsubscribe=[topic])
        answers = [await connection.next() for _ in range(8)]
        await connection.send(subscribe={topic: None})
        await connection.next()
        await say("hall", id, "once")
        told = await connection.messages(topic, 1)

    assert answers == [{"topic": topic, "subscribed": 0}] * 8
    assert told == [(1, "once")]


async def test_a_client_that_does_not_read_is_dropped_and_catches_up(port: int, person: Person) -> None:
    id = await new_topic()
    topic, text = f"hall:{id}", "x" * 30_000

    async with socket(port, person, max_queue=1) as slow, socket(port, person) as quick:
        await slow.subscribe(topic)
        await quick.subscribe(topic)
        for n in range(10):
            await say("hall", id, *([text] * 30))
            await quick.messages(topic, (n + 1) * 30)
        code, frames = await slow.closed()
    got = [frame["seq"] for frame in frames]
    async with socket(port, person) as again:
        await again.subscribe(topic, got[-1])
        missed = [seq for seq, _ in await again.messages(topic, 300)]

    assert code == 4408
    assert got + missed == list(range(1, 301))


async def test_who_is_silent_is_pinged(port: int, person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cluster.people.live.hub.PING_S", 0.0)

    async with socket(port, person) as connection:
        frame = await connection.next()

    assert frame == orjson.loads(reader.PING.text)


async def test_the_sockets_address_answers_nothing_else(person: Person) -> None:
    answer = problem(await person.get("/v1/live/socket"), 426, "upgrade-required")
    assert answer["detail"] == "GET /v1/live is the same as server-sent events"


async def test_connections_end_with_their_clients(port: int, person: Person) -> None:
    hub = live.current()
    async with socket(port, person) as connection:
        await connection.subscribe(f"hall:{await new_topic()}")
        (mine,) = hub.readers_of(person.id)
    async with asyncio.timeout(20):
        while mine in hub.readers:  # noqa: ASYNC110 (nothing tells when it is counted out)
            await asyncio.sleep(0)
    assert hub.rooms == {}
