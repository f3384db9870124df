"""Many WebSocket clients in one process, as cheap as they can be: a protocol each, no parser, frames masked with zeros."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from typing import cast

_AT_ONCE = 100
_RETURN_WITHIN_S = 2.0


class Swarm:
    """Clients that note the newest number they were sent, and come back when they are cut off."""

    def __init__(self, path: str, token: str, subscribe: str) -> None:
        """`subscribe`: sent first, `%s` in it stands for the newest number a client has; empty: nothing is sent."""
        self.request = (
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Version: 13\r\n"
            f"Authorization: Bearer {token}\r\n\r\n"
        ).encode()
        self.subscribe = subscribe
        self.ports: list[int] = []
        """Where clients connect that come back."""
        self.clients: list[Client] = []
        self.refused = 0
        self._awaited = 0
        self._missing = 0
        self._all = asyncio.Event()
        self._coming: set[asyncio.Task[None]] = set()

    async def connect(self, ports: Sequence[int], count: int) -> None:
        """Let this many more clients connect, spread over these ports, and return when all follow."""
        limit = asyncio.Semaphore(_AT_ONCE)

        async def one(client: Client, port: int) -> None:
            async with limit:
                await client.connect(port)
                await client.follows.wait()

        made = [Client(self) for _ in range(count)]
        self.clients += made
        self.ports = list(ports)
        await asyncio.gather(*(one(client, ports[n % len(ports)]) for n, client in enumerate(made)))

    def expect(self, number: int) -> None:
        """Wait in `heard` for this number."""
        self._awaited = number
        self._missing = sum(client.number < number for client in self.clients)
        self._all.clear()
        if not self._missing:
            self._all.set()

    async def heard(self) -> None:
        """Return when all have been sent the number that is expected, or a later one."""
        await self._all.wait()

    async def follow(self) -> None:
        """Return when all follow, those that were cut off again."""
        await asyncio.gather(*(client.follows.wait() for client in self.clients))

    def close(self) -> None:
        self.ports = []
        for client in self.clients:
            client.close()

    def note(self, before: int, now: int) -> None:
        if before < self._awaited <= now:
            self._missing -= 1
            if not self._missing:
                self._all.set()

    def come_back(self, client: "Client") -> None:
        if self.ports:
            task = asyncio.create_task(self._return(client))
            self._coming.add(task)
            task.add_done_callback(self._coming.discard)

    async def _return(self, client: "Client") -> None:
        await asyncio.sleep(random.uniform(0, _RETURN_WITHIN_S))
        with suppress(OSError):
            if self.ports:
                return await client.connect(random.choice(self.ports))
        self.come_back(client)


class Client(asyncio.Protocol):
    """One connection after the other."""

    __slots__ = ("_rest", "_swarm", "_transport", "follows", "number", "opened")

    def __init__(self, swarm: Swarm) -> None:
        self.number = 0
        self.follows = asyncio.Event()
        self._swarm = swarm
        self._transport: asyncio.Transport | None = None
        self.opened = False
        self._rest = b""

    async def connect(self, port: int) -> None:
        await asyncio.get_running_loop().create_connection(lambda: self, "127.0.0.1", port)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._swarm.request)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio's)
        self._transport, self.opened, self._rest = None, False, b""
        self.follows.clear()
        self._swarm.come_back(self)

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        if not self.opened:
            head, found, data = data.partition(b"\r\n\r\n")
            if not found:
                self._rest = head
                return
            if not head.startswith(b"HTTP/1.1 101"):
                self._swarm.refused += 1
                self.close()
                return
            self.opened = True
            if self._swarm.subscribe:
                self.send(self._swarm.subscribe % (self.number or "null"))
            else:
                self.follows.set()
        whole, brace, self._rest = data.rpartition(b"}")
        if not brace:
            return
        if b'"subscribed":' in whole:
            self.follows.set()
        at = whole.rfind(b'"seq":')
        if at >= 0:
            before, self.number = self.number, int(whole[at + 6 : whole.find(b",", at)])
            self._swarm.note(before, self.number)

    def send(self, text: str) -> None:
        """Send a text of less than 64 KiB."""
        size = len(text)
        length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + size.to_bytes(2)
        if self._transport is not None:
            self._transport.write(b"\x81" + length + bytes(4) + text.encode())

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
