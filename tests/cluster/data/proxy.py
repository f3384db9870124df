"""A TCP proxy in front of a server, S3 by default, that breaks connections, stops, and counts."""

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from cluster.base import settings
from cluster.data import objects, s3


class Proxy:
    """Passes bytes on in both directions until told otherwise."""

    def __init__(self, host: str | None = None, port: int | None = None) -> None:
        self._behind = (host, port)
        self.break_after: int | None = None
        """Cut the connection that brings the answers beyond this many bytes, once."""
        self.connections = 0
        self.answered = 0
        """Bytes that came from the server."""
        self.stored = 0
        """Bytes that went to the server."""
        self.flows = asyncio.Event()
        """Cleared: nothing more goes to the server."""
        self.flows.set()
        self.refuses = False
        """Close every connection at once."""
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> "Proxy":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=64 * 1024)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        await self._server.wait_closed()

    @property
    def endpoint(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def cut(self) -> None:
        """Break all connections."""
        for writer in self._open:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.refuses:
            writer.transport.abort()
            return
        host, port = self._behind
        if host is None or port is None:
            where = urlsplit(os.environ["HUB_S3_ENDPOINT"])
            host, port = where.hostname, where.port
        behind_reader, behind_writer = await asyncio.open_connection(host, port, limit=64 * 1024)
        self._open |= {writer, behind_writer}
        upward = asyncio.create_task(self._up(reader, behind_writer))
        await self._down(behind_reader, writer)
        upward.cancel()
        self._open -= {writer, behind_writer}

    async def _up(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while chunk := await source.read(64 * 1024):
                await self.flows.wait()
                self.stored += len(chunk)
                sink.write(chunk)
                await sink.drain()
        except OSError:
            pass
        finally:
            sink.close()

    async def _down(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while chunk := await source.read(64 * 1024):
                if self.break_after is not None and self.answered + len(chunk) > self.break_after:
                    self.break_after = None
                    sink.transport.abort()
                    return
                self.answered += len(chunk)
                sink.write(chunk)
                await sink.drain()
        except OSError:
            pass
        finally:
            sink.close()


@asynccontextmanager
async def between(monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Proxy]:
    """Send this process's objects through a proxy while the body runs."""
    await objects.close()
    async with Proxy() as proxy:
        pointed = replace(settings.settings(), s3_endpoint=proxy.endpoint)
        with monkeypatch.context() as patched:
            patched.setattr(s3, "settings", lambda: pointed)
            yield proxy
            await objects.close()
