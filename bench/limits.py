"""What rate limits and compression cost, and what becomes of three times the load that the platform can take.

`/limited` is `/edged` behind the caller's buckets, as every route is; both are asked in turns with the same token, under a plan
that admits them. `/busy` holds a process for 3 ms: it is asked slowly, then three times as often as it can be answered.
"""

import asyncio
import time

import asyncpg
import httpx
import orjson
import uvloop

from bench.figures import Figure, hand_over, progress, quick
from bench.load import load
from bench.paced import paced
from bench.stack import Stack, in_turns, running_stack
from cluster.base.settings import settings
from cluster.http.compression import compressed

_COSTS_AT_MOST = 0.95
_SLOWER_AT_MOST = 3.0
_ALLOW = """
INSERT INTO gateway.rate_plans (id, slug, number, state, limits, created_at)
VALUES (gen_random_uuid(), 'default', 1, 'active', '[{"bucket": "person", "units": 1000000000, "window_s": 60}]', now());
UPDATE gateway.door SET version = version + 1
"""


async def run() -> list[Figure]:
    async with running_stack(published=True) as stack:
        await _allow(stack)
        limited, edged = await in_turns([f"{stack.url}/limited", f"{stack.url}/edged"], stack.token)
        figures = [
            Figure(
                name="no-op with rate limits, against without",
                value=limited,
                unit="1/s",
                peer=edged,
                goal=_COSTS_AT_MOST,
            ),
            *await _overload(stack),
        ]
    return [*figures, *await _compression()]


async def _allow(stack: Stack) -> None:
    """Let a plan hold that admits everything, and wait until every host obeys it."""
    db = await asyncpg.connect(settings().postgres_url)
    await db.execute(_ALLOW)
    await db.close()
    headers = {"Authorization": f"Bearer {stack.token}"}
    async with httpx.AsyncClient(base_url=stack.url, trust_env=False, headers=headers) as client, asyncio.timeout(30):
        obeyed = 0
        while obeyed < 20:
            policy = (await client.get("/v1/organizations")).headers["ratelimit-policy"]
            obeyed = obeyed + 1 if "q=1000000000" in policy else 0
            await asyncio.sleep(0.1)


async def _overload(stack: Stack) -> list[Figure]:
    url, seconds = f"{stack.url}/busy", 2.0 if quick() else 8.0
    progress("as much as it can take")
    most = (await load(url, seconds=seconds / 2, token=stack.token)).per_s
    progress("a third of that")
    calm = await paced(url, per_s=most / 3, seconds=seconds, token=stack.token)
    progress("three times of that")
    asking = asyncio.create_task(paced(url, per_s=most * 3, seconds=seconds, token=stack.token))
    unhealthy = 0
    async with httpx.AsyncClient(base_url=stack.url, trust_env=False, timeout=5) as client:
        while not asking.done():
            unhealthy += (await client.get("/v1/courses/-/health")).status_code != 200
            await asyncio.sleep(0.2)
    full = await asking
    if calm.failed or full.failed:
        raise RuntimeError(f"{calm.failed + full.failed} answers were neither 200 nor 503")
    return [
        Figure(
            name="slowest hundredth of admitted requests at 3 times the load, against a third",
            value=full.p99_ms,
            unit="ms",
            peer=calm.p99_ms,
            goal=_SLOWER_AT_MOST,
            better="less",
        ),
        Figure(
            name="admitted at 3 times the load, against the most", value=full.admitted / seconds, unit="1/s", peer=most
        ),
        Figure(name="refused with 503 meanwhile", value=full.refused / seconds, unit="1/s"),
        Figure(name="times that health was not green meanwhile", value=unhealthy, unit="", goal=0, better="less"),
    ]


async def _compression() -> list[Figure]:
    items = [
        {"id": f"0198c0de-0000-7000-8000-{n:012}", "title": f"Course {n}", "summary": "Numbers and letters. " * 5}
        for n in range(40)
    ]
    figures: list[Figure] = []
    for coding in ("zstd", "br", "gzip"):
        began, size = time.perf_counter(), 0
        for n in range(200):
            body = orjson.dumps({"items": items, "n": n})
            size = len(await compressed(coding, body)) / len(body)
        took_us = (time.perf_counter() - began) / 200 * 1e6
        figures.append(Figure(name=f"10 KiB of JSON in {coding}, {size:.0%} of it left", value=took_us, unit="us"))
    return figures


if __name__ == "__main__":
    hand_over(uvloop.run(run()))
