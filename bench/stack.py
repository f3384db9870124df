"""A whole platform of its own for a measurement: Ray Serve behind HAProxy as `./hub up` starts it, and peers beside it."""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import httpx

from bench.figures import progress, quick, typical
from bench.load import load
from cluster.base.ids import new_id
from cluster.base.services import table
from cluster.base.settings import REPOSITORY, settings
from cluster.data.migrations import migrate
from cluster.host import ServiceHost
from cluster.servers.home import free_port
from deployments.serve import temporary_folder

WEB_PROCESSES = 2
_START_LIMIT_S = 180
_TURNS = 3
_TURN_S = 4.0
_SETTLE_LIMIT_S = 60
_UNDER_WAY = "SELECT (SELECT count(*) FROM hub.outbox) AS waiting, (SELECT count(*) FROM hub.inbox) AS taken"


@dataclass(frozen=True, slots=True)
class Stack:
    """A running platform with one teacher, who is signed in, and one course with its run."""

    url: str
    token: str
    user_id: str
    org_id: str
    course_id: str
    run_id: str


@asynccontextmanager
async def running_stack(*, published: bool = False) -> AsyncGenerator[Stack]:
    """Run the platform, packed, on the servers of this process's settings. A published course has a text of 2 kB."""
    url = settings().public_url
    progress("starting the platform")
    await migrate()
    client = httpx.AsyncClient(base_url=url, trust_env=False, timeout=30)
    try:
        async with running_process("bench.serve", f"{url}/readyz"), client:
            yield await furnish(client, url, published=published)
    finally:
        shutil.rmtree(temporary_folder(Path(os.environ["HUB_HOME"])), ignore_errors=True)


@asynccontextmanager
async def own_host(label: str) -> AsyncGenerator[ServiceHost]:
    """Run all services in this process, on a database of its own that is gone afterwards."""
    name = f"{settings().stack}_bench_{label}"
    admin = await asyncpg.connect(settings().postgres_url)
    try:
        await admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        await admin.execute(f'CREATE DATABASE "{name}"')
        os.environ["HUB_POSTGRES_URL"] = urlunsplit(urlsplit(settings().postgres_url)._replace(path=f"/{name}"))
        settings.cache_clear()
        await migrate()
        host = ServiceHost(tuple(table()), wait_s=30.0)
        await host.start()
        try:
            yield host
        finally:
            await host.stop()
    finally:
        await admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        await admin.close()


@asynccontextmanager
async def running_peer(application: str, path: str) -> AsyncGenerator[str]:
    """Run an application of `bench.peers` with uvicorn, in as many processes as the platform has web hosts."""
    port = free_port()
    url = f"http://127.0.0.1:{port}{path}"
    options = ("--port", str(port), "--workers", str(WEB_PROCESSES), "--no-access-log", "--log-level", "warning")
    async with running_process("uvicorn", url, f"bench.peers:{application}", *options):
        yield url


async def in_turns(
    urls: Sequence[str], token: str, body: str = "", *, settled: Callable[[], Awaitable[None]] | None = None
) -> list[float]:
    """Ask each address in turn, several times, and return the answers per second of each: the median of its turns.

    With a JSON `body` every request is a POST. Each turn waits for `settled`: what the one before left to do is not its own.

    Raises:
        RuntimeError: an answer was not 200.
    """
    turn_s, turns = (1.0, 1) if quick() else (_TURN_S, _TURNS)
    for url in urls:
        await load(url, seconds=1.0, token=token, body=body)
    settled = settled or _at_once
    found: list[list[float]] = [[] for _ in urls]
    for turn in range(turns):
        progress(f"turn {turn + 1} of {turns}")
        for url, rates in zip(urls, found, strict=True):
            await settled()
            answered = await load(url, seconds=turn_s, token=token, body=body)
            if answered.failed:
                raise RuntimeError(f"{answered.failed} requests for {url} failed: {answered.why}")
            rates.append(answered.per_s)
    return [typical(rates) for rates in found]


async def _at_once() -> None:
    """Wait for nothing."""


async def events_settled() -> None:
    """Return once every event was taken in by the services that hear it: the outbox is empty, and nothing more comes in."""
    db = await asyncpg.connect(settings().postgres_url)
    try:
        before: tuple[int, int] | None = None
        async with asyncio.timeout(_SETTLE_LIMIT_S):
            while True:
                [row] = await db.fetch(_UNDER_WAY)
                found = (row["waiting"], row["taken"])
                if found == before and not row["waiting"]:
                    return
                before = found
                await asyncio.sleep(0.5)
    finally:
        await db.close()


@asynccontextmanager
async def running_process(module: str, ready: str, *arguments: str) -> AsyncGenerator[None]:
    """Run a module until the body ends. Its own words are shown when it does not start."""
    with tempfile.TemporaryFile() as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module, *arguments), cwd=REPOSITORY, stdout=log, stderr=log
        )
        try:
            await _become_ready(process, ready)
            yield
        except (RuntimeError, TimeoutError):
            log.seek(0)
            sys.stderr.write(log.read()[-4000:].decode(errors="replace"))
            raise
        finally:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), 60)
            except TimeoutError:
                process.kill()
                await process.wait()


async def _become_ready(process: asyncio.subprocess.Process, url: str) -> None:
    async with asyncio.timeout(_START_LIMIT_S), httpx.AsyncClient(trust_env=False, timeout=3) as client:
        while not await _answers(client, url):
            if process.returncode is not None:
                raise RuntimeError(f"the process for {url} ended with status {process.returncode}")
            await asyncio.sleep(0.2)


async def _answers(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(url)).status_code == 200
    except httpx.HTTPError:
        return False


async def furnish(client: httpx.AsyncClient, url: str, *, published: bool) -> Stack:
    """Sign a teacher up, and make a course. The client speaks for the teacher from then on."""

    async def post(path: str, **body: object) -> dict[str, str]:
        answer = await client.post(path, json=body)
        if not answer.is_success:
            raise RuntimeError(f"POST {path}: {answer.status_code} {answer.text}")
        return answer.json()

    person = {"email": f"bench-{new_id().hex[-12:]}@people.example", "password": "a long enough sentence"}
    user = await post("/v1/users", **person, name="Bench")
    token = (await post("/v1/sessions", **person))["access_token"]
    client.headers["Authorization"] = f"Bearer {token}"
    school = await post("/v1/organizations", name="Bench", slug=f"bench-{new_id().hex[-12:]}")
    summary = "Numbers, letters and what they have to do with each other. " * 4
    course = await post("/v1/courses", organization_id=school["id"], title="Algebra", summary=summary, tags=["algebra"])
    if published:
        module = await post("/v1/blocks", course_id=course["id"], type="module", title="Numbers")
        text = {"markdown": "A number says how many. " * 80}
        lesson = await post(
            "/v1/blocks", course_id=course["id"], type="lesson", title="Counting", parent_id=module["id"]
        )
        await post(
            "/v1/blocks", course_id=course["id"], type="text", title="Counting", parent_id=lesson["id"], body=text
        )
        await post(f"/v1/courses/{course['id']}/publish")
        await _appears(client, f"/v1/outlines/{course['default_run_id']}")
    return Stack(url, token, user["id"], school["id"], course["id"], course["default_run_id"])


async def _appears(client: httpx.AsyncClient, path: str) -> None:
    async with asyncio.timeout(30):
        while (await client.get(path)).status_code != 200:  # noqa: ASYNC110  the database tells nobody
            await asyncio.sleep(0.2)
