"""Jobs that are put back without an attempt: a server is away, or another release enqueued them."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
import redis.exceptions

from cluster import jobs
from cluster.base.problems import Unavailable
from cluster.jobs import GiveUp, JobRun, enqueue
from cluster.jobs import run as job_runs
from cluster.jobs.lanes import Slots
from cluster.jobs.run import run_due_jobs
from tests.cluster.data.proxy import Proxy
from tests.kernel import committed, pooled, registries_kept, rows, run

pytestmark = pytest.mark.usefixtures("kernel", "empty", "registry")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chore:
    note: str


@pytest.fixture
def registry() -> Iterator[None]:
    with registries_kept():
        jobs.job("probe.chore", attempts=1, timeout_s=60, service="speaker")(Chore)
        yield


class Fault:
    """Fails like this until it is mended, and notes what it saw."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error
        self.final: list[bool] = []
        jobs.perform(Chore)(self.perform)

    async def perform(self, job_run: JobRun, chore: Chore) -> None:
        if self.error is not None:
            self.final.append(job_run.is_final(self.error))
            raise self.error


async def enqueued() -> None:
    async with committed() as tx:
        enqueue(tx, Chore(note="x"))


async def state() -> tuple[Any, ...]:
    [found] = await rows("SELECT state, attempts, starts, put_back, unfit_since IS NOT NULL FROM hub.jobs")
    return found


async def delay_s() -> float:
    [(found,)] = await rows("SELECT extract(epoch FROM due_at - now())::float8 FROM hub.jobs")
    return found


async def due_now() -> None:
    await run("UPDATE hub.jobs SET due_at = now()")


@pytest.mark.parametrize("error", [Unavailable("S3 is away"), redis.exceptions.ConnectionError("reset")])
async def test_an_outage_counts_no_attempt_and_backs_off_to_a_minute(error: Exception) -> None:
    fault = Fault(error)
    await enqueued()

    for round in range(1, 10):
        assert await run_due_jobs(("speaker",)) == 1
        assert await state() == ("queued", 0, 0, round, False)
        assert await delay_s() <= 60
        await due_now()

    assert not any(fault.final)
    fault.error = None
    assert await run_due_jobs(("speaker",)) == 1
    assert (await state())[:2] == ("succeeded", 1)


async def test_an_outage_counts_no_attempt_of_a_cron() -> None:
    async def nightly(job_run: JobRun) -> None:
        raise ConnectionRefusedError

    jobs.cron("probe.nightly", "17 3 * * *", attempts=1, service="speaker")(nightly)
    async with committed() as tx:
        jobs.enqueue_as(tx, jobs.job_type("probe.nightly"), jobs.CronSlot(at=datetime(2026, 3, 2, tzinfo=UTC)))

    assert await run_due_jobs(("speaker",)) == 1

    assert await state() == ("queued", 0, 0, 1, False)


@pytest.mark.parametrize("error", [ValueError("no luck"), GiveUp("gone"), TimeoutError()])
async def test_a_fault_in_the_last_attempt_is_final(error: Exception) -> None:
    fault = Fault(error)
    await enqueued()

    assert await run_due_jobs(("speaker",)) == 1

    assert fault.final == [True]
    assert (await state())[:2] == ("dead", 1)


async def test_a_jobs_own_deadline_is_an_attempt_whatever_ends_it() -> None:
    async def late(job_run: JobRun, chore: Chore) -> None:
        try:
            await _forever()
        finally:
            raise ConnectionResetError("the connection it waited on was torn down")

    jobs.job("probe.chore", attempts=3, timeout_s=0.05, service="speaker")(Chore)
    jobs.perform(Chore)(late)
    await enqueued()

    assert await run_due_jobs(("speaker",)) == 1

    assert await state() == ("queued", 1, 0, 0, False)


async def _forever() -> None:
    await asyncio.Event().wait()


async def test_a_database_that_restarts_under_a_job_costs_nothing(kernel: str) -> None:
    postgres = urlsplit(kernel)
    async with Proxy(postgres.hostname, postgres.port) as proxy:

        async def cut_off(job_run: JobRun, chore: Chore) -> None:
            proxy.refuses = True
            proxy.cut()
            _mend_later(proxy)
            await job_run.extend()

        jobs.perform(Chore)(cut_off)
        behind = f"{postgres.username}:{postgres.password or ''}@{urlsplit(proxy.endpoint).netloc}"
        async with pooled(urlunsplit(postgres._replace(netloc=behind))):
            await enqueued()
            [taken] = await job_runs.take({"probe.chore": 1}, Slots(shared=1))
            await job_runs.run(taken)

    assert await state() == ("queued", 0, 0, 1, False)


def _mend_later(proxy: Proxy) -> None:
    def mend() -> None:
        proxy.refuses = False

    asyncio.get_running_loop().call_later(0.5, mend)


async def test_arguments_of_another_release_wait_for_its_worker() -> None:
    Fault(None)
    await enqueued()
    await run("UPDATE hub.jobs SET args = '{\"thing\": 1}'")

    for round in range(1, 8):
        assert await run_due_jobs(("speaker",)) == 1
        assert await state() == ("queued", 0, 0, round, True)
        assert 0 < await delay_s() <= 60
        await due_now()

    [(error,)] = await rows("SELECT last_error FROM hub.jobs")
    assert error.startswith("its arguments do not fit Chore of this release: ")
    await run('UPDATE hub.jobs SET args = \'{"note": "x"}\'')
    assert await run_due_jobs(("speaker",)) == 1
    assert (await state())[:2] == ("succeeded", 1)


async def test_a_caller_of_another_release_waits_for_its_worker() -> None:
    Fault(None)
    await enqueued()
    await run('UPDATE hub.jobs SET caller = \'{"kind": "robot"}\'')

    assert await run_due_jobs(("speaker",)) == 1

    assert await state() == ("queued", 0, 0, 1, True)


async def test_arguments_that_fit_no_release_for_a_day_are_dead() -> None:
    Fault(None)
    await enqueued()
    await run("UPDATE hub.jobs SET args = '{}', unfit_since = now() - interval '25 hours'")

    assert await run_due_jobs(("speaker",)) == 1

    [(found, error)] = await rows("SELECT state, last_error FROM hub.jobs")
    assert found == "dead"
    assert error.startswith("for a day no worker understood it: its arguments do not fit Chore of this release: ")


async def test_a_kind_that_nobody_here_performs_is_never_taken() -> None:
    await enqueued()

    assert await run_due_jobs(("speaker",)) == 0

    assert await state() == ("queued", 0, 0, 0, False)
