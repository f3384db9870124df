"""Leases of jobs: never run twice at once, and not lost with a worker."""

import asyncio
import os
import signal
import subprocess
import sys

import pytest

from cluster.base.ids import new_id
from cluster.base.settings import REPOSITORY
from cluster.data import read
from cluster.data.postgres import pool
from cluster.events import parked
from cluster.jobs import JobRun, enqueue
from cluster.jobs import run as job_runs
from cluster.jobs.lanes import Slots
from cluster.jobs.run import MAX_STARTS
from tests.cluster.jobs.errands import Errand, Slow, behaviour, enqueued, keep, lease_ends, states, take
from tests.cluster.jobs.errands import kinds as kinds
from tests.cluster.jobs.errands import nothing_run_yet as nothing_run_yet
from tests.kernel import committed, rows

pytestmark = pytest.mark.usefixtures("kernel", "empty", "kinds")


async def test_two_workers_never_take_the_same_job() -> None:
    ids = {await enqueued() for _ in range(30)}
    taken = [job for batch in await asyncio.gather(*(take(7) for _ in range(6))) for job in batch]
    assert len(taken) == len({job.id for job in taken})
    taken += await take(30)
    assert {job.id for job in taken} == ids
    assert len(taken) == 30


async def test_a_dead_workers_job_runs_again_and_its_late_end_does_not_count() -> None:
    id = await enqueued()
    [first] = await take()
    assert await take() == []
    await lease_ends()
    [second] = await take()
    assert (second.id, second.starts, second.attempts) == (id, 2, 0)
    assert await keep([first]) == set()
    assert await keep([second]) == {id}
    await job_runs.run(first)
    assert await states() == {id: "running"}
    await job_runs.run(second)
    assert await states() == {id: "succeeded"}


async def test_a_run_that_lost_its_lease_is_told_so() -> None:
    answers: list[bool] = []

    async def look(job_run: JobRun, errand: Errand) -> None:
        async with committed() as tx:
            await job_run.still_mine(tx)
            answers.append(True)
        await lease_ends()
        await take()
        async with committed() as tx:
            await job_run.still_mine(tx)
            answers.append(True)

    behaviour.append(look)
    await enqueued()
    [taken] = await take()
    await job_runs.run(taken)
    assert answers == [True]
    assert [state for (state,) in await rows("SELECT state FROM hub.jobs")] == ["running"]


async def test_a_lease_cannot_be_taken_while_its_holder_writes() -> None:
    await enqueued()
    [taken] = await take()
    holder = "SELECT 1 FROM hub.jobs WHERE id = $1 AND lease = $2 FOR SHARE"
    await lease_ends()
    async with pool().acquire() as raw, raw.transaction():
        await raw.execute(holder, taken.id, taken.lease)
        assert await take() == []
        # The keeper passes over the locked row instead of waiting, and knows that it is still held.
        assert await keep([taken]) == {taken.id}
    assert len(await take()) == 1


async def test_a_job_that_kills_its_worker_five_times_is_dead() -> None:
    id = await enqueued()
    for start in range(1, MAX_STARTS + 1):
        [taken] = await take()
        assert taken.starts == start
        await lease_ends()
    assert await take() == []
    [(state, error)] = await rows("SELECT state, last_error FROM hub.jobs")
    assert (state, error) == ("dead", "its worker died 5 times while it ran")
    async with read() as db:
        assert await parked.retry_job(db, id)
    assert len(await take()) == 1


async def test_a_stopped_worker_releases_its_job_at_once() -> None:
    await enqueued()
    [taken] = await take()
    begun = asyncio.Event()

    async def begin(job_run: JobRun, errand: Errand) -> None:
        begun.set()
        await asyncio.sleep(30)

    behaviour.append(begin)
    running = asyncio.create_task(job_runs.run(taken))
    await begun.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    [again] = await take()
    # A start that was broken off on purpose is not held against the job.
    assert (again.id, again.starts) == (taken.id, 1)


_WORKER = """
import asyncio, sys
from tests.cluster.jobs import errands
from actors.job_worker import JobWorker
from cluster import jobs
from cluster.data import postgres
from cluster.signals.wake import Bell

async def main():
    await postgres.connect(sys.argv[1], size=2, application="doomed worker")
    jobs.job("probe.slow", service="speaker", attempts=3, timeout_s=30)(errands.Slow)
    async def begin(job_run, slow):
        print("begun", flush=True)
        await asyncio.sleep(60)
    jobs.perform(errands.Slow)(begin)
    JobWorker(("speaker",), Bell()).start()
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_a_killed_worker_process_loses_no_job(kernel: str) -> None:
    async with committed() as tx:
        id = enqueue(tx, Slow(thing_id=new_id()))
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _WORKER, kernel),
        stdout=subprocess.PIPE,
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": "."},
    )
    assert worker.stdout is not None
    assert await worker.stdout.readline() == b"begun\n"
    assert await job_runs.take({"probe.slow": 1}, Slots(shared=1)) == []
    worker.send_signal(signal.SIGKILL)
    await worker.wait()
    # Its lease runs out by itself within 12 s; the test does not wait for it.
    await lease_ends()
    [taken] = await job_runs.take({"probe.slow": 1}, Slots(shared=1))
    assert (taken.id, taken.starts) == (id, 2)
