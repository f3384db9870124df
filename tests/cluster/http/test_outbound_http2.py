"""HTTP/2 to strangers: never into our own network, over one connection, and on a new one when that is gone."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from cluster.base.settings import settings
from cluster.http.outbound import MAX_ANSWER_BYTES, OutboundRefused
from cluster.http.outbound_http2 import OutboundHttp2
from tests.api.engagement.notification.vendors.port import Dropped, Reply, Request, listening


@pytest.fixture
async def outbound(servers: None) -> AsyncIterator[OutboundHttp2]:
    made = OutboundHttp2()
    yield made
    await made.aclose()


def url(path: str) -> str:
    return f"http://127.0.0.1:{settings().outbound_loopback_port}{path}"


async def echo(request: Request) -> Reply:
    return Reply(200, bytes(request.body), (("x-path", request.headers[":path"]),))


async def test_many_requests_share_a_connection_and_keep_apart(outbound: OutboundHttp2) -> None:
    bodies = [f"{number}" * 40_000 for number in range(8)]

    async with listening(web.Application(), echo) as port:
        replies = await asyncio.gather(
            *(
                outbound.post(url(f"/{number}"), body=body.encode(), headers={"X-Number": str(number)})
                for number, body in enumerate(bodies)
            )
        )
        assert port.connections == 1

    assert [reply.body.decode() for reply in replies] == bodies
    assert [reply.headers["x-path"] for reply in replies] == [f"/{number}" for number in range(8)]


async def test_a_connection_that_was_closed_is_made_anew(outbound: OutboundHttp2) -> None:
    async with listening(web.Application(), echo):
        await outbound.post(url("/"), body=b"a", headers={})

    async with listening(web.Application(), echo):
        again = await outbound.post(url("/"), body=b"b", headers={})

    assert again.body == b"b"


async def test_a_cut_connection_is_an_error_and_a_long_answer_is_cut(outbound: OutboundHttp2) -> None:
    async def answer(request: Request) -> Reply:
        if request.headers[":path"] == "/cut":
            raise Dropped
        return Reply(200, b"x" * (MAX_ANSWER_BYTES + 5))

    async with listening(web.Application(), answer):
        with pytest.raises(ConnectionError):
            await outbound.post(url("/cut"), body=b"", headers={})
        assert len((await outbound.post(url("/long"), body=b"", headers={})).body) == MAX_ANSWER_BYTES


async def test_one_that_hangs_takes_nobody_with_it(outbound: OutboundHttp2) -> None:
    hangs, asked = asyncio.Event(), asyncio.Event()

    async def answer(request: Request) -> Reply:
        if request.headers[":path"] == "/hangs":
            asked.set()
            await hangs.wait()
        return Reply(200)

    async with listening(web.Application(), answer):
        hanging = asyncio.create_task(outbound.post(url("/hangs"), body=b"", headers={}))
        await asked.wait()
        beside = await outbound.post(url("/"), body=b"", headers={})
        hanging.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hanging
        after = await outbound.post(url("/"), body=b"", headers={})

    assert (beside.status, after.status) == (200, 200)


async def test_names_of_our_own_network_are_refused_over_http2(
    outbound: OutboundHttp2, monkeypatch: pytest.MonkeyPatch
) -> None:
    for host in ("localhost", "2130706433", "0x7f.1"):
        with pytest.raises(OutboundRefused):
            await outbound.post(f"https://{host}:5432/a", body=b"", headers={})

    async def inside(host: str, port: int, **_: Any) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.8", port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", inside)
    with pytest.raises(OutboundRefused):
        await outbound.post("https://push.example/a", body=b"", headers={})
