"""Checkpoints: what an insider does who can write the database, the bucket, or both, and is found."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import pytest

from api.platform.audit import checkpoints, logic, rules, store
from api.platform.audit.logic import ChainFault
from cluster.base.ids import new_id
from cluster.base.principal import PLATFORM
from cluster.base.settings import settings
from cluster.data import Connection, read
from tests.harness import Hub, School


@pytest.fixture
async def school(hub: Hub) -> School:
    made = await hub.school()
    await hub.settle()
    return made


@pytest.fixture
async def insider(school: School) -> AsyncIterator[Any]:
    """Somebody who may do anything to the database."""
    connection: Any = await asyncpg.connect(settings().postgres_url)
    await connection.execute("ALTER TABLE audit.entries DISABLE TRIGGER entries_append_only")
    yield connection
    await connection.execute("DELETE FROM audit.chains WHERE chain = $1", school.org_id)
    await connection.execute("DELETE FROM audit.entries WHERE chain = $1", school.org_id)
    await connection.execute("ALTER TABLE audit.entries ENABLE TRIGGER entries_append_only")
    await connection.close()


async def keys_of(chain: UUID) -> list[str]:
    """Return the checkpoints that hold an end of this chain."""
    bucket = checkpoints.checkpoints_bucket()
    return [each.key async for each in bucket.list() if str(chain).encode() in await bucket.read(each.key)]


async def faults_about(chain: UUID, *, noted: bool = True) -> list[ChainFault]:
    ends = (await checkpoints.read_checkpoints()).ends if noted else {}
    _, broken = await logic.verify(lambda _: None, ends)
    return [fault for fault in broken if fault.chain == chain]


async def rewrite(insider: Any, chain: UUID, drop_after: int | None = None) -> None:
    """Change the first entry and chain everything anew, to the end and with it."""
    if drop_after is not None:
        await insider.execute("DELETE FROM audit.entries WHERE chain = $1 AND seq > $2", chain, drop_after)
    else:
        await insider.execute(
            "UPDATE audit.entries SET action = 'nothing.happened' WHERE chain = $1 AND seq = 1", chain
        )
    async with read() as db:
        entries = await store.list_sealed(db, chain, 0, 1000)
    before = rules.GENESIS
    for entry in entries:
        before = rules.hash_of(entry, entry.seq, before)
        await insider.execute("UPDATE audit.entries SET hash = $2 WHERE id = $1", entry.id, before)
    await insider.execute("UPDATE audit.chains SET seq = $2, hash = $3 WHERE chain = $1", chain, len(entries), before)


@pytest.mark.parametrize("drop_after", [None, 1])
async def test_a_chain_that_was_written_anew_with_its_end_is_found(
    hub: Hub, school: School, insider: Any, drop_after: int | None
) -> None:
    await checkpoints.write_checkpoints(PLATFORM)
    assert await faults_about(school.org_id) == []
    await rewrite(insider, school.org_id, drop_after)
    assert await faults_about(school.org_id, noted=False) == [], "the chain itself tells nothing"
    (fault,) = await faults_about(school.org_id)
    assert "checkpoint" in fault.why


async def test_a_chain_that_is_gone_is_found(hub: Hub, school: School, insider: Any) -> None:
    await checkpoints.write_checkpoints(PLATFORM)
    await insider.execute("DELETE FROM audit.chains WHERE chain = $1", school.org_id)
    await insider.execute("DELETE FROM audit.entries WHERE chain = $1", school.org_id)
    assert await faults_about(school.org_id, noted=False) == []
    (fault,) = await faults_about(school.org_id)
    assert fault.seq == 1


async def test_a_chain_grows_beyond_its_checkpoint(hub: Hub, school: School) -> None:
    await checkpoints.write_checkpoints(PLATFORM)
    assert await checkpoints.write_checkpoints(PLATFORM) == 0, "nothing grew"
    await school.owner.post("/v1/invitations", {"organization_id": str(school.org_id)})
    await hub.settle()
    assert await faults_about(school.org_id) == []
    assert await checkpoints.write_checkpoints(PLATFORM) == 1
    assert await faults_about(school.org_id) == []
    assert len(await keys_of(school.org_id)) == 2


async def test_checkpoints_that_were_touched_are_found(hub: Hub, school: School) -> None:
    await checkpoints.write_checkpoints(PLATFORM)
    (key,) = await keys_of(school.org_id)
    bucket, path = checkpoints.checkpoints_bucket(), f"checkpoint {key} "
    body = await bucket.read(key)
    forged = orjson.loads(body)
    forged["checkpoint"] = forged["checkpoint"].replace('"seq":"', '"seq":"9')
    for change in (orjson.dumps(forged), b"{}", b"", orjson.dumps({**forged, "signature": "AAAA"})):
        await bucket.put(key, change)
        faults = [fault for fault in (await checkpoints.read_checkpoints()).faults if fault.startswith(path)]
        assert len(faults) == 2, "it is not what was written, and not signed"
    await bucket.delete([key])
    faults = [fault for fault in (await checkpoints.read_checkpoints()).faults if fault.startswith(path)]
    assert faults == [f"{path}is missing"]
    await bucket.put(key, body)
    assert [fault for fault in (await checkpoints.read_checkpoints()).faults if fault.startswith(path)] == []


async def test_a_checkpoint_under_another_name_says_nothing_false(hub: Hub, school: School) -> None:
    """A process that died before it recorded a checkpoint leaves one that nobody knows, and it is written again."""
    await checkpoints.write_checkpoints(PLATFORM)
    (key,) = await keys_of(school.org_id)
    bucket = checkpoints.checkpoints_bucket()
    twin = f"checkpoints/{new_id()}.json"
    await bucket.put(twin, await bucket.read(key))
    assert [fault for fault in (await checkpoints.read_checkpoints()).faults if twin in fault or key in fault] == []
    assert await faults_about(school.org_id) == []
    await bucket.delete([twin])


async def test_who_dies_between_bucket_and_record_notes_again(
    hub: Hub, school: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def die(*_: object) -> None:
        raise ConnectionError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(store, "insert_checkpoint", die)
        with pytest.raises(ConnectionError):
            await checkpoints.write_checkpoints(PLATFORM)
    assert await checkpoints.write_checkpoints(PLATFORM) == 1
    assert await faults_about(school.org_id) == []
    assert len(await keys_of(school.org_id)) == 2


async def test_the_command_says_what_differs_and_fails(hub: Hub, school: School, insider: Any) -> None:
    await checkpoints.write_checkpoints(PLATFORM)
    await rewrite(insider, school.org_id)
    command = await asyncio.create_subprocess_exec(
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "api.platform.audit.verify",
        stdout=PIPE,
        env={**os.environ, "COLUMNS": "300"},
    )
    told, _ = await command.communicate()
    assert command.returncode == 1, told
    (line,) = [line for line in told.decode().splitlines() if str(school.org_id) in line]
    assert "a checkpoint holds another hash" in line


async def test_ends_that_wait_for_a_checkpoint_are_found_by_an_index(hub: Hub) -> None:
    from cluster.data.postgres import pool

    async with pool().acquire() as raw, raw.transaction():
        await raw.execute("SET LOCAL enable_seqscan = off")
        plan = await Connection(raw).rows(
            "EXPLAIN SELECT chain, seq, hash FROM audit.chains WHERE seq > noted_seq ORDER BY chain LIMIT 5"
        )
    assert "chains_unnoted" in "\n".join(row[0] for row in plan)
