"""Jobs that tests of jobs enqueue: an errand whose behaviour a test sets, and a slow one."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import pytest

from cluster import jobs
from cluster.base.ids import new_id
from cluster.data import read
from cluster.jobs import JobRun, enqueue
from cluster.jobs import run as job_runs
from cluster.jobs.lanes import Slots
from cluster.jobs.run import Taken
from tests.kernel import committed, rows, run


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    thing_id: UUID
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slow:
    thing_id: UUID


Behaviour = Callable[[JobRun, Errand], Awaitable[None]]
behaviour: list[Behaviour] = []
runs: list[JobRun] = []


async def _perform(job_run: JobRun, errand: Errand) -> None:
    runs.append(job_run)
    if behaviour:
        await behaviour[0](job_run, errand)


async def _slow(job_run: JobRun, slow: Slow) -> None:
    runs.append(job_run)
    await asyncio.sleep(30)


@pytest.fixture(scope="module")
def kinds(kernel: str) -> None:
    jobs.job("probe.errand", attempts=3, timeout_s=0.2, service="speaker")(Errand)
    jobs.perform(Errand)(_perform)
    jobs.job("probe.slow", attempts=3, timeout_s=30, service="speaker")(Slow)
    jobs.perform(Slow)(_slow)


@pytest.fixture(autouse=True)
def nothing_run_yet() -> None:
    behaviour.clear()
    runs.clear()


async def enqueued(*, at: datetime | None = None, dedupe: str | None = None, note: str = "") -> UUID:
    async with committed() as tx:
        return enqueue(tx, Errand(thing_id=new_id(), note=note), at=at, dedupe=dedupe)


async def states() -> dict[UUID, str]:
    return dict(await rows("SELECT id, state FROM hub.jobs"))


async def fail(job_run: JobRun, errand: Errand) -> None:
    raise ValueError("no luck")


async def take(count: int = 10) -> list[Taken]:
    return await job_runs.take({"probe.errand": count}, Slots(shared=count))


async def keep(held: list[Taken]) -> set[UUID]:
    async with read() as db:
        return await job_runs.keep(db, held)


async def lease_ends() -> None:
    await run("UPDATE hub.jobs SET due_at = now() WHERE state = 'running'")
