"""Deciding by flags: how fast and how rightly against flagd's own core in Python, and how soon a kill holds everywhere.

Both decide the same flag for the same contexts, in turns: two conditions, and a share of people by `fractional`. A kill goes to one
of four hosts while their Valkey is dead: a host that has feature_flag and one that asks it over HTTP, of each two. Experiments
without an effect are looked at a thousand times, and classes whose people are alike are compared once.
"""

import asyncio
import os
import random
import signal
import tempfile
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import orjson
from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext

from api.platform.feature_flag.evaluation import flagd
from api.platform.feature_flag.experiment import statistics
from api.platform.feature_flag.experiment.statistics import Moments
from bench.figures import Figure, hand_over, progress, quick, typical
from bench.stack import furnish, running_process
from cluster.base.ids import new_id
from cluster.base.settings import settings
from cluster.data.migrations import migrate
from cluster.people.flags import CompiledFlag, FlagRow
from cluster.servers.home import Home, free_port
from cluster.servers.valkey import Valkey

_GOAL = 20.0
_TURNS = 1 if quick() else 5
_CONTEXTS = 500 if quick() else 100_000
_EXPERIMENTS = 20 if quick() else 300
_CLASSES = 100 if quick() else 2_000
_HOSTED = (("all",), ("feature_flag",), ("course",), ("audit",))
_KILLS = 2 if quick() else 6


def _flag() -> CompiledFlag:
    def rule(attribute: str, operator: str, *values: Any, **more: Any) -> dict[str, Any]:
        condition = {"attribute": attribute, "operator": operator, "values": list(values)}
        return {"by": "targetingKey", "when": condition, "serve": [{"variant": "on", "weight": 1}], **more}

    definition = {
        "variants": {"on": True, "off": False},
        "default_variant": "off",
        "off_variant": "off",
        "rules": [
            rule("plan", "in", "team", "pro"),
            rule("locale", "starts_with", "de", "en", steps=[{"at": 0, "share": 40_000}]),
        ],
    }
    return CompiledFlag(
        FlagRow(id=new_id(), key="bench", org_id=None, state="live", public=True, definition=definition, seq=1)
    )


