"""A bulk whose plan fails ends its operation with what went wrong; what was done can be undone."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

import pytest

from api.learning.enrollment import contract
from cluster import jobs
from cluster.base.ids import OrgId, UserId, new_id
from cluster.base.principal import Principal
from cluster.base.problems import Forbidden, Problem
from cluster.data import Transaction, read, write
from cluster.data.named import resolve
from cluster.data.postgres import pool
from cluster.http import Body
from cluster.jobs import JobRun, bulk, operations
from cluster.jobs.bulk import Apply, Bulk, BulkJob, BulkWork, CannotBeUndone, Line, Outcome, TakeBack, store
from cluster.jobs.bulk import run as bulk_run
from cluster.jobs.lanes import Slots
from cluster.jobs.operations import Operation
from cluster.jobs.run import run as run_job
from cluster.jobs.run import run_due_jobs, take
from tests.kernel import registries_kept, rows, run

pytestmark = pytest.mark.usefixtures("kernel", "empty", "registry")

_SERVICE = contract.__name__.split(".")[-2]
"""The service of the job: its contract is imported before the registries are kept."""
ADA = Principal(kind="person", id=UserId(new_id()))
ORG = OrgId(new_id())


class Named(Body):
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chores(BulkJob):
    pass


class Work:
    """Writes each name once, two to a batch, and fails with `error` in the batches `fails_at` to `fails_until`."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.fails_at, self.fails_until = 1, 1_000
        self.batches = 0
        self.kept: dict[int, Problem] = {}
        self.waits_at = 0
        self.waits, self.go_on = asyncio.Event(), asyncio.Event()
        self.bulk_work = BulkWork(row=Named, key=lambda row: row.name, plan=self.plan, plan_back=self.plan_back)

    async def perform(self, job_run: JobRun, args: Chores) -> None:
        await bulk.advance(job_run, args.operation_id, self.bulk_work)

    async def plan(self, caller: Principal, found: Bulk, named: Sequence[Named]) -> Apply:
        self._fail()
        if self.batches == self.waits_at:
            self.waits.set()
            await self.go_on.wait()

        async def apply(tx: Transaction) -> list[Outcome]:
            made: list[Outcome] = []
            for row in named:
                if row.name == "bad":
                    made.append(Outcome(state="failed", problem=Forbidden("this one never")))
                else:
                    await tx.run("INSERT INTO probe.effects (key) VALUES ($key)", key=row.name)
                    made.append(Outcome(state="created", id=new_id()))
            return made

        return apply

    async def plan_back(self, caller: Principal, found: Bulk, lines: Sequence[Line]) -> TakeBack:
        self._fail()

        async def take_back(tx: Transaction) -> dict[int, Problem]:
            names = [line.key for line in lines if line.row not in self.kept]
            await tx.run("DELETE FROM probe.effects WHERE key = ANY($names)", names=names)
            return {line.row: self.kept[line.row] for line in lines if line.row in self.kept}

        return take_back

    def _fail(self) -> None:
        self.batches += 1
        if self.error is not None and self.fails_at <= self.batches <= self.fails_until:
            raise self.error


@pytest.fixture
def registry() -> Iterator[None]:
    with registries_kept():
        yield


@pytest.fixture(autouse=True)
async def no_operations(empty: None) -> None:
    await run("TRUNCATE hub.operations CASCADE")


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch, registry: None) -> Work:
    monkeypatch.setattr(bulk_run, "BATCH_ROWS", 2)
    jobs.job("probe.chores", attempts=1, timeout_s=60, service=_SERVICE)(Chores)
    made = Work()
    jobs.perform(Chores)(made.perform)
    return made


async def sent(*names: str, all_or_nothing: bool = False) -> UUID:
    id = new_id()
    async with write(ADA) as tx:
        await bulk.start(
            tx,
            Chores,
            operation_id=id,
            org_id=ORG,
            context={},
            items=[Named(name=name) for name in names],
            file=None,
            all_or_nothing=all_or_nothing,
            dry_run=False,
        )
    return id


async def undo(id: UUID) -> None:
    async with write(ADA) as tx:
        await bulk.undo(tx, id)


async def operation(id: UUID) -> Operation:
    async with read() as db:
        return await operations.get_operation(db, id)


async def outcome(id: UUID) -> tuple[str, dict[str, int], str | None, bool]:
    """Return state, counts, kind of problem, and whether it can be undone."""
    found = await operation(id)
    kind = None if found.problem is None else found.problem["type"].removeprefix("/problems/")
    return found.state, found.counts, kind, found.undo_until is not None


