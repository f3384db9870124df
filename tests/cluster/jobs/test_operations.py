"""Work that was answered with 202: its states, its progress, and who may end it."""

from uuid import UUID

import pytest

from cluster.base.ids import OrgId, UserId, new_id
from cluster.base.principal import PLATFORM
from cluster.base.problems import Invalid
from cluster.data import read, uses, write
from cluster.data.uses import Thing, ThingGone, ThingInUse
from cluster.jobs import operations
from cluster.jobs.operations import OperationFinished, OwnedOperation, Progress


@pytest.fixture
async def clean(process: None) -> None:
    async with write(PLATFORM) as tx:
        await tx.run("DELETE FROM hub.operations")


async def _find(id: UUID) -> OwnedOperation:
    async with read() as db:
        found = await operations.find_operation(db, id)
    assert found is not None
    return found


async def test_an_operation_goes_from_queued_to_succeeded(clean: None) -> None:
    owner, org = UserId(new_id()), OrgId(new_id())
    async with write(PLATFORM) as tx:
        id = await operations.start(tx, "course.rerun", owner_id=owner, org_id=org, total=3)
    queued = await _find(id)
    assert (queued.owner_id, queued.org_id, queued.cancel_requested) == (owner, org, False)
    assert (queued.operation.state, queued.operation.progress) == ("queued", Progress(0, 3))
    async with write(PLATFORM) as tx:
        assert not await operations.progress(tx, id, 2, counts={"created": 2})
        # A repeated job starts over; what was shown does not go back.
        assert not await operations.progress(tx, id, 1, counts={"failed": 1})
    running = (await _find(id)).operation
    assert (running.state, running.progress, running.counts) == ("running", Progress(2, 3), {"created": 2, "failed": 1})
    async with write(PLATFORM) as tx:
        assert await operations.succeed(tx, id, result_url="/v1/courses/1", undo_until=tx.now)
        finished_at = tx.now
    done = (await _find(id)).operation
    assert (done.state, done.progress, done.result_url) == ("succeeded", Progress(3, 3), "/v1/courses/1")
    assert done.finished_at == done.undo_until == finished_at


async def test_a_failure_says_what_went_wrong(clean: None) -> None:
    async with write(PLATFORM) as tx:
        id = await operations.start(tx, "bulk", owner_id=None)
        assert await operations.fail(tx, id, Invalid("row 7 has no e-mail", pointer="/items/7/email"))
    failed = (await _find(id)).operation
    assert failed.state == "failed"
    assert failed.problem is not None
    assert failed.problem["errors"][0]["pointer"] == "/items/7/email"


async def test_who_works_learns_of_a_cancellation(clean: None) -> None:
    async with write(PLATFORM) as tx:
        id = await operations.start(tx, "bulk", owner_id=None)
        await operations.request_cancel(tx, id)
        await operations.request_cancel(tx, id)
        assert await operations.progress(tx, id, 1)
        assert await operations.cancelled(tx, id, counts={"kept": 1})
    found = await _find(id)
    assert (found.operation.state, found.cancel_requested) == ("cancelled", True)


async def test_what_is_finished_stays_as_it_is(clean: None) -> None:
    async with write(PLATFORM) as tx:
        id = await operations.start(tx, "bulk", owner_id=None)
        await operations.succeed(tx, id)
    before = await _find(id)
    async with write(PLATFORM) as tx:
        assert not await operations.fail(tx, id, Invalid("late"))
        assert not await operations.cancelled(tx, id)
        assert await operations.progress(tx, id, 5)
        with pytest.raises(OperationFinished):
            await operations.request_cancel(tx, id)
    assert await _find(id) == before


async def test_an_unknown_operation_is_not_found(clean: None) -> None:
    async with read() as db:
        assert await operations.find_operation(db, new_id()) is None


async def test_finished_operations_are_kept_thirty_days(clean: None) -> None:
    async with write(PLATFORM) as tx:
        old = await operations.start(tx, "bulk", owner_id=None)
        fresh = await operations.start(tx, "bulk", owner_id=None)
        waiting = await operations.start(tx, "bulk", owner_id=None)
        for id in (old, fresh):
            await operations.succeed(tx, id)
        await tx.run("UPDATE hub.operations SET finished_at = now() - interval '31 days' WHERE id = $1", old)
        await tx.run("UPDATE hub.operations SET created_at = now() - interval '31 days' WHERE id = $1", waiting)
        assert await operations.purge(tx) == 1
    async with read() as db:
        assert await operations.find_operation(db, old) is None
    assert (await _find(fresh)).operation.state == "succeeded"
    assert (await _find(waiting)).operation.state == "queued"


async def test_an_operation_uses_its_result_until_it_is_purged(clean: None) -> None:
    org_id = OrgId(new_id())
    result = Thing(kind="asset", id=new_id(), org_id=org_id, course_id=None, state="ready", version=1)
    async with write(PLATFORM) as tx:
        await uses.declare(tx, result)
        id = await operations.start(tx, "course.export", owner_id=None, org_id=org_id)
        assert await operations.succeed(tx, id, result_asset=result.id)
    assert (await _find(id)).operation.result_url == f"/v1/assets/{result.id}"
    with pytest.raises(ThingInUse):
        async with write(PLATFORM) as tx:
            await uses.remove(tx, result.ref)

    async with write(PLATFORM) as tx:
        await tx.run("UPDATE hub.operations SET finished_at = now() - interval '31 days' WHERE id = $1", id)
        assert await operations.purge(tx) == 1

    async with write(PLATFORM) as tx:
        assert await uses.remove(tx, result.ref)


async def test_succeed_rejects_a_result_of_another_organization(clean: None) -> None:
    result = Thing(kind="asset", id=new_id(), org_id=OrgId(new_id()), course_id=None, state="ready", version=1)
    async with write(PLATFORM) as tx:
        await uses.declare(tx, result)
        id = await operations.start(tx, "course.export", owner_id=None, org_id=OrgId(new_id()))

    with pytest.raises(ThingGone):
        async with write(PLATFORM) as tx:
            await operations.succeed(tx, id, result_asset=result.id)

    assert (await _find(id)).operation.state == "queued"
