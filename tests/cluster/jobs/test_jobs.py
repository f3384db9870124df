"""Jobs: enqueued with the change, run at least once, never twice at once, and never lost."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from actors.scheduler import enqueue_slot, latest_slot, next_slot
from cluster import jobs
from cluster.base.ids import UserId, new_id
from cluster.base.principal import Principal
from cluster.base.settings import REPOSITORY
from cluster.data import read
from cluster.data.postgres import pool, transaction
from cluster.events import parked
from cluster.jobs import CronSlot, GiveUp, JobRun, LeaseLost, cancel_jobs, enqueue
from cluster.jobs import run as job_runs
from cluster.jobs.lanes import Slots
from cluster.jobs.run import MAX_STARTS, Taken, run_due_jobs
from tests.kernel import committed, rows, run

pytestmark = pytest.mark.usefixtures("kernel", "empty", "kinds")


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    thing_id: UUID
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slow:
    thing_id: UUID


Behaviour = Callable[[JobRun, Errand], Awaitable[None]]
_behaviour: list[Behaviour] = []
_runs: list[JobRun] = []


async def _perform(job_run: JobRun, errand: Errand) -> None:
    _runs.append(job_run)
    if _behaviour:
        await _behaviour[0](job_run, errand)


async def _slow(job_run: JobRun, slow: Slow) -> None:
    _runs.append(job_run)
    await asyncio.sleep(30)


@pytest.fixture(scope="module")
def kinds(kernel: str) -> None:
    jobs.job("probe.errand", attempts=3, timeout_s=0.2, service="speaker")(Errand)
    jobs.perform(Errand)(_perform)
    jobs.job("probe.slow", attempts=3, timeout_s=30, service="speaker")(Slow)
    jobs.perform(Slow)(_slow)


@pytest.fixture(autouse=True)
def nothing_run_yet() -> None:
    _behaviour.clear()
    _runs.clear()


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


async def test_a_job_runs_once_after_commit_as_the_platform_and_knows_who_asked() -> None:
    ada = UserId(new_id())
    async with pool().acquire() as raw, transaction(raw, Principal(kind="person", id=ada)) as tx:
        id = enqueue(tx, Errand(thing_id=new_id()))
        assert await rows("SELECT 1 FROM hub.jobs") == []
    assert await run_due_jobs(("speaker",)) == 1
    assert await run_due_jobs(("speaker",)) == 0
    [job_run] = _runs
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
    _behaviour.append(fail)
    id = await enqueued()
    for attempt in (1, 2):
        assert await run_due_jobs(("speaker",)) == 1
        [(state, attempts, later)] = await rows("SELECT state, attempts, due_at > now() FROM hub.jobs")
        assert (state, attempts, later) == ("queued", attempt, True)
        await run("UPDATE hub.jobs SET due_at = now()")
    assert await run_due_jobs(("speaker",)) == 1
    assert [job_run.last for job_run in _runs] == [False, False, True]
    async with read() as db:
        [dead] = await parked.list_jobs(db, ["dead"])
        assert (dead.id, dead.attempts) == (id, 3)
        assert dead.last_error is not None
        assert dead.last_error.startswith("ValueError: no luck (test_jobs.py:")
        assert await parked.retry_job(db, id)
    _behaviour.clear()
    assert await run_due_jobs(("speaker",)) == 1
    assert await states() == {id: "succeeded"}


async def test_giving_up_is_final() -> None:
    async def give_up(job_run: JobRun, errand: Errand) -> None:
        raise GiveUp("the thing is gone")

    _behaviour.append(give_up)
    id = await enqueued()
    assert await run_due_jobs(("speaker",)) == 1
    assert await states() == {id: "dead"}


async def test_a_job_beyond_its_deadline_is_stopped_and_runs_again() -> None:
    async def hang(job_run: JobRun, errand: Errand) -> None:
        await asyncio.sleep(30)

    _behaviour.append(hang)
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

    _behaviour.append(progress)
    id = await enqueued()
    await run_due_jobs(("speaker",))
    assert await states() == {id: "succeeded"}


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

    _behaviour.append(look)
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

    _behaviour.append(begin)
    running = asyncio.create_task(job_runs.run(taken))
    await begun.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    [again] = await take()
    # A start that was broken off on purpose is not held against the job.
    assert (again.id, again.starts) == (taken.id, 1)


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
    _behaviour.append(fail)
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
        _runs.append(job_run)

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
    assert [job_run.kind for job_run in _runs] == ["probe.nightly"]
    assert CronSlot(at=friday).at == friday


@pytest.mark.parametrize("expression", ["every night", "0 0 30 2 *", "61 * * * *"])
def test_a_time_that_never_comes_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match="names no time at all"):
        jobs.cron("probe.never", expression, service="speaker")


_WORKER = """
import asyncio, sys
from tests.cluster.jobs import test_jobs
from actors.job_worker import JobWorker
from cluster import jobs
from cluster.data import postgres
from cluster.signals.wake import Bell

async def main():
    await postgres.connect(sys.argv[1], size=2, application="doomed worker")
    jobs.job("probe.slow", service="speaker", attempts=3, timeout_s=30)(test_jobs.Slow)
    async def begin(job_run, slow):
        print("begun", flush=True)
        await asyncio.sleep(60)
    jobs.perform(test_jobs.Slow)(begin)
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
