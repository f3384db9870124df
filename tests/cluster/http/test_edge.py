"""What happens to every request before and after its service."""

import asyncio
import gc
import json
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from weakref import ref

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from cluster.base import telemetry
from cluster.base.ids import UserId, new_id
from cluster.base.principal import PLATFORM
from cluster.data import read, write
from cluster.http import Edge, Limits
from cluster.http.admission import Buckets
from cluster.people import identity
from tests.cluster.http.conftest import client_of, gate, new_edge
from tests.cluster.people.test_identity import arrived
from tests.harness import done, problem

_TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture(autouse=True)
async def closed_gate(process: None) -> AsyncIterator[None]:
    gate.entered.clear()
    gate.open.clear()
    yield
    gate.open.set()


async def test_a_request_id_is_kept_or_made(toy: httpx.AsyncClient) -> None:
    assert (await toy.get("/v1/things", headers={"X-Request-Id": "abc-1"})).headers["x-request-id"] == "abc-1"
    for unfit in ("", "a b", "x" * 129, "é"):
        made = (await toy.get("/v1/things", headers=[(b"X-Request-Id", unfit.encode())])).headers["x-request-id"]
        assert UUID(made).version == 7


async def test_answers_carry_security_headers(toy: httpx.AsyncClient) -> None:
    headers = (await toy.get("/v1/things")).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert "strict-transport-security" not in headers


@pytest.mark.parametrize("token", ["x", "a.b.c", "", "x" * 5000, "é"])
async def test_a_bad_token_is_401_with_a_challenge(toy: httpx.AsyncClient, token: str) -> None:
    response = await toy.get("/v1/things", headers=[(b"Authorization", f"Bearer {token}".encode())])
    problem(response, 401, "invalid-token")
    assert 'error="invalid_token"' in response.headers["www-authenticate"]


async def test_another_scheme_is_a_guest(toy: httpx.AsyncClient) -> None:
    caller = done(await toy.get(f"/v1/things/{new_id()}/caller", headers={"Authorization": "Basic eDp5"}))
    assert caller["kind"] == "guest"


async def test_calls_need_a_token_for_their_own_service(process: None) -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["state"]["principal"].kind)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async with client_of(Edge(app)) as client:
        path = "/v1/courses/-/calls/find_run"
        problem(await client.post(path), 401, "invalid-token")
        for other in ("user", "nobody"):
            refused = await client.post(path, headers=_bearer(identity.issue_service_token(other)))
            problem(refused, 401, "invalid-token")
        done(await client.post(path, headers=_bearer(identity.issue_service_token("course"))))
        # The token opens nothing but calls.
        stray = await client.post("/v1/courses/x/-/calls/y", headers=_bearer(identity.issue_service_token("course")))
        problem(stray, 401, "invalid-token")
        problem(await client.get("/v1/courses", headers=_bearer(identity.issue_service_token("course"))), 401)
    assert seen == ["platform"]


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_a_client_that_leaves_does_not_cancel_a_write(process: None) -> None:
    edge = new_edge()
    thing_id = new_id()
    async with client_of(edge) as client:
        request = asyncio.create_task(client.post(f"/v1/things/{thing_id}/wait"))
        await asyncio.wait_for(gate.entered.wait(), 5)
        request.cancel()
        await asyncio.gather(request, return_exceptions=True)
        assert edge.admission.short == 1
        gate.open.set()
        await asyncio.wait_for(edge.drained(), 5)
    assert edge.admission.short == 0
    async with read() as db:
        assert await db.value("SELECT title FROM toy.things WHERE id = $1", thing_id) == "waited"
        await db.run("DELETE FROM toy.things")


async def test_beyond_the_limit_requests_are_shed_and_health_is_not(process: None) -> None:
    edge = new_edge(Limits(short_requests=1))
    async with client_of(edge) as client:
        first = asyncio.create_task(client.post(f"/v1/things/{new_id()}/wait"))
        await asyncio.wait_for(gate.entered.wait(), 5)
        refused = await client.get("/v1/things")
        problem(refused, 503, "unavailable")
        assert refused.headers["retry-after"] == "1"
        problem(await client.get("/v1/things/-/health"), 404)
        gate.open.set()
        done(await first)
        done(await client.get("/v1/things"))
    async with read() as db:
        await db.run("DELETE FROM toy.things")


async def test_one_service_has_half_of_the_short_requests(process: None) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"].startswith("/v1/courses"):
            gate.entered.set()
            await gate.open.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async with client_of(Edge(app, Limits(short_requests=2))) as client:
        first = asyncio.create_task(client.get("/v1/courses/1"))
        await asyncio.wait_for(gate.entered.wait(), 5)

        same = await client.get("/v1/runs/1")
        other = await client.get("/v1/organizations/1")

        problem(same, 503, "unavailable")
        done(other)
        gate.open.set()
        done(await first)
        done(await client.get("/v1/runs/1"))