def _decisions() -> list[Figure]:
    """Decide in turns. This process is connected to no server then: a statement would fail."""
    flag, core = _flag(), FlagdCore()
    core.set_flags({"flags": {"bench": flagd.flag_of(flag, {})}})
    contexts: list[dict[str, Any]] = [
        {"targetingKey": f"person-{n}", "plan": ("free", "pro", "free")[n % 3], "locale": ("de", "fr", "en-GB")[n % 3]}
        for n in range(_CONTEXTS)
    ]
    theirs = [
        EvaluationContext(each["targetingKey"], {key: each[key] for key in ("plan", "locale")}) for each in contexts
    ]

    def ours(part: slice) -> list[bool]:
        now_s = time.time()
        return [flag.variants[flag.decide(context, now_s, {}).variant] for context in contexts[part]]

    def peers(part: slice) -> list[bool]:
        return [core.resolve_boolean_value("bench", False, context).value for context in theirs[part]]

    rates: list[tuple[float, float]] = []
    wrong = 0
    for turn in range(_TURNS):
        progress(f"turn {turn + 1} of {_TURNS}")
        part = slice(_CONTEXTS * turn // _TURNS, _CONTEXTS * (turn + 1) // _TURNS)
        (mine, own), (their, peer) = _rate(ours, part), _rate(peers, part)
        wrong += sum(one != other for one, other in zip(mine, their, strict=True))
        rates.append((own, peer))
    own, peer = (typical(each) for each in zip(*rates, strict=True))
    return [
        Figure(name="decisions, against flagd's core", value=own, unit="1/s", peer=peer, goal=_GOAL),
        Figure(name=f"of {_CONTEXTS:,} contexts decided otherwise", value=wrong, unit="", goal=0, better="less"),
    ]


def _rate(decide: Callable[[slice], list[bool]], part: slice) -> tuple[list[bool], float]:
    begun = time.perf_counter()
    found = decide(part)
    return found, len(found) / (time.perf_counter() - begun)


def _false_alarms() -> list[Figure]:
    progress("looking at experiments without an effect")
    rng = np.random.default_rng(20310504)
    units = 4_000
    looks = np.unique(np.linspace(2 * statistics.FEWEST, units, 1_000).astype(int))
    alarms = sum(_alarms(rng, units, looks) for _ in range(_EXPERIMENTS))
    missed = 0
    for _ in range(_CLASSES):
        means = [
            (float((level + rng.normal(0, np.sqrt(0.8), size)).mean()), 0.0)
            for level, size in zip(rng.normal(0, np.sqrt(0.2), 20), rng.integers(8, 40, 20), strict=True)
        ]
        missed += statistics.by_classes(means[:10], means[10:]).p < statistics.ALPHA
    # Of a rate of 5 % so many simulations find more than this once in two hundred times.
    most = 0.05 + 2.6 * float(np.sqrt(0.05 * 0.95 / _CLASSES))
    return [
        Figure(
            name=f"false alarms of A/A looked at {len(looks):,} times",
            value=alarms / _EXPERIMENTS,
            unit="",
            goal=0.05,
            better="less",
        ),
        Figure(name="false alarms of classes, ICC 0.2", value=missed / _CLASSES, unit="", goal=most, better="less"),
    ]


def _alarms(rng: np.random.Generator, units: int, looks: np.ndarray) -> bool:
    """Tell whether an experiment of skewed values without an effect raises an alarm at any look."""
    y, treated = rng.exponential(size=units), rng.random(units) < 0.5
    sums = [[np.cumsum(each)[looks - 1] for each in (arm, y * arm, y * y * arm)] for arm in (~treated, treated)]
    return any(
        statistics.always_valid(
            *(Moments(n=int(n[look]), y=float(one[look]), yy=float(two[look])) for n, one, two in sums)
        ).p
        < statistics.ALPHA
        for look in range(len(looks))
    )


async def _kills() -> list[Figure]:
    """Kill a flag again and again while Valkey is dead, and say how long the slowest host and stream took."""
    await migrate()
    ports = [free_port() for _ in _HOSTED]
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    os.environ["HUB_SERVICE_URL"] = urls[0]
    async with AsyncExitStack() as stack:
        valkey = await stack.enter_async_context(_valkey())
        for url, port, services in zip(urls, ports, _HOSTED, strict=True):
            progress(f"starting a host of {', '.join(services)}")
            await stack.enter_async_context(running_process("bench.flags_host", f"{url}/readyz", str(port), *services))
        teacher = await stack.enter_async_context(httpx.AsyncClient(base_url=urls[0], trust_env=False, timeout=30))
        org_id = (await furnish(teacher, urls[0], published=False)).org_id
        fields = {"organization_id": org_id, "key": "bench", "title": "Bench", "owner": "bench", "public": True}
        flag = await _asked(teacher, "/v1/flags", fields | {"default_variant": "on"})
        await _asked(teacher, f"/v1/flags/{flag['id']}/launch", None)
        await asyncio.gather(*(_until(url, org_id, "on") for url in urls))
        bulk = await _asked(teacher, "/ofrep/v1/evaluate/flags", {"context": {"organization_id": org_id}})
        where = urls[1] + bulk["eventStreams"][0]["endpoint"]["requestUri"]
        valkey.send_signal(signal.SIGKILL)
        await valkey.wait()
        held: list[float] = []
        heard: list[float] = []
        for number in range(_KILLS):
            progress(f"kill {number + 1} of {_KILLS}")
            async with httpx.AsyncClient(trust_env=False, timeout=30) as client, client.stream("GET", where) as stream:
                told = _told(stream)
                await anext(told)
                await _asked(teacher, f"/v1/flags/{flag['id']}/kill", None)
                killed_at = time.perf_counter()
                times = await asyncio.gather(*(_until(url, org_id, "off") for url in urls), _first(told))
            *hosts, event = (each - killed_at for each in times)
            held.append(max(hosts))
            heard.append(event)
            await _asked(teacher, f"/v1/flags/{flag['id']}/launch", None)
            await asyncio.gather(*(_until(url, org_id, "on") for url in urls))
            await asyncio.sleep(random.random())
    return [
        Figure(
            name="a kill until it holds at 4 hosts, Valkey dead", value=max(held), unit="s", goal=2.0, better="less"
        ),
        Figure(name="the same until a stream tells of it", value=max(heard), unit="s", goal=2.0, better="less"),
    ]


async def _asked(client: httpx.AsyncClient, path: str, body: Any) -> Any:
    answer = await client.post(path, json=body)
    if not answer.is_success:
        raise RuntimeError(f"POST {path}: {answer.status_code} {answer.text}")
    return answer.json()


async def _until(url: str, org_id: str, variant: str) -> float:
    """Return when the flag decides this variant in the process behind an address."""
    async with asyncio.timeout(30), httpx.AsyncClient(base_url=url, trust_env=False) as client:
        while (await client.get("/decided", params={"organization_id": org_id, "key": "bench"})).text != variant:  # noqa: ASYNC110 (it tells nobody)
            await asyncio.sleep(0.01)
    return time.perf_counter()


async def _told(stream: httpx.Response) -> AsyncGenerator[str]:
    async for line in stream.aiter_lines():
        if line.startswith("data: "):
            assert orjson.loads(line[6:])["type"] == "refetchEvaluation"
            yield line


async def _first(told: AsyncGenerator[str]) -> float:
    await asyncio.wait_for(anext(told), 30)
    return time.perf_counter()


@asynccontextmanager
async def _valkey() -> AsyncGenerator[asyncio.subprocess.Process]:
    """Run a Valkey of the hosts' own, which may die."""
    with tempfile.TemporaryDirectory() as folder:
        server = Valkey(Home(Path(folder), volatile=True))
        await server.prepare()
        launch, quiet = server.launch(), asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec(
            *launch.argv, cwd=launch.cwd, env=dict(launch.env), stdin=quiet, stdout=quiet, stderr=quiet
        )
        try:
            async with asyncio.timeout(30):
                while True:
                    try:
                        await server.ready()
                        break
                    except Exception:
                        await asyncio.sleep(0.05)
            os.environ["HUB_REDIS_URL"] = server.url
            settings.cache_clear()
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


def run() -> list[Figure]:
    return [*_decisions(), *_false_alarms(), *asyncio.run(_kills())]


if __name__ == "__main__":
    hand_over(run())
