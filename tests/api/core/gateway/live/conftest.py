"""A platform on a real server, with topics of tests, and clients that hold connections to it."""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

import asyncpg
import httpx
import orjson
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from cluster.base.settings import settings
from cluster.people import calls, live
from cluster.people.live import hub as hub_module
from cluster.people.tickets import SOCKET
from cluster.servers.testing import own_home
from cluster.servers.valkey import Valkey
from cluster.signals import redis
from tests.api.core.gateway.live import probe
from tests.cluster.http.serving import served
from tests.harness import Hub, Person, School, done
from tests.own_server import OwnServer


@pytest.fixture(scope="module")
async def port(hub: Hub) -> AsyncIterator[int]:
    """The port of a server that runs the platform with topics of tests."""
    admin = await asyncpg.connect(os.environ["HUB_POSTGRES_URL"])
    await admin.execute(probe.CREATE)
    await admin.close()
    kept, own = hub_module._topics, calls._local["gateway"]  # pyright: ignore[reportPrivateUsage]
    assert not kept().keys() & probe.TOPICS.keys(), (
        "the process keeps whom it asks about a topic: name those of tests otherwise"
    )
    hub_module._topics = lambda: kept() | probe.TOPICS  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
    probe.install()
    current = live.current()
    await current.start()
    signals = current.signals
    if signals._tail._task is None:  # pyright: ignore[reportPrivateUsage]
        # Somebody followed something of the product before, which offers no topic with signals: nothing listens to them yet.
        await signals.start()
    async with served(hub.host) as port:
        yield port
    await signals.stop()
    hub_module._topics = kept  # pyright: ignore[reportPrivateUsage]
    calls._local["gateway"] = own  # pyright: ignore[reportPrivateUsage]


@pytest.fixture(scope="module")
async def school(hub: Hub) -> School:
    return await hub.school()


@pytest.fixture
async def valkey(port: int, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[OwnServer]:
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


def token_of(person: Person) -> dict[str, str]:
    return {"Authorization": person.client.headers["authorization"]}


class Socket:
    """A client of the WebSocket."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def send(self, **frame: Any) -> None:
        await self._connection.send(orjson.dumps(frame).decode())

    async def send_raw(self, content: str | bytes) -> None:
        await self._connection.send(content)

    async def next(self) -> dict[str, Any]:
        return orjson.loads(await asyncio.wait_for(self._connection.recv(), 20))

    async def subscribe(self, topic: str, after: int | None = None) -> dict[str, Any]:
        """Subscribe to one topic and return the answer."""
        await self.send(subscribe={topic: after})
        return await self.next()

    async def messages(self, topic: str, last: int) -> list[tuple[int, str]]:
        """Return the messages of a topic until one has this number."""
        found: list[tuple[int, str]] = []
        while not found or found[-1][0] < last:
            frame = await self.next()
            if frame.get("topic") == topic and "seq" in frame:
                found.append((frame["seq"], frame["data"]["text"]))
        return found

    async def closed(self) -> tuple[int, list[dict[str, Any]]]:
        """Wait until the server closes and return the code, and the frames before."""
        frames: list[dict[str, Any]] = []
        with suppress(ConnectionClosed):
            while True:
                frames.append(await self.next())
        return self._connection.close_code or 0, frames


@asynccontextmanager
async def socket(
    port: int, person: Person | None, *, ticket: str | None = None, origin: str | None = None, **options: Any
) -> AsyncGenerator[Socket]:
    """Connect a WebSocket with a token, or with a ticket."""
    query = "" if ticket is None else f"?ticket={ticket}"
    async with connect(
        f"ws://127.0.0.1:{port}{SOCKET}{query}",
        additional_headers={} if person is None else token_of(person),
        origin=origin,  # pyright: ignore[reportArgumentType]
        compression=None,
        proxy=None,
        **options,
    ) as connection:
        yield Socket(connection)


async def new_ticket(person: Person) -> str:
    return done(await person.post("/v1/sessions/me/tickets"))["ticket"]


class Events:
    """A client of the server-sent events."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.aiter_lines()
        self.last_id = ""

    async def next(self) -> dict[str, Any]:
        """Return the next event's document."""
        while True:
            line = await asyncio.wait_for(anext(self._lines), 20)
            if line.startswith("id: "):
                self.last_id = line[4:]
            elif line.startswith("data: "):
                return orjson.loads(line[6:])

    async def rest(self) -> list[str]:
        return [line async for line in self._lines]


@asynccontextmanager
async def events(port: int, person: Person, *topics: str, last_id: str | None = None) -> AsyncGenerator[Events]:
    """Follow topics as server-sent events."""
    headers = token_of(person) | ({} if last_id is None else {"Last-Event-ID": last_id})
    async with (
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60, trust_env=False) as http,
        http.stream("GET", "/v1/live", params={"topic": topics}) as response,
    ):
        assert response.status_code == 200, await response.aread()
        yield Events(response)