async def test_streams_are_counted_apart(process: None) -> None:
    edge = new_edge(Limits(short_requests=1, streams=1))
    async with client_of(edge) as client:
        first = asyncio.create_task(client.get("/v1/things/me/stream"))
        await asyncio.wait_for(gate.entered.wait(), 5)
        assert (edge.admission.short, edge.admission.streams) == (0, 1)
        done(await client.get("/v1/things"))
        problem(await client.get("/v1/things/me/stream"), 503, "unavailable")
        problem(await client.put("/v1/uploads/1", content=b"x"), 503, "unavailable")
        gate.open.set()
        assert (await first).text == ": hello\n\n"
        assert (await client.put("/v1/uploads/1", content=b"x")).text == "1"
    assert (edge.admission.short, edge.admission.streams) == (0, 0)


async def test_guests_are_limited_by_address(process: None) -> None:
    edge = new_edge(Limits(guest_rate_per_s=0.001, guest_burst=2, sign_in_rate_per_s=0.001, sign_in_burst=1))
    async with client_of(edge) as client:
        here, there = {"X-Forwarded-For": "6.6.6.6, 10.0.0.1"}, {"X-Forwarded-For": "10.0.0.1, 10.0.0.2"}
        done(await client.get("/v1/things", headers=here))
        problem(await client.get("/v1/things", headers=here | _bearer("x")), 401)
        refused = await client.get("/v1/things", headers=here)
        problem(refused, 429, "too-many-requests")
        assert int(refused.headers["retry-after"]) > 0
        # What a client claims about earlier hops makes no new address.
        problem(await client.get("/v1/things", headers={"X-Forwarded-For": "7.7.7.7, 10.0.0.1"}), 429)
        done(await client.post("/v1/things/me/sign-in", headers=there))
        problem(await client.post("/v1/things/me/sign-in", headers=there), 429, "too-many-requests")


@given(st.floats(0.1, 100), st.integers(1, 20), st.lists(st.floats(0, 5, allow_nan=False), min_size=1, max_size=60))
def test_a_bucket_gives_its_burst_and_its_rate_and_no_more(rate: float, burst: int, pauses: list[float]) -> None:
    buckets = Buckets(rate, burst)
    now, given_out = 1000.0, 0
    for pause in pauses:
        now += pause
        wait_s = buckets.take("a", now)
        if wait_s == 0:
            given_out += 1
        else:
            assert buckets.take("a", now + wait_s + 1e-6) == 0
            given_out, now = given_out + 1, now + wait_s + 1e-6
        assert given_out <= burst + rate * (now - 1000.0) + 1e-3
    fresh = Buckets(rate, burst)
    assert [fresh.take("b", 5.0) == 0 for _ in range(burst + 1)] == [True] * burst + [False]


def test_buckets_forget_when_there_are_too_many() -> None:
    buckets = Buckets(1, 1, capacity=10)
    for number in range(1000):
        assert buckets.take(str(number), 0.0) == 0
    assert len(buckets._full_at) <= 10  # pyright: ignore[reportPrivateUsage]


