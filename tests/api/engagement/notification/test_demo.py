"""The step of `./hub demo` in which an open page hears live what came."""

import asyncio
from io import StringIO

import httpx
from rich.console import Console

from deployments.demo import Demo
from tests.api.core.gateway.live.conftest import token_of
from tests.api.learning.course.conftest import Draft
from tests.cluster.http.serving import served
from tests.harness import Hub


async def test_the_demo_hears_live_that_its_learner_was_told(hub: Hub, published: Draft) -> None:
    person, said = await hub.person(), StringIO()
    async with served(hub.host) as port:
        url = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=url, headers=token_of(person), timeout=60, trust_env=False) as client:
            demo = Demo(url, Console(file=said, width=200))
            enrolling = asyncio.create_task(demo.enrol(client, published.course["default_run_id"]))
            while not enrolling.done():
                await hub.settle()
                await asyncio.sleep(0.05)
            enrolment = await enrolling

    assert enrolment["run_id"] == published.course["default_run_id"]
    assert said.getvalue().splitlines()[-1].endswith("inbox:me arrived")
