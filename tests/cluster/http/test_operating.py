"""What the door answers to whom: metrics, the names it goes by, and the end of a host."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from cluster import host as hosts
from cluster.base.settings import settings
from cluster.data import read
from cluster.host import ServiceHost
from cluster.http import Edge
from cluster.http import edge as edges
from cluster.people import door
from tests.cluster.http.conftest import client_of, gate
from tests.harness import done, problem


async def answer(scope: Any, receive: Any, send: Any) -> None:
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def client_at(peer: str, **headers: str) -> httpx.AsyncClient:
    """Return a client of a host without services that comes from this address."""
    transport = httpx.ASGITransport(ServiceHost(()), client=(peer, 4000))
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:3000", headers=headers)


@pytest.fixture(autouse=True)
async def closed_gate(process: None) -> AsyncIterator[None]:
    gate.entered.clear()
    gate.open.clear()
    yield
    gate.open.set()


@pytest.mark.parametrize(
    ("peer", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("::1", {"Host": "localhost:3000"}, 200),
        ("10.0.0.1", {}, 404),
        ("203.0.113.9", {}, 404),
        ("127.0.0.1", {"X-Forwarded-For": "10.0.0.1"}, 404),
        ("127.0.0.1", {"X-Forwarded-For": ""}, 404),
        ("127.0.0.1", {"Forwarded": "for=10.0.0.1"}, 404),
        ("127.0.0.1", {"X-Real-Ip": "10.0.0.1"}, 404),
        ("127.0.0.1", {"Via": "1.1 proxy"}, 404),
        ("127.0.0.1", {"Host": "rebound.example:3000"}, 404),
        ("127.0.0.1", {"Authorization": "Bearer "}, 200),
        ("10.0.0.1", {"Authorization": "Bearer "}, 404),
    ],
)
async def test_metrics_without_a_token_are_for_this_machine(peer: str, headers: dict[str, str], status: int) -> None:
    async with client_at(peer, **headers) as client:
        assert (await client.get("/metrics")).status_code == status


@pytest.mark.parametrize(("token", "status"), [("s3cret", 200), ("another", 404), ("", 404), ("é", 404)])
async def test_metrics_with_a_token_are_for_who_has_it(
    token: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosts, "settings", lambda: replace(settings(), metrics_token="s3cret"))
    async with client_at("10.0.0.1") as client:
        answered = await client.get("/metrics", headers=[(b"Authorization", f"Bearer {token}".encode())])

    assert answered.status_code == status


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("hub.example", 200),
        ("HUB.example:443", 200),
        ("school.example", 200),
        ("10.1.2.3:8000", 200),
        ("localhost", 200),
        ("127.0.0.1:3000", 200),
        ("127.8.8.8", 200),
        ("[::1]:3000", 200),
        ("rebound.example:3000", 421),
        ("hub.example.rebound.example", 421),
        ("127.0.0.1.rebound.example", 421),
        ("localhost@rebound.example", 421),
        ("10.1.2.4", 421),
        ("[::2]", 421),
        ("[", 421),
        ("é", 421),
        ("", 421),
    ],
)
async def test_only_its_own_names_reach_a_service(name: str, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    named = replace(
        settings(), public_url="https://hub.example", allowed_hosts=frozenset({"school.example", "10.1.2.3"})
    )
    monkeypatch.setattr(edges, "settings", lambda: named)
    async with client_of(Edge(answer)) as client:
        answered = await client.get("/v1/x", headers=[(b"Host", name.encode())])

    if status == 421:
        problem(answered, 421, "misdirected-request")
    else:
        done(answered, status)


async def test_a_second_host_header_is_checked_too() -> None:
    async with client_of(Edge(answer)) as client:
        answered = await client.get("/v1/x", headers=[(b"Host", b"rebound.example"), (b"Host", b"localhost")])

    problem(answered, 421, "misdirected-request")


@pytest.mark.parametrize("path", ["/v1/courses/-/health", "/v1/emails/-/mailbox"])
async def test_health_answers_under_any_name_and_letters_do_not(path: str) -> None:
    async with client_of(Edge(answer)) as client:
        answered = await client.get(path, headers={"Host": "rebound.example"})

    assert answered.status_code == (200 if path.endswith("health") else 421)


async def test_stop_waits_for_writes_whose_client_left() -> None:
    closed: list[bool] = []

    async def close() -> None:
        closed.append(gate.open.is_set())

    async def wait(scope: Any, receive: Any, send: Any) -> None:
        gate.entered.set()
        await gate.open.wait()

    host = ServiceHost(())
    host._paths["/wait"] = wait  # pyright: ignore[reportPrivateUsage]
    host._opened.push_async_callback(close)  # pyright: ignore[reportPrivateUsage]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(host), base_url="http://localhost") as client:
        request = asyncio.create_task(client.post("/wait"))
        await asyncio.wait_for(gate.entered.wait(), 5)
        request.cancel()
        await asyncio.gather(request, return_exceptions=True)

    stopping = asyncio.create_task(host.stop())
    await asyncio.sleep(0)
    gate.open.set()
    await stopping

    assert closed == [True]


async def test_a_host_that_never_started_stops_nothing_of_its_process() -> None:
    rules = door.current()

    await ServiceHost(()).stop()

    assert door.current() is rules
    async with read() as db:
        assert await db.value("SELECT 1") == 1
