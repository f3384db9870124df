"""HTTP/2 to strangers, with the bounds of `cluster.http.outbound`: many requests at once over one connection that is kept.

Source: RFC 9113. Without TLS, to the one port of this machine that a setting opens, with prior knowledge (section 3.3).
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import httpcore

from cluster.http.outbound import LIMIT_S, MAX_ANSWER_BYTES, public_addresses
from cluster.http.outbound_urls import OutboundRefused, Reply, check_url

_IDLE_S = 900.0


@dataclass(slots=True)
class _Line:
    """A connection, how many requests are under way on it, and whether any was answered."""

    pool: httpcore.AsyncConnectionPool
    users: int = 0
    answered: bool = False


class OutboundHttp2:
    """Sends requests to one stranger. A connection on which a request broke off takes no new ones, and closes after its last."""

    def __init__(self) -> None:
        self._line: _Line | None = None

    async def post(self, url: str, *, body: bytes, headers: Mapping[str, str]) -> Reply:
        """Send a request that may come twice, and return the answer.

        A kept connection may have been closed by the other side since: what breaks off on one is sent again on a new one.

        Raises:
            OutboundRefused: it would leave the public network.
            ConnectionError, TimeoutError: nobody answers there, or not in time.
        """
        checked = str(check_url(url))
        async with asyncio.timeout(LIMIT_S):
            was_kept = self._line is not None and self._line.answered
            try:
                return await self._post(checked, body, headers)
            except ConnectionError:
                if not was_kept:
                    raise
            return await self._post(checked, body, headers)

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        line = self._line
        if line is None:
            line = self._line = _Line(
                httpcore.AsyncConnectionPool(
                    http1=False,
                    http2=True,
                    max_connections=1,
                    keepalive_expiry=_IDLE_S,
                    network_backend=_CheckedBackend(),
                )
            )
        line.users += 1
        try:
            reply = await _post(line.pool, url, body, headers)
            line.answered = True
        except BaseException as error:
            if self._line is line:
                self._line = None
            match error:
                case httpcore.TimeoutException():
                    raise TimeoutError from error
                case httpcore.NetworkError() | httpcore.ProtocolError() | httpcore.ConnectionNotAvailable():
                    raise ConnectionError(str(error)) from error
                case _:
                    raise
        else:
            return reply
        finally:
            line.users -= 1
            if self._line is not line and line.users == 0:
                await asyncio.shield(line.pool.aclose())

    async def aclose(self) -> None:
        """Close the connection, whatever is under way on it."""
        line, self._line = self._line, None
        if line is not None:
            await line.pool.aclose()


async def _post(pool: httpcore.AsyncConnectionPool, url: str, body: bytes, headers: Mapping[str, str]) -> Reply:
    sent = [(name.lower(), value) for name, value in headers.items()]
    sent.append(("content-length", str(len(body))))
    async with pool.stream("POST", url, headers=sent, content=body) as answer:
        found = b""
        async for piece in answer.aiter_stream():
            found += piece
            if len(found) >= MAX_ANSWER_BYTES:
                break
        names = {name.decode().lower(): value.decode("latin-1") for name, value in answer.headers}
        return Reply(status=answer.status, headers=names, body=found[:MAX_ANSWER_BYTES])


class _CheckedBackend(httpcore.AsyncNetworkBackend):
    """Connects to the address that was checked, not to the name."""

    def __init__(self) -> None:
        self._inner: httpcore.AsyncNetworkBackend = cast("Any", httpcore).AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        failed: httpcore.ConnectError | None = None
        for address in await public_addresses(host, port):
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except httpcore.ConnectError as error:
                failed = error
        raise failed or OutboundRefused("its name leads to no public address")
