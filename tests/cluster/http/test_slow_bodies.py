"""Bodies that do not come: they take nobody's place, and not for long."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable

import httpx
import pytest

from cluster.http import Limits, exchange
from tests.cluster.http.conftest import gate, new_edge
from tests.cluster.http.serving import Raw, half_a_request, served
from tests.harness import done, problem

SLOW = 600


@pytest.fixture(autouse=True)
async def open_gate(process: None) -> None:
    gate.entered.clear()
    gate.open.set()


async def test_600_slow_bodies_leave_room_for_others() -> None:
    edge = new_edge(Limits(short_requests=500))
    async with served(edge) as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        slow = [await Raw.connect(port) for _ in range(SLOW)]
        for number, raw in enumerate(slow):
            raw.send(half_a_request("/v1/things", address=f"10.1.{number % 100}.1"))
        await _until(lambda: edge.admission.bodies == SLOW)

        listed = await client.get("/v1/things")
        written = await client.post("/v1/things/0198c0de-0000-7000-8000-000000000001/wait", json={})

        done(listed)
        done(written)
        assert (edge.admission.short, edge.admission.bodies) == (0, SLOW)
        for raw in slow:
            raw.close()
        await _until(lambda: edge.admission.bodies == 0)


async def test_one_address_holds_a_share_of_the_unfinished_bodies() -> None:
    edge = new_edge(Limits(bodies=8))
    async with served(edge) as port:
        kept = [await Raw.connect(port) for _ in range(2)]
        for raw in kept:
            raw.send(half_a_request("/v1/things", address="10.0.0.1"))
        await _until(lambda: edge.admission.bodies == 2)
        refused = await Raw.connect(port)
        refused.send(half_a_request("/v1/things", address="10.0.0.1"))
        other = await Raw.connect(port)
        other.send(half_a_request("/v1/things", address="10.0.0.2"))

        answer = await asyncio.wait_for(refused.rest(), 20)
        await _until(lambda: edge.admission.bodies == 3)

        assert answer.startswith(b"HTTP/1.1 503 ")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["type"] == "/problems/unavailable"
        for raw in (*kept, other):
            raw.close()
        await _until(lambda: edge.admission.bodies == 0)


@pytest.mark.parametrize("sent", [b"", b'{"title"'])
async def test_a_body_that_does_not_come_is_408_and_closes(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "BODY_LIMIT_S", 0.2)
    edge = new_edge()
    async with served(edge) as port:
        raw = await Raw.connect(port)
        raw.send(half_a_request("/v1/things", address="10.0.0.1", sent=sent))

        head, _, body = (await asyncio.wait_for(raw.rest(), 20)).partition(b"\r\n\r\n")

        assert head.startswith(b"HTTP/1.1 408 ")
        assert b"\r\nconnection: close" in head
        document = json.loads(body)
        assert {**document, "trace_id": ""} == {
            "type": "/problems/request-timeout",
            "title": "The request did not arrive in time",
            "status": 408,
            "detail": "send the whole body within 0 s, a large one at 16 KiB/s at least",
            "trace_id": "",
            "errors": [],
        }
        assert (edge.admission.short, edge.admission.bodies) == (0, 0)


async def test_a_body_that_keeps_coming_may_take_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "BODY_LIMIT_S", 0.5)
    edge = new_edge()
    async with served(edge) as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:

        async def chunks() -> AsyncGenerator[bytes]:
            yield b" " * 100_000
            await asyncio.sleep(0.6)  # past the limit for a small body
            yield b'{"title": ""}'

        problem(await client.post("/v1/things", content=chunks()), 422, "invalid")


async def test_an_upload_is_no_slow_body(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "BODY_LIMIT_S", 0.1)
    edge = new_edge()
    async with served(edge) as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:

        async def chunks() -> AsyncGenerator[bytes]:
            yield b"x"
            await asyncio.sleep(0.2)  # past the limit for a body that is no upload
            yield b"y"

        answer = await client.put("/v1/uploads/1", content=chunks())

    assert (answer.status_code, answer.text) == (200, "2")


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110  (nothing tells when a socket was read)
            await asyncio.sleep(0.01)
