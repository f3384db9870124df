"""Lanes: slow jobs do not hold the slots that quick ones need, and no kind of a lane starves another."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.job_worker import JobWorker
from cluster import jobs
from cluster.jobs import JobRun, enqueue
from cluster.jobs import run as job_runs
from cluster.jobs.lanes import MOST, OWN, SLOTS, Lane, free_slots
from cluster.signals.wake import Bell
from tests.kernel import committed, registries_kept, rows

databases = pytest.mark.usefixtures("kernel", "empty", "registry")


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Chore:
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Purge:
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuild:
    n: int


LANES: dict[type, Lane] = {Letter: "quick", Chore: "normal", Purge: "bulk", Rebuild: "bulk"}


class Gate:
    """Jobs of these kinds begin and then wait until it opens; `changed` tells of each that begins."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.begun: Counter[str] = Counter()
        self.changed = asyncio.Condition()

    async def wait(self, run: JobRun, args: object) -> None:
        await self.begin(run, args)
        await self.open.wait()

    async def begin(self, run: JobRun, args: object) -> None:
        async with self.changed:
            self.begun[run.kind] += 1
            self.changed.notify_all()

    async def have_begun(self, expected: dict[str, int]) -> None:
        async with asyncio.timeout(20), self.changed:
            await self.changed.wait_for(lambda: self.begun == expected)


@pytest.fixture
def registry() -> Iterator[None]:
    with registries_kept():
        for python, lane in LANES.items():
            name = f"probe.{python.__name__.lower()}"
            jobs.job(name, timeout_s=60, lane=lane, concurrency=16, service="speaker")(python)
        yield


@pytest.fixture
async def gate(registry: None) -> AsyncIterator[Gate]:
    """A gate before which the jobs of every kind wait, and a worker that starts them."""
    gate, worker = Gate(), JobWorker(("speaker",), Bell())
    for python in LANES:
        jobs.perform(python)(gate.wait)
    worker.start()
    yield gate
    gate.open.set()
    await worker.stop()


async def enqueued(*kinds: type, count: int = 16) -> None:
    async with committed() as tx:
        for n in range(count):
            for kind in kinds:
                enqueue(tx, kind(n=n))


@databases
async def test_sixteen_slow_jobs_leave_slots_for_a_quick_one(gate: Gate) -> None:
    await enqueued(Purge, Chore)
    await gate.have_begun({"probe.chore": 7, "probe.purge": 5})

    await enqueued(Letter, count=1)
    await gate.have_begun({"probe.chore": 7, "probe.purge": 5, "probe.letter": 1})

    states = await rows("SELECT kind, state, count(*) FROM hub.jobs GROUP BY kind, state ORDER BY kind, state")
    assert states == [
        ("probe.chore", "queued", 9),
        ("probe.chore", "running", 7),
        ("probe.letter", "running", 1),
        ("probe.purge", "queued", 11),
        ("probe.purge", "running", 5),
    ]


@databases
async def test_quick_jobs_leave_slots_for_the_other_lanes(gate: Gate) -> None:
    await enqueued(Letter)
    await gate.have_begun({"probe.letter": 10})

    await enqueued(Chore, Purge)
    await gate.have_begun({"probe.letter": 10, "probe.chore": 4, "probe.purge": 2})


@databases
async def test_bulk_jobs_alone_take_six_slots(gate: Gate) -> None:
    await enqueued(Purge)
    await gate.have_begun({"probe.purge": 6})

    await enqueued(Chore, count=1)
    await gate.have_begun({"probe.purge": 6, "probe.chore": 1})


@databases
async def test_a_kind_starves_no_other_of_its_lane() -> None:
    for python in LANES:
        jobs.perform(python)(Gate().begin)
    await enqueued(Purge)
    await enqueued(Rebuild, count=2)

    taken = await job_runs.take({"probe.purge": 16, "probe.rebuild": 16}, free_slots({}))

    assert Counter(job.kind for job in taken) == {"probe.purge": 4, "probe.rebuild": 2}


@given(st.lists(st.sampled_from(sorted(OWN)), max_size=40))
def test_slots_are_never_exceeded_and_own_ones_never_lent(arriving: list[Lane]) -> None:
    busy: Counter[Lane] = Counter()

    for lane in arriving:
        free = free_slots(busy)
        if free.most[lane] > 0 and (free.own[lane] > 0 or free.shared > 0):
            busy[lane] += 1

    free = free_slots(busy)
    assert sum(busy.values()) <= SLOTS
    assert all(busy[lane] <= MOST[lane] for lane in OWN)
    assert free.shared >= 0
    assert all(busy[lane] + free.own[lane] >= own for lane, own in OWN.items())
    assert sum(busy.values()) + free.shared + sum(free.own.values()) == SLOTS
