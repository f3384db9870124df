"""An application on a real uvicorn, and raw connections to it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast

import uvicorn


@asynccontextmanager
async def served(application: object) -> AsyncGenerator[int]:
    """Answer HTTP on a free port, which is yielded, until the body ends."""
    config = uvicorn.Config(
        cast(Any, application), port=0, lifespan="off", access_log=False, log_config=None, backlog=4096
    )
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.force_exit = True
        await server.shutdown()


class Raw:
    """One connection, by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, port: int) -> "Raw":
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    def send(self, content: bytes) -> None:
        self._writer.write(content)

    async def rest(self) -> bytes:
        """Return everything until the other side closes."""
        return await self._reader.read()

    def close(self) -> None:
        self._writer.close()


def half_a_request(path: str, *, address: str, sent: bytes = b'{"title"') -> bytes:
    """Return the head of a POST whose body is longer than the part that comes with it."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: hub.test\r\nX-Forwarded-For: {address}\r\n"
        f"Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n"
    ).encode() + sent