async def written() -> list[str]:
    return [key for (key,) in await rows("SELECT key FROM probe.effects ORDER BY key")]


async def job_states() -> list[str]:
    return [state for (state,) in await rows("SELECT state FROM hub.jobs ORDER BY id")]


async def test_a_refused_plan_fails_the_operation_and_done_rows_can_be_undone(work: Work) -> None:
    work.error, work.fails_at = Forbidden("the right ended"), 2
    id = await sent("a", "b", "c")

    await run_due_jobs()

    assert await outcome(id) == ("failed", {"created": 2}, "forbidden", True)
    assert (await written(), await job_states()) == (["a", "b"], ["succeeded"])
    work.error = None
    await undo(id)
    await run_due_jobs()
    assert await outcome(id) == ("succeeded", {"taken_back": 2}, None, False)
    assert await written() == []


async def test_a_refused_plan_of_the_first_batch_leaves_nothing_to_undo(work: Work) -> None:
    work.error = Forbidden("the right ended")
    id = await sent("a")

    await run_due_jobs()

    assert await outcome(id) == ("failed", {}, "forbidden", False)
    with pytest.raises(CannotBeUndone):
        await undo(id)


async def test_a_refused_undo_fails_the_operation_and_may_be_tried_again(work: Work) -> None:
    id = await sent("a", "b", "c")
    await run_due_jobs()
    until = (await operation(id)).undo_until
    work.error, work.batches, work.fails_at = Forbidden("the right ended"), 0, 2

    await undo(id)
    under_way = await outcome(id)
    with pytest.raises(CannotBeUndone):
        await undo(id)
    await run_due_jobs()

    assert under_way == ("running", {"created": 3}, None, True)
    assert await outcome(id) == ("failed", {"created": 1, "taken_back": 2}, "forbidden", True)
    assert (await written(), await job_states()) == (["a"], ["succeeded", "succeeded"])
    assert (await operation(id)).undo_until == until
    work.error = None
    await undo(id)
    await run_due_jobs()
    assert await outcome(id) == ("succeeded", {"taken_back": 3}, None, False)


async def test_an_undo_names_why_a_row_stays(work: Work) -> None:
    id = await sent("a", "b")
    await run_due_jobs()
    work.kept = {2: Forbidden("this one stays")}

    await undo(id)
    await run_due_jobs()

    async with read() as db:
        lines = await bulk.list_lines(db, id, states=None, after=0, limit=10)
    assert [(line.row, line.state, line.problem and line.problem["detail"]) for line in lines] == [
        (1, "taken_back", None),
        (2, "kept", "this one stays"),
    ]
    assert await outcome(id) == ("succeeded", {"kept": 1, "taken_back": 1}, None, False)


async def test_an_undo_that_is_cancelled_stops_and_may_go_on(work: Work) -> None:
    id = await sent("a", "b", "c")
    await run_due_jobs()
    await undo(id)
    async with write(ADA) as tx:
        await operations.request_cancel(tx, id)

    await run_due_jobs()

    assert await outcome(id) == ("cancelled", {"created": 3}, None, True)
    await undo(id)
    await run_due_jobs()
    assert await outcome(id) == ("succeeded", {"taken_back": 3}, None, False)


async def test_a_table_that_cannot_be_taken_back_whole_says_so(work: Work) -> None:
    work.error, work.fails_at = Forbidden("the right ended"), 4
    id = await sent("a", "b", "c", all_or_nothing=True)

    await run_due_jobs()

    assert await outcome(id) == ("failed", {"created": 2}, "forbidden", True)
    assert (await written(), await job_states()) == (["a", "b"], ["succeeded"])


async def test_a_table_whose_right_comes_back_is_taken_back_whole(work: Work) -> None:
    work.error, work.fails_at, work.fails_until = Forbidden("the right ended"), 4, 4
    id = await sent("a", "b", "c", all_or_nothing=True)

    await run_due_jobs()

    assert await outcome(id) == ("failed", {"taken_back": 2}, "forbidden", False)
    assert await written() == []


