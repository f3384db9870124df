"""Jobs whose ends are hard to record, and workers that lose their database."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from actors import job_worker
from actors.job_worker import JobWorker
from cluster import jobs
from cluster.data import read
from cluster.jobs import JobRun, enqueue
from cluster.jobs import run as job_runs
from cluster.jobs.run import run_due_jobs
from cluster.signals.wake import Bell
from tests.kernel import committed, registries_kept, rows

pytestmark = pytest.mark.usefixtures("kernel", "empty", "registry")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chore:
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Long:
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    n: int


@pytest.fixture
def registry() -> Iterator[None]:
    with registries_kept():
        jobs.job("probe.chore", attempts=3, timeout_s=60, service="speaker")(Chore)
        yield


async def cancelled_inside(run: JobRun, chore: Chore) -> None:
    inner = asyncio.create_task(asyncio.sleep(60))
    inner.cancel()
    await inner


async def unprintable(run: JobRun, chore: Chore) -> None:
    raise ValueError("what ffmpeg says: \0 \udcff")


@pytest.mark.parametrize("fault", [cancelled_inside, unprintable])
async def test_however_a_job_fails_it_is_an_attempt(fault: Callable[[JobRun, Chore], Awaitable[None]]) -> None:
    jobs.perform(Chore)(fault)
    async with committed() as tx:
        enqueue(tx, Chore())
    async with asyncio.timeout(10):
        assert await run_due_jobs(("speaker",)) == 1
    [(state, attempts, starts, error)] = await rows("SELECT state, attempts, starts, last_error FROM hub.jobs")
    assert (state, attempts, starts) == ("queued", 1, 0)
    assert error.startswith(("CancelledError", "ValueError: what ffmpeg says"))


async def test_a_job_for_now_is_due_by_the_clock_of_the_database() -> None:
    async def done(run: JobRun, chore: Chore) -> None:
        return

    jobs.perform(Chore)(done)
    async with committed() as tx:
        # The clock of this process is ahead.
        tx.now += timedelta(minutes=5)
        enqueue(tx, Chore(), dedupe="one", at=tx.now)
        enqueue(tx, Chore(), dedupe="one")
        enqueue(tx, Chore())
    assert await run_due_jobs(("speaker",)) == 2


@pytest.fixture
async def admin(kernel: str) -> AsyncIterator[Any]:
    """A connection to another database of the same server."""
    connection = await asyncpg.connect(os.environ["HUB_ADMIN_URL"])
    name = urlsplit(kernel).path[1:]
    yield connection
    await connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
    await connection.close()


async def test_a_worker_that_is_cut_off_stops_its_job_before_another_may_take_it(
    kernel: str, admin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_runs, "LEASE_S", 7.0)
    monkeypatch.setattr(job_worker, "LEASE_S", 7.0)
    monkeypatch.setattr(job_worker, "_KEEP_S", 1.5)
    begun, stopped = asyncio.Event(), asyncio.Event()
    stopped_at: list[datetime] = []

    async def wait(run: JobRun, chore: Chore) -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            stopped_at.append(datetime.now(UTC))
            stopped.set()

    jobs.perform(Chore)(wait)
    async with committed() as tx:
        enqueue(tx, Chore())
    worker = JobWorker(("speaker",), Bell())
    worker.start()
    try:
        await asyncio.wait_for(begun.wait(), 10)
        [(lease_ends_at,)] = await rows("SELECT due_at FROM hub.jobs")
        name = urlsplit(kernel).path[1:]
        await admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
        await asyncio.wait_for(stopped.wait(), 20)
        await admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
    finally:
        await worker.stop()
    assert stopped_at[0] < lease_ends_at


async def test_jobs_that_hold_every_connection_do_not_lose_their_leases(
    kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_runs, "LEASE_S", 4.0)
    monkeypatch.setattr(job_worker, "LEASE_S", 4.0)
    monkeypatch.setattr(job_worker, "_KEEP_S", 1.0)
    with registries_kept():
        jobs.job("probe.long", attempts=3, timeout_s=60, concurrency=16, service="speaker")(Long)
        jobs.job("probe.long_letter", attempts=3, timeout_s=60, lane="quick", concurrency=16, service="speaker")(Letter)

        async def sleep(run: JobRun, long: Long | Letter) -> None:
            async with read() as db:
                await db.run("SELECT pg_sleep(6)")

        jobs.perform(Long)(sleep)
        jobs.perform(Letter)(sleep)
        async with committed() as tx:
            for n in range(8):
                enqueue(tx, Long(n=n))
                enqueue(tx, Letter(n=n))
        worker = JobWorker(("speaker",), Bell())
        worker.start()
        try:
            admin = await asyncpg.connect(kernel)
            ends: set[str] = set()
            async with asyncio.timeout(40):
                while not ends or "running" in ends or "queued" in ends:
                    await asyncio.sleep(0.2)
                    found = await admin.fetch("SELECT state, starts FROM hub.jobs")
                    assert max(row["starts"] for row in found) <= 1
                    ends = {row["state"] for row in found}
            await admin.close()
        finally:
            await worker.stop()
    assert ends == {"succeeded"}
