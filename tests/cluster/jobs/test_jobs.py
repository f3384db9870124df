"""Jobs: enqueued with the change, run at least once, and tried again."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from cluster.base.ids import UserId, new_id
from cluster.base.principal import Principal
from cluster.data import read
from cluster.data.postgres import pool, transaction
from cluster.events import parked
from cluster.jobs import GiveUp, JobRun, enqueue
from cluster.jobs.run import run_due_jobs
from tests.cluster.jobs.errands import Errand, behaviour, enqueued, fail, runs, states
from tests.cluster.jobs.errands import kinds as kinds
from tests.cluster.jobs.errands import nothing_run_yet as nothing_run_yet
from tests.kernel import committed, rows, run

pytestmark = pytest.mark.usefixtures("kernel", "empty", "kinds")


async def test_a_job_runs_once_after_commit_as_the_platform_and_knows_who_asked() -> None:
    ada = UserId(new_id())
    async with pool().acquire() as raw, transaction(raw, Principal(kind="person", id=ada)) as tx:
        id = enqueue(tx, Errand(thing_id=new_id()))
        assert await rows("SELECT 1 FROM hub.jobs") == []
    assert await run_due_jobs(("speaker",)) == 1
    assert await run_due_jobs(("speaker",)) == 0
    [job_run] = runs
    assert (job_run.id, job_run.kind, job_run.attempt, job_run.starts, job_run.last) == (
        id,
        "probe.errand",
        1,
        1,
        False,
    )
    assert (job_run.principal.kind, job_run.principal.service, job_run.actor.id) == ("platform", "speaker", ada)
    assert await states() == {id: "succeeded"}


async def test_a_rolled_back_transaction_leaves_no_job() -> None:
    async def change() -> None:
        async with committed() as tx:
            enqueue(tx, Errand(thing_id=new_id()))
            raise ValueError("changed its mind")

    with pytest.raises(ValueError, match="changed its mind"):
        await change()
    assert await states() == {}


async def test_a_job_waits_for_its_time() -> None:
    id = await enqueued(at=datetime.now(UTC) + timedelta(hours=1))
    assert await run_due_jobs(("speaker",)) == 0
    await run("UPDATE hub.jobs SET due_at = now() WHERE id = $1", id)
    assert await run_due_jobs(("speaker",)) == 1


async def test_a_failed_job_runs_again_later_and_is_dead_after_its_attempts() -> None:
    behaviour.append(fail)
    id = await enqueued()
    for attempt in (1, 2):
        assert await run_due_jobs(("speaker",)) == 1
        [(state, attempts, later)] = await rows("SELECT state, attempts, due_at > now() FROM hub.jobs")
        assert (state, attempts, later) == ("queued", attempt, True)
        await run("UPDATE hub.jobs SET due_at = now()")
    assert await run_due_jobs(("speaker",)) == 1
    assert [job_run.last for job_run in runs] == [False, False, True]
    async with read() as db:
        [dead] = await parked.list_jobs(db, ["dead"])
        assert (dead.id, dead.attempts) == (id, 3)
        assert dead.last_error is not None
        assert dead.last_error.startswith("ValueError: no luck (errands.py:")
        assert await parked.retry_job(db, id)
    behaviour.clear()
    assert await run_due_jobs(("speaker",)) == 1
    assert await states() == {id: "succeeded"}


async def test_giving_up_is_final() -> None:
    async def give_up(job_run: JobRun, errand: Errand) -> None:
        raise GiveUp("the thing is gone")

    behaviour.append(give_up)
    id = await enqueued()
    assert await run_due_jobs(("speaker",)) == 1
    assert await states() == {id: "dead"}


async def test_a_job_beyond_its_deadline_is_stopped_and_runs_again() -> None:
    async def hang(job_run: JobRun, errand: Errand) -> None:
        await asyncio.sleep(30)

    behaviour.append(hang)
    await enqueued()
    await run_due_jobs(("speaker",))
    [(state, error)] = await rows("SELECT state, last_error FROM hub.jobs")
    assert state == "queued"
    assert error.startswith("TimeoutError")


async def test_a_job_that_shows_progress_outlives_its_deadline() -> None:
    async def progress(job_run: JobRun, errand: Errand) -> None:
        for _ in range(4):
            await asyncio.sleep(0.08)
            await job_run.extend()

    behaviour.append(progress)
    id = await enqueued()
    await run_due_jobs(("speaker",))
    assert await states() == {id: "succeeded"}