@pytest.mark.parametrize("all_or_nothing", [False, True])
async def test_a_worker_that_lost_its_lease_repeats_no_row(work: Work, all_or_nothing: bool) -> None:
    id = await sent("a", "b", "c", "d", "e", all_or_nothing=all_or_nothing)
    work.waits_at = 5 if all_or_nothing else 2
    [taken] = await take({"probe.chores": 1}, Slots(shared=1))
    slow = asyncio.create_task(run_job(taken))
    await work.waits.wait()
    half_way = await written()
    await run("UPDATE hub.jobs SET due_at = now()")

    await run_due_jobs()
    by_the_other = await outcome(id)
    work.go_on.set()
    await slow

    assert half_way == ["a", "b"]
    assert await outcome(id) == by_the_other == ("succeeded", {"created": 5}, None, True)
    assert (await written(), await job_states()) == (["a", "b", "c", "d", "e"], ["succeeded"])


async def test_a_fault_of_ours_fails_the_operation_with_the_last_attempt(work: Work) -> None:
    work.error, work.fails_at = KeyError("a bug"), 2
    id = await sent("a", "b", "c")

    await run_due_jobs()

    assert await outcome(id) == ("failed", {"created": 2}, "unavailable", True)
    assert await job_states() == ["dead"]


async def test_a_fault_of_ours_in_an_undo_fails_the_operation_too(work: Work) -> None:
    id = await sent("a")
    await run_due_jobs()
    work.error = KeyError("a bug")

    await undo(id)
    await run_due_jobs()

    assert await outcome(id) == ("failed", {"created": 1}, "unavailable", True)
    assert await job_states() == ["succeeded", "dead"]


async def test_an_outage_leaves_the_operation_under_way(work: Work) -> None:
    work.error = ConnectionResetError("the server is away")
    id = await sent("a")

    await run_due_jobs()

    assert (await operation(id)).state == "queued"
    assert await job_states() == ["queued"]


async def plan_of(sql: str, **named: object) -> str:
    """Return the plan for these arguments in the middle of a large table, of which PostgreSQL has no statistics yet."""
    text, names = resolve(sql)
    async with pool().acquire() as raw:
        lines = await raw.fetch(f"EXPLAIN {text}", *(named[name] for name in names))
    return "\n".join(line[0] for line in lines)


@pytest.fixture
async def half_done(work: Work) -> UUID:
    id = await sent("a")
    await run(
        "INSERT INTO hub.bulk_rows (operation_id, row, org_id, key, state) SELECT $1, n, $2, 'key-' || n, 'created' "
        "FROM generate_series(1, 20000) AS n",
        id,
        ORG,
    )
    return id


async def test_rows_of_a_key_are_found_without_reading_the_operation(half_done: UUID) -> None:
    plan = await plan_of(store.LIST_KEYS, operation_id=half_done, keys=[f"key-{n}" for n in range(500)])

    assert "Filter" not in plan, plan
    assert plan.count("bulk_rows_keys") == 1, plan


async def test_rows_to_undo_are_found_without_reading_those_undone(half_done: UUID) -> None:
    plan = await plan_of(store.LIST_DONE, operation_id=half_done, limit=500)

    assert "Filter" not in plan, plan
    assert plan.count("Scan Backward using bulk_rows_states") == 2, plan


async def test_the_sweep_finds_what_is_not_over_without_reading_the_rest(work: Work) -> None:
    await run(_FINISHED, ORG)
    await run("ANALYZE hub.bulks, hub.operations")

    plan = await plan_of(store.LIST_ABANDONED, limit=100)

    assert "using bulks_unfinished" in plan, plan
    assert "Seq Scan on bulks" not in plan, plan
    await run("DELETE FROM hub.operations WHERE kind = 'probe.finished'")


_FINISHED = """
WITH made AS (
    INSERT INTO hub.operations (id, kind, state, org_id, created_at, finished_at)
    SELECT gen_random_uuid(), 'probe.finished', 'succeeded', $1, now(), now() FROM generate_series(1, 5000) RETURNING id
)
INSERT INTO hub.bulks (operation_id, job_kind, service, org_id, context, all_or_nothing, dry_run, items, phase, created_at)
SELECT id, 'probe.finished', 'enrollment', $1, '{}', false, false, '[]', 'over', now() FROM made
"""


@pytest.mark.parametrize("end", ["dead", "cancelled"])
async def test_the_sweep_fails_operations_whose_job_is_gone(work: Work, end: str) -> None:
    alive = await sent("a")
    await run("UPDATE hub.jobs SET due_at = now() + interval '1 hour'")
    gone = await sent("b")
    await run("UPDATE hub.jobs SET state = $1, finished_at = now() WHERE due_at <= now()", end)

    assert await bulk.sweep() == 1

    assert await outcome(gone) == ("failed", {}, "unavailable", False)
    assert (await operation(alive)).state == "queued"
    assert await bulk.sweep() == 0
