"""More requests than a process can take: it works on fewer at a time, refuses the rest, and recovers."""

import asyncio
import time

import pytest

from cluster.http import Edge, Router, build_app
from cluster.http.admission import LEAST_OVERLOADED, LEAST_SHORT, Pace
from cluster.http.asgi import Receive, Scope, Send
from tests.cluster.http.conftest import client_of
from tests.harness import problem

pytestmark = pytest.mark.usefixtures("process")


def test_pace_falls_while_it_is_late_and_grows_again() -> None:
    pace = Pace(500, 0.01)
    limits: list[int] = []

    for lag_s in (0.02, 0.001, 0.02, 0.02, 0.02, 0.02, *[0.02] * 20, *[0.001] * 42):
        pace.observe(lag_s, 200, 1)
        limits.append(pace.limit)
    very_late = Pace(500, 0.01)
    very_late.observe(0.2, 300, 1)

    assert limits[:6] == [500, 500, 500, 500, 140, 98]
    assert limits[9:15] == [LEAST_SHORT] * 6
    assert limits[25] == LEAST_OVERLOADED
    assert limits[26:34] == [4, 4, 4, 4, 4, 4, 4, 5]
    assert limits[64:] == [8, 9, 10, 11], "each tick gives more once two seconds were calm"
    assert very_late.limit == 60
    while pace.is_reduced:
        pace.observe(0.001, 200, 0)
    assert pace.limit == 500


def test_pace_of_a_small_host_stays_what_it_is() -> None:
    pace = Pace(2, 0.01)

    for _ in range(5):
        pace.observe(1.0, 2, 1)

    assert pace.limit == 2


async def test_a_late_process_refuses_the_rest_and_health_stays_green() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if not scope["path"].endswith("/-/health"):
            for _ in range(3):
                await asyncio.sleep(0)
                time.sleep(0.003)  # noqa: ASYNC251  that is what takes a process's time
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    edge = Edge(app)
    async with client_of(edge) as client:
        paths = [f"/v1/{area}/1" for area in ("courses", "runs", "organizations", "blocks") * 60]
        waves = [asyncio.create_task(client.get(path)) for path in paths]
        while not any(wave.done() and wave.result().status_code == 503 for wave in waves):
            waves = [wave for wave in waves if not wave.done() or wave.result().status_code == 503]
            waves += [asyncio.create_task(client.get(path)) for path in paths[: 240 - len(waves)]]
            await asyncio.sleep(0)
        health = await client.get("/v1/courses/-/health")
        refused = next(wave.result() for wave in waves if wave.done() and wave.result().status_code == 503)
        await asyncio.gather(*waves)
        async with asyncio.timeout(20):
            while edge.admission.pace.is_reduced:  # noqa: ASYNC110  nobody tells
                await asyncio.sleep(0.01)
        after = await client.get("/v1/courses/1")

    assert refused.json()["type"].endswith("#temporary-reduced-capacity")
    assert 1 <= int(refused.headers["retry-after"]) <= 4
    assert (health.status_code, after.status_code, edge.admission.short) == (200, 200, 0)


async def test_a_route_that_takes_too_long_is_undone_and_503() -> None:
    router, undone = Router("slow"), asyncio.Event()

    @router.post("/v1/things/me/slow", public=True, timeout_s=0.05)
    async def slow() -> dict[str, bool]:  # pyright: ignore[reportUnusedFunction]
        try:
            await asyncio.sleep(60)
        finally:
            undone.set()
        return {}

    async with client_of(Edge(build_app([router]))) as client:
        refused = await client.post("/v1/things/me/slow")

    assert problem(refused, 503, "unavailable")
    assert undone.is_set()
