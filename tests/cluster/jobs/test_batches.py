"""Purges in lots."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from cluster import jobs
from cluster.jobs import JobRun, LeaseLost, enqueue, in_batches
from cluster.jobs import run as job_runs
from cluster.jobs.lanes import Slots
from cluster.jobs.run import Taken
from tests.kernel import committed, registries_kept, rows, run

pytestmark = pytest.mark.usefixtures("kernel", "empty", "registry")


@dataclass(frozen=True, slots=True, kw_only=True)
class Purge:
    pass


@pytest.fixture
def registry() -> Iterator[None]:
    with registries_kept():
        jobs.job("probe.purge", timeout_s=60, service="speaker")(Purge)
        yield


async def taken() -> Taken:
    async with committed() as tx:
        enqueue(tx, Purge())
    [found] = await job_runs.take({"probe.purge": 1}, Slots(shared=1))
    return found


async def _delete(limit: int) -> int:
    return await run(
        "DELETE FROM probe.effects WHERE position IN (SELECT position FROM probe.effects ORDER BY position LIMIT $1)",
        limit,
    )


@pytest.mark.parametrize(("count", "lots"), [(0, [0]), (9, [5, 4]), (10, [5, 5, 0]), (11, [5, 5, 1])])
async def test_in_batches_deletes_until_a_lot_is_not_full(count: int, lots: list[int]) -> None:
    await run("INSERT INTO probe.effects (n) SELECT n FROM generate_series(1, $1::int) AS n", count)
    deleted: list[int] = []

    async def delete(limit: int) -> int:
        deleted.append(await _delete(limit))
        return deleted[-1]

    async def purge(job_run: JobRun, args: Purge) -> None:
        assert await in_batches(job_run, delete, limit=5) == count

    jobs.perform(Purge)(purge)
    await job_runs.run(await taken())

    assert deleted == lots
    assert await rows("SELECT state FROM hub.jobs") == [("succeeded",)]


async def test_in_batches_stops_when_the_lease_is_lost() -> None:
    await run("INSERT INTO probe.effects (n) SELECT n FROM generate_series(1, 20) AS n")
    job_run = job_runs.job_run(await taken(), jobs.job_type("probe.purge"))
    await run("UPDATE hub.jobs SET lease = gen_random_uuid()")

    with pytest.raises(LeaseLost):
        await in_batches(job_run, _delete, limit=5)

    assert await rows("SELECT count(*) FROM probe.effects") == [(15,)]