async def test_the_access_log_names_routes_and_never_tokens(
    process: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    written: list[bytes] = []

    def write(lines: bytes | memoryview) -> None:
        written.append(bytes(lines))

    telemetry.metrics_text()  # writes what edges of other tests have gathered
    monkeypatch.setattr(telemetry, "write_log", write)
    edge = new_edge()
    log = edge._log  # pyright: ignore[reportPrivateUsage]
    # The edge is made before its process has configured its logs.
    caplog.set_level(logging.INFO, "hub.access")
    thing_id, secret = new_id(), "s3cr3t-t0ken"
    async with client_of(edge) as client:
        await client.get(f"/v1/things/{thing_id}?q={secret}", headers=_bearer(secret))
        await client.get(f"/v1/things/{thing_id}?q={secret}")
        await client.get(f"/v1/playbacks/{secret}/master.m3u8")
        await client.put(f"/v1/uploads/{secret}", content=b"x")
    log.flush()
    text = b"".join(written).decode()
    assert secret not in text
    lines = [json.loads(line) for line in text.splitlines()]
    assert [(line["method"], line["route"], line["area"], line["status"]) for line in lines] == [
        ("GET", "?", "", 401),
        ("GET", "/v1/things/{thing_id}", "", 404),
        ("GET", "/v1/playbacks/?", "playbacks", 404),
        ("PUT", "/v1/uploads/*", "uploads", 200),
    ]
    assert all(line["trace_id"] and line["request_id"] and line["duration_ms"] >= 0 for line in lines)


async def test_requests_are_measured_by_route(toy: httpx.AsyncClient) -> None:
    await toy.get(f"/v1/things/{new_id()}")
    line = 'hub_http_request_duration_seconds_count{area="",method="GET",route="/v1/things/{thing_id}",status="404"}'
    assert line in telemetry.metrics_text().decode()


async def test_a_revoked_token_is_refused_though_it_is_kept(process: None) -> None:
    key, kid, session_id, now = Ed25519PrivateKey.generate(), new_id().hex, new_id(), datetime.now(UTC)
    async with write(PLATFORM) as tx:
        await identity.publish_key(tx, kid, key.public_key(), not_before=now, not_after=now + timedelta(hours=1))
    await arrived()
    token = identity.encode_access_token(
        key, kid, user_id=UserId(new_id()), session_id=session_id, auth_time=now, amr=("pwd",), now=now
    )
    async with client_of(new_edge()) as client:
        path = f"/v1/things/{new_id()}/caller"
        kinds = [done(await client.get(path, headers=_bearer(token)))["kind"] for _ in range(2)]

        async with write(PLATFORM) as tx:
            await identity.revoke_session(tx, session_id, now + timedelta(minutes=5))
        await arrived()

        problem(await client.get(path, headers=_bearer(token)), 401, "invalid-token")
        assert kinds == ["person", "person"]


async def test_the_log_is_whole_once_a_host_is_drained(
    process: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    written: list[bytes] = []
    telemetry.metrics_text()  # writes what edges of other tests have gathered
    monkeypatch.setattr(telemetry, "write_log", lambda lines: written.append(bytes(lines)))  # pyright: ignore[reportUnknownArgumentType, reportUnknownLambdaType]
    caplog.set_level(logging.INFO, "hub.access")
    edge = new_edge()
    before = datetime.now(UTC)
    async with client_of(edge) as client:
        for number in range(3):
            await client.get("/v1/nothing", headers={"X-Request-Id": f"r{number}", "Traceparent": _TRACEPARENT})

    await edge.drained()

    lines = [json.loads(line) for line in b"".join(written).splitlines()]
    assert [(line["request_id"], line["trace_id"]) for line in lines] == [
        (f"r{number}", _TRACEPARENT[3:35]) for number in range(3)
    ]
    # Milliseconds are cut off.
    assert all(
        before - timedelta(milliseconds=1) <= datetime.fromisoformat(line["time"]) <= datetime.now(UTC)
        for line in lines
    )


async def test_every_host_header_must_be_ours(toy: httpx.AsyncClient) -> None:
    for hosts in (["hub.test", "evil.test"], ["evil.test", "hub.test"]):
        refused = await toy.get("/v1/things", headers=[("Host", host) for host in hosts])
        problem(refused, 421)


async def test_a_request_is_freed_without_a_search_for_cycles(process: None) -> None:
    class Body:
        pass

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = scope["state"]["body"] = Body()
        held.append(ref(body))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def send(message: Any) -> None: ...

    held: list[ref[Body]] = []
    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/v1/x", "query_string": b"", "headers": []}
    gc.disable()
    try:
        await Edge(app)(scope, asyncio.Event().wait, send)  # pyright: ignore[reportArgumentType]
        del scope
        freed = held[0]() is None
    finally:
        gc.enable()

    assert freed


async def test_an_answer_that_breaks_off_is_not_finished(process: None) -> None:
    sent: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise RuntimeError("in the middle")

    async def send(message: Any) -> None:
        sent.append(message["type"] + str(message.get("more_body", "")))

    scope = {"type": "http", "method": "GET", "path": "/v1/x", "query_string": b"", "headers": [], "client": None}
    await Edge(app)(scope, asyncio.Event().wait, send)  # pyright: ignore[reportArgumentType]
    assert sent == ["http.response.start", "http.response.bodyTrue"]


async def test_a_websocket_passes_with_its_principal_and_counts_as_a_stream(process: None) -> None:
    counts: list[tuple[int, str]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        counts.append((edge.admission.streams, scope["state"]["principal"].kind))
        await send({"type": "websocket.accept"})

    async def send(message: Any) -> None: ...

    edge = Edge(app)
    scope = {"type": "websocket", "path": "/v1/live/socket", "query_string": b"", "headers": [], "client": None}
    await edge(scope, asyncio.Event().wait, send)  # pyright: ignore[reportArgumentType]
    assert counts == [(1, "guest")]
    assert edge.admission.streams == 0
