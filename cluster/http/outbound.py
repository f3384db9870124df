"""HTTP to strangers: addresses that people typed in, and that must not lead into our own network.

A name is resolved here, what is not globally routable is refused, and the connection goes to the address that was checked: a name
that changes between look and connection changes nothing. There are no redirects, 15 s for all of it, and a cap on what is read.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from cluster.base.settings import settings
from cluster.http.outbound_urls import OutboundRefused, Reply, check_url, is_public

LIMIT_S = 15.0
MAX_ANSWER_BYTES = 64 * 1024


class Outbound:
    """Sends requests to strangers; connections are kept while it is open."""

    def __init__(self, *, connections: int = 64) -> None:
        self._connections = connections

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(
            resolver=_CheckedResolver(), use_dns_cache=False, limit=self._connections, limit_per_host=self._connections
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=LIMIT_S),
            # What is sent packed stays packed: nothing grows here.
            auto_decompress=False,
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._session.close()

    async def post(self, url: str, *, body: bytes, headers: Mapping[str, str]) -> Reply:
        """Send a request and return the answer, a redirection included.

        Raises:
            OutboundRefused: it would leave the public network.
            aiohttp.ClientError, TimeoutError: nobody answers there, or not in time.
        """
        return await self._ask("POST", url, body, headers)

    async def get(self, url: str) -> Reply:
        """Fetch what stands at an address; otherwise like `post`."""
        return await self._ask("GET", url, None, {})

    async def _ask(self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]) -> Reply:
        checked = check_url(url)
        try:
            async with self._session.request(
                method, checked, data=body, headers=headers, allow_redirects=False
            ) as answer:
                return Reply(
                    status=answer.status,
                    headers={name.lower(): value for name, value in answer.headers.items()},
                    body=await _read(answer.content),
                )
        except aiohttp.InvalidURL as error:
            raise OutboundRefused("its host is written in a form that hides an address") from error


async def _read(content: aiohttp.StreamReader) -> bytes:
    found = b""
    while len(found) < MAX_ANSWER_BYTES and (piece := await content.read(MAX_ANSWER_BYTES - len(found))):
        found += piece
    return found


async def public_addresses(host: str, port: int, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[str]:
    """Resolve a name to the addresses that a connection may go to.

    Raises:
        OutboundRefused: there is none, or this is no name.
        OSError: the name is not known.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
    except ValueError as error:
        # An empty or a long part, or a character that no name has: UnicodeError is one of them.
        raise OutboundRefused("its host is written in a form that no name has") from error
    addresses = {str(address[0]) for *_, address in found}
    public = sorted(each for each in addresses if _may_connect(each, port))
    if not public:
        raise OutboundRefused("its name leads to no public address")
    return public


class _CheckedResolver(AbstractResolver):
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=each,
                port=port,
                family=socket.AF_INET6 if ":" in each else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for each in await public_addresses(host, port, family)
        ]

    async def close(self) -> None:
        """Nothing is kept."""


def _may_connect(text: str, port: int) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    return is_public(address) or (address.is_loopback and port == settings().outbound_loopback_port)
