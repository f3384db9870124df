"""The one port of this machine that requests to strangers may reach, for HTTP/1.1 and HTTP/2 at once."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded
from h2.exceptions import ProtocolError

from cluster.base.settings import settings

_FRAME = 16_384


@dataclass(slots=True)
class Request:
    """A request over HTTP/2."""

    headers: dict[str, str]
    body: bytearray = field(default_factory=bytearray)


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


class Dropped(Exception):
    """The connection is cut off instead of an answer."""


Answers = Callable[[Request], Awaitable[Reply]]


class _Http2(asyncio.Protocol):
    """A server's side of one connection. Source: RFC 9113."""

    def __init__(self, answer: Answers) -> None:
        self._answer = answer
        self._h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self._streams: dict[int, Request] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: Any) -> None:
        self._transport: asyncio.Transport = transport
        self._h2.initiate_connection()
        self._flush()

    def data_received(self, data: bytes) -> None:
        for event in self._h2.receive_data(data):
            match event:
                case RequestReceived(stream_id=int(id), headers=headers):
                    named = {_text(name): _text(value) for name, value in headers or ()}
                    self._streams[id] = Request(named)
                case DataReceived(stream_id=int(id), data=bytes(piece)):
                    self._streams[id].body += piece
                    self._h2.acknowledge_received_data(event.flow_controlled_length or 0, id)
                case StreamEnded(stream_id=int(id)):
                    task = asyncio.get_running_loop().create_task(self._reply(id, self._streams.pop(id)))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
                case _:
                    pass
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        for task in self._tasks:
            task.cancel()

    async def _reply(self, id: int, request: Request) -> None:
        try:
            reply = await self._answer(request)
            self._h2.send_headers(id, [(":status", str(reply.status)), *reply.headers], end_stream=not reply.body)
            for start in range(0, len(reply.body), _FRAME):
                is_last = start + _FRAME >= len(reply.body)
                self._h2.send_data(id, reply.body[start : start + _FRAME], end_stream=is_last)
            self._flush()
        except Dropped:
            self._transport.abort()
        except ProtocolError:
            # Who asked has gone.
            self._transport.close()

    def _flush(self) -> None:
        self._transport.write(self._h2.data_to_send())


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode()


class _Either(asyncio.Protocol):
    """Looks at the first bytes: a client of HTTP/2 with prior knowledge says so. Source: RFC 9113, section 3.4."""

    def __init__(self, http1: Callable[[], asyncio.BaseProtocol], http2: Answers) -> None:
        self._http1, self._http2 = http1, http2

    def connection_made(self, transport: Any) -> None:
        self.transport: asyncio.Transport = transport

    def data_received(self, data: bytes) -> None:
        chosen: Any = _Http2(self._http2) if data.startswith(b"PRI") else self._http1()
        self.transport.set_protocol(chosen)
        chosen.connection_made(self.transport)
        chosen.data_received(data)


@dataclass(slots=True)
class Port:
    connections: int = 0


@asynccontextmanager
async def listening(app: web.Application, http2: Answers) -> AsyncGenerator[Port]:
    """Answer on the port; at the end every connection is closed."""
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    server = runner.server
    assert server is not None
    made, open_ones = Port(), list[_Either]()

    def accept() -> _Either:
        made.connections += 1
        open_ones.append(_Either(server, http2))
        return open_ones[-1]

    port = settings().outbound_loopback_port
    listener = await asyncio.get_running_loop().create_server(accept, "127.0.0.1", port)
    try:
        yield made
    finally:
        listener.close()
        for each in open_ones:
            each.transport.close()
        await runner.cleanup()
        await listener.wait_closed()
