"""Requests to strangers never reach our own network."""

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from cluster.base.settings import settings
from cluster.http.outbound import (
    MAX_ANSWER_BYTES,
    Outbound,
    OutboundRefused,
    check_url,
    is_public,
    public_addresses,
)


@pytest.fixture
async def stranger(servers: None) -> AsyncIterator[str]:
    """A server of this machine on the one port that is open to tests; it sends everybody on to the database."""

    async def answer(request: web.Request) -> web.Response:
        if request.path == "/long":
            return web.Response(body=b"x" * (MAX_ANSWER_BYTES + 5))
        return web.Response(status=307, headers={"Location": "http://127.0.0.1:1/inside"}, text=await request.text())

    app = web.Application()
    app.router.add_route("*", "/{path}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", settings().outbound_loopback_port).start()
    yield f"http://127.0.0.1:{settings().outbound_loopback_port}"
    await runner.cleanup()


@pytest.mark.parametrize(
    "address",
    [
        *(
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",  # noqa: S104
            "224.0.0.1",
        ),
        *(
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fd00:ec2::254",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::",
        ),
        *("fec0::1", "ff02::1", "240.0.0.1", "192.0.2.1", "198.18.0.1"),
    ],
)
def test_an_address_that_is_not_globally_routable_is_refused(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


def test_public_addresses_are_let_through() -> None:
    assert all(is_public(ipaddress.ip_address(text)) for text in ("8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"))


@pytest.mark.parametrize(
    "url",
    [
        *("http://push.example/a", "https://127.0.0.1/a", "https://[::ffff:127.0.0.1]/a", "ftp://push.example/a"),
        *(
            "https://push.example:22/a",
            "https://user:secret@push.example/a",
            "/a",
            "https:///a",
            "http://127.0.0.1:1/a",
        ),
        *("https://a..example/a", "https://.example/a", f"https://{'a' * 64}.example/a", "https://xn--a/a"),
    ],
)
def test_an_address_that_leads_elsewhere_is_refused_before_any_look(servers: None, url: str) -> None:
    with pytest.raises(OutboundRefused):
        check_url(url)


async def test_a_name_of_our_own_network_is_refused_at_the_connection(servers: None) -> None:
    async with Outbound() as outbound:
        # 2130706433 is 127.0.0.1 to the resolver.
        for host in ("localhost", "2130706433", "0x7f.1"):
            with pytest.raises(OutboundRefused):
                await outbound.post(f"https://{host}:5432/a", body=b"", headers={})


async def test_a_host_that_no_name_can_be_is_refused_by_the_resolver(servers: None) -> None:
    for host in ("a..example", f"{'a' * 64}.example"):
        with pytest.raises(OutboundRefused):
            await public_addresses(host, 443)


async def test_a_name_that_changes_is_connected_where_it_was_checked(
    servers: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[str] = []
    loop = asyncio.get_running_loop()
    connected: list[Any] = []

    async def rebinding(host: str, port: int, **_: Any) -> Any:
        looks.append(host)
        address = "192.0.0.9" if len(looks) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    async def connect(sock: socket.socket, address: Any) -> None:
        connected.append(address)
        raise ConnectionRefusedError(111, "refused")

    monkeypatch.setattr(loop, "getaddrinfo", rebinding)
    monkeypatch.setattr(loop, "sock_connect", connect)
    async with Outbound() as outbound:
        with pytest.raises(aiohttp.ClientConnectorError):
            await outbound.post("https://push.example/a", body=b"", headers={})
        with pytest.raises(OutboundRefused):
            await outbound.post("https://push.example/a", body=b"", headers={})

    assert (looks, connected) == (["push.example"] * 2, [("192.0.0.9", 443)])


async def test_a_redirection_is_an_answer_and_a_long_answer_is_cut(stranger: str) -> None:
    async with Outbound() as outbound:
        sent_on = await outbound.post(f"{stranger}/a", body=b"hello", headers={})
        cut = await outbound.post(f"{stranger}/long", body=b"", headers={})

    assert (sent_on.status, sent_on.body) == (307, b"hello")
    assert len(cut.body) == MAX_ANSWER_BYTES


async def test_fetching_goes_no_further_than_sending(stranger: str) -> None:
    async with Outbound() as outbound:
        sent_on = await outbound.get(f"{stranger}/a")
        cut = await outbound.get(f"{stranger}/long")
        with pytest.raises(OutboundRefused):
            await outbound.get("https://localhost:5432/a")
        with pytest.raises(OutboundRefused):
            await outbound.get("http://169.254.169.254/latest/meta-data")

    assert (sent_on.status, sent_on.body) == (307, b"")
    assert len(cut.body) == MAX_ANSWER_BYTES
