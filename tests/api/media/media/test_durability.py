"""What `Upload-Offset` promised and what a use keeps, at the moments between two truths."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from contextvars import copy_context
from uuid import UUID

import pytest

from api.media.media import logic as assets
from api.media.media import store
from api.media.media.contract import asset_ref
from api.media.media.upload import parts
from api.media.media.upload.headers import Checksum
from cluster.base.ids import new_id
from cluster.base.principal import PLATFORM, Principal
from cluster.data import Transaction, read, uses, write
from cluster.data.postgres import pool
from cluster.data.uses import Ref, ThingInUse
from tests.cluster.data.proxy import Proxy, between

from .conftest import Teacher, film, settle
from .test_assets import ready
from .test_engine import PART, content_of


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let small files have many parts."""
    monkeypatch.setattr(parts, "PART_BYTES", PART)


@pytest.fixture
async def proxy(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Proxy]:
    async with between(monkeypatch) as found:
        yield found


async def test_a_replica_that_is_stopped_between_two_parts_leaves_no_hole(teacher: Teacher, proxy: Proxy) -> None:
    content = film(4 * PART)
    asset_id = await teacher.begin(len(content))
    await teacher.offset(asset_id)
    proxy.flows.clear()
    request = asyncio.create_task(teacher.send(asset_id, content))
    async with asyncio.timeout(20):
        while not (flights := [task for task in asyncio.all_tasks() if task.get_name().startswith("part of")]):  # noqa: ASYNC110
            await asyncio.sleep(0)
        # The next part fills while this one travels.
        await asyncio.sleep(0.1)
    for task in (request, *flights):
        task.cancel()
    proxy.flows.set()
    await asyncio.gather(request, return_exceptions=True)
    offset = await teacher.offset(asset_id)
    stored = await pool().fetchval("SELECT coalesce(sum(size_bytes), 0) FROM media.parts WHERE asset_id = $1", asset_id)
    assert stored == offset
    await teacher.send(asset_id, content[offset:], offset)
    await settle()
    assert await content_of(teacher, asset_id) == content


async def test_parts_whose_commit_is_in_doubt_are_kept(teacher: Teacher, monkeypatch: pytest.MonkeyPatch) -> None:
    content = film(2 * PART + 5)
    asset_id = await teacher.begin(len(content))

    @asynccontextmanager
    async def answer_lost(principal: Principal) -> AsyncGenerator[Transaction]:
        async with write(principal) as tx:
            yield tx
        raise ConnectionResetError("the answer to COMMIT did not arrive")

    with monkeypatch.context() as patched:
        patched.setattr(parts, "write", answer_lost)
        with pytest.raises(ConnectionResetError):
            await teacher.send(asset_id, content, checksum=Checksum("sha256", hashlib.sha256(content).digest()))
    assert await teacher.offset(asset_id) == len(content)
    await settle()
    assert await content_of(teacher, asset_id) == content


async def test_a_file_that_is_being_used_is_not_deleted(teacher: Teacher) -> None:
    asset_id = await ready(teacher)
    outside = copy_context()
    async with write(PLATFORM) as tx:
        by = Ref("document", new_id())
        await uses.use(tx, by=by, org_id=teacher.org_id, things={asset_ref(asset_id)})
        deleting = asyncio.create_task(assets.delete_asset(teacher.principal, asset_id), context=outside)
        async with asyncio.timeout(20):
            while not await _waiting_for_a_lock():
                assert not deleting.done()
                await asyncio.sleep(0.01)
    with pytest.raises(ThingInUse):
        await deleting
    assert (await assets.get_asset(teacher.principal, asset_id)).in_use
    async with write(PLATFORM) as tx:
        await uses.use(tx, by=by, org_id=None, things=())
    await assets.delete_asset(teacher.principal, asset_id)


async def _waiting_for_a_lock() -> bool:
    async with pool().acquire() as raw:
        return await raw.fetchval(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')"
        )


async def test_a_raised_quota_is_raised_for_large_files_too(teacher: Teacher) -> None:
    holder_id: UUID = new_id()

    async with write(PLATFORM) as tx:
        taken = [
            await store.upsert_used_bytes(tx, holder_id, *each)
            for each in ((10, 100), (500, 1000), (491, 1000), (490, 1000), (1, 100))
        ]

    assert taken == [True, True, False, True, False]
    async with read() as db:
        assert await store.find_used_bytes(db, holder_id) == 1000
