"""The queue of jobs: one waiting job per text, cancelled ones, the turn of each kind, periodic ones."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from actors.scheduler import enqueue_slot, latest_slot, next_slot
from cluster import jobs
from cluster.base.ids import new_id
from cluster.data import read
from cluster.events import parked
from cluster.jobs import CronSlot, JobRun, LeaseLost, cancel_jobs, enqueue
from cluster.jobs import run as job_runs
from cluster.jobs.lanes import Slots
from cluster.jobs.run import run_due_jobs
from tests.cluster.jobs.errands import Errand, Slow, behaviour, enqueued, fail, keep, runs, states, take
from tests.cluster.jobs.errands import kinds as kinds
from tests.cluster.jobs.errands import nothing_run_yet as nothing_run_yet
from tests.kernel import committed, rows, run

pytestmark = pytest.mark.usefixtures("kernel", "empty", "kinds")


async def test_dedupe_keeps_one_waiting_job_at_the_earliest_time() -> None:
    later = datetime.now(UTC) + timedelta(hours=2)
    sooner = later - timedelta(hours=1)
    await enqueued(at=later, dedupe="one")
    await asyncio.gather(*(enqueued(at=sooner if n == 3 else later, dedupe="one") for n in range(10)))
    assert await rows("SELECT state, due_at FROM hub.jobs") == [("queued", sooner)]


async def test_what_changes_while_a_job_runs_gets_a_job_of_its_own() -> None:
    await enqueued(dedupe="one")
    [taken] = await take()
    await enqueued(dedupe="one")
    assert sorted((await states()).values()) == ["queued", "running"]
    # The running one fails: the waiting one will do its work.
    behaviour.append(fail)
    await job_runs.run(taken)
    assert sorted((await states()).values()) == ["cancelled", "queued"]


async def test_cancelling_and_enqueueing_count_in_their_order() -> None:
    await enqueued(dedupe="one", note="old", at=datetime.now(UTC) + timedelta(hours=1))
    async with committed() as tx:
        enqueue(tx, Errand(thing_id=new_id(), note="never"), dedupe="one")
        cancel_jobs(tx, Errand, "one")
        enqueue(tx, Errand(thing_id=new_id(), note="new"), dedupe="one")
        enqueue(tx, Errand(thing_id=new_id(), note="twin"), dedupe="one", at=datetime.now(UTC) + timedelta(hours=1))
    assert sorted(await rows("SELECT state, args ->> 'note' FROM hub.jobs")) == [
        ("cancelled", "old"),
        ("queued", "new"),
    ]


async def test_a_jobs_text_is_its_kinds_own() -> None:
    """Two services name their jobs after the same id; what one cancels is not the other's."""
    async with committed() as tx:
        enqueue(tx, Errand(thing_id=new_id()), dedupe="one")
        slow = enqueue(tx, Slow(thing_id=new_id()), dedupe="one")
    async with committed() as tx:
        cancel_jobs(tx, Errand, "one")
        enqueue(tx, Slow(thing_id=new_id()), dedupe="one")
    assert await rows("SELECT kind, state FROM hub.jobs ORDER BY kind") == [
        ("probe.errand", "cancelled"),
        ("probe.slow", "queued"),
    ]
    assert (await states())[slow] == "queued"


async def test_a_started_job_ignores_cancel_jobs_but_an_operator_can_stop_it() -> None:
    id = await enqueued(dedupe="one")
    [taken] = await take()
    async with committed() as tx:
        cancel_jobs(tx, Errand, "one")
    assert await states() == {id: "running"}
    async with read() as db:
        assert await parked.cancel_job(db, id)
    assert await keep([taken]) == set()
    async with read() as db:
        with pytest.raises(LeaseLost):
            await job_runs.job_run(taken, jobs.job_type(taken.kind)).still_mine(db)


async def test_every_kind_gets_its_turn() -> None:
    for _ in range(20):
        await enqueued()
    async with committed() as tx:
        enqueue(tx, Slow(thing_id=new_id()))
    taken = await job_runs.take({"probe.errand": 10, "probe.slow": 10}, Slots(shared=4))
    assert sorted(job.kind for job in taken) == ["probe.errand"] * 3 + ["probe.slow"]


async def test_what_is_due_is_found_by_the_index() -> None:
    await run(
        "INSERT INTO hub.jobs (id, kind, service, args, due_at, max_attempts, actor, state) "
        "SELECT gen_random_uuid(), 'probe.' || n % 50, 'speaker', '{}', now(), 3, '{}', "
        "CASE WHEN n % 100 = 0 THEN 'queued' ELSE 'succeeded' END FROM generate_series(1, 20000) AS n"
    )
    await run("ANALYZE hub.jobs")
    plan = await rows(
        "EXPLAIN SELECT id FROM hub.jobs WHERE kind = 'probe.1' AND state IN ('queued', 'running') AND due_at <= now() "
        "ORDER BY due_at LIMIT 5 FOR UPDATE SKIP LOCKED"
    )
    assert "jobs_due" in " ".join(line for (line,) in plan)


async def test_a_slot_is_enqueued_once_and_of_missed_ones_only_the_latest() -> None:
    async def nightly(job_run: JobRun) -> None:
        runs.append(job_run)

    jobs.cron("probe.nightly", "17 3 * * *", service="speaker")(nightly)
    declared = jobs.job_type("probe.nightly")
    monday = datetime(2026, 3, 2, 3, 17, tzinfo=UTC)
    assert latest_slot("17 3 * * *", monday) == monday
    assert latest_slot("17 3 * * *", monday - timedelta(seconds=1)) == monday - timedelta(days=1)
    assert next_slot("17 3 * * *", monday) == monday + timedelta(days=1)
    # New here: it waits for its next slot.
    assert not await enqueue_slot(declared, monday)
    friday = monday + timedelta(days=4)
    assert sum(await asyncio.gather(*(enqueue_slot(declared, friday) for _ in range(5)))) == 1
    assert not await enqueue_slot(declared, monday + timedelta(days=1))
    assert await rows("SELECT kind, args ->> 'at' FROM hub.jobs") == [("probe.nightly", "2026-03-06T03:17:00Z")]
    assert await run_due_jobs(("speaker",)) == 1
    assert [job_run.kind for job_run in runs] == ["probe.nightly"]
    assert CronSlot(at=friday).at == friday


@pytest.mark.parametrize("expression", ["every night", "0 0 30 2 *", "61 * * * *"])
def test_a_time_that_never_comes_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match="names no time at all"):
        jobs.cron("probe.never", expression, service="speaker")
