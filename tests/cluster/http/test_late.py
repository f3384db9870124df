"""Routes are built after the start: in the background, or by the first request that needs them."""

import subprocess
import sys
from typing import Annotated

import httpx
from fastapi import Header

from cluster.base.settings import REPOSITORY
from cluster.host import warm_up
from cluster.http import Edge, KeptAnswers, LateApp, Router

LOAD_ROUTES = """
import sys
from cluster.base.registry import room
from cluster.base.services import table
from cluster.host import ServiceHost

for service in table():
    room(service, "routes")
print(*sorted({"aiohttp", "aiokafka", "boto3"} & set(sys.modules)))
"""

START_A_HOST = """
import asyncio
from api.platform.audit.routes import router
from cluster.host import ServiceHost

async def main():
    host = ServiceHost(("audit",))
    await host.start()
    before = bool(router._built)
    await host._warming
    print(f"before: {before}, after: {bool(router._built) and not router._declared}")
    await host.stop()

asyncio.run(main())
"""


def _router(service: str = "late") -> Router:
    router = Router(service)

    @router.get(f"/v1/{service}/first", public=True)
    async def get_first() -> dict[str, str]:
        return {"at": "first"}

    @router.get(f"/v1/{service}/last", public=True)
    async def get_last() -> dict[str, str]:
        return {"at": "last"}

    return router


def _broken(service: str) -> Router:
    router = Router(service)

    @router.get(f"/v1/{service}/never", public=True, kept=KeptAnswers(f"{service}.never"))
    async def get_never(x_word: Annotated[str, Header()]) -> dict[str, str]:
        return {"at": x_word}

    return router


async def test_a_request_builds_the_routes_that_are_missing() -> None:
    router = _router()
    next(router.build())

    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(Edge(LateApp(router))), base_url="http://localhost"
    ) as client:
        answered = await client.get("/v1/late/last")

    assert (answered.status_code, answered.json(), list(router.build())) == (200, {"at": "last"}, [])


def test_a_host_builds_all_routes_after_its_start(database: None) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", START_A_HOST], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )

    assert (ran.returncode, ran.stdout) == (0, "before: False, after: True\n"), ran.stderr


async def test_a_route_that_cannot_be_built_fails_its_service_alone() -> None:
    broken, whole = _broken("broken"), _router()

    await warm_up([broken, whole])

    assert list(whole.build()) == []
    for _ in range(2):
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(Edge(LateApp(broken))), base_url="http://localhost"
        ) as client:
            assert (await client.get("/v1/broken/never")).status_code == 500


def test_routes_are_loaded_without_clients_that_few_requests_need() -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", LOAD_ROUTES], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )

    assert loaded.stdout == "\n"
