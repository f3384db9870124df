"""Uploads under everything that breaks them: cuts, kills, takeovers, races. What was acknowledged is there, byte for byte."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.media.media import logic as assets
from api.media.media.contract import (
    AssetId,
    ChecksumMismatch,
    UploadGone,
    UploadOffsetMismatch,
    UploadTakenOver,
    UploadTooLarge,
)
from api.media.media.upload import logic, parts
from api.media.media.upload.headers import Checksum
from api.media.media.upload.parts import PartWriter
from cluster.data.objects import bucket
from cluster.data.postgres import pool

from .conftest import Teacher, film, new_teacher, settle, stream

KIB = 1024
PART = 64 * KIB


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let small files have many parts."""
    monkeypatch.setattr(parts, "PART_BYTES", PART)


async def content_of(teacher: Teacher, asset_id: AssetId) -> bytes:
    _, _, content = await assets.open_content(teacher.principal, asset_id, None)
    return b"".join([chunk async for chunk in content])


async def objects_of(asset_id: AssetId) -> list[str]:
    return [stored.key async for stored in bucket("media").list(f"{asset_id}/")]


async def test_a_file_arrives_whole_and_its_parts_are_tidied_up(teacher: Teacher) -> None:
    content = film(5 * PART + 123)
    asset_id = await teacher.begin(len(content))
    after = await teacher.send(asset_id, content)
    assert (after.offset_bytes, after.asset.state) == (len(content), "checking")
    await settle()
    asset = await assets.get_asset(teacher.principal, asset_id)
    assert asset.object_key is not None
    assert (asset.state, asset.content_type, asset.sha256) == (
        "ready",
        "video/mp4",
        hashlib.sha256(content).hexdigest(),
    )
    assert await content_of(teacher, asset_id) == content
    assert await objects_of(asset_id) == [asset.object_key]


ACTIONS = st.tuples(
    st.sampled_from(["whole", "cut", "killed", "overtaken", "checked", "corrupted"]),
    st.integers(min_value=0, max_value=4 * PART),
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plan=st.lists(ACTIONS, max_size=12), size=st.integers(min_value=64, max_value=6 * PART))
async def test_any_history_of_requests_gives_the_same_file(plan: list[tuple[str, int]], size: int) -> None:
    teacher = await new_teacher()
    content = film(size)
    asset_id = await teacher.begin(size)
    for action, length in plan:
        offset = await teacher.offset(asset_id)
        if offset == size:
            break
        chunk = content[offset : offset + length]
        match action:
            case "whole":
                assert (await teacher.send(asset_id, chunk, offset)).offset_bytes == offset + len(chunk)
            case "checked":
                checksum = Checksum("sha1", hashlib.sha1(chunk, usedforsecurity=False).digest())
                assert (await teacher.send(asset_id, chunk, offset, checksum=checksum)).offset_bytes == offset + len(
                    chunk
                )
            case "corrupted":
                with pytest.raises(ChecksumMismatch):
                    await teacher.send(asset_id, chunk, offset, checksum=Checksum("md5", b"\0" * 16))
                assert await teacher.offset(asset_id) == offset
            case "cut":
                with pytest.raises(logic.Interrupted):
                    await logic.receive(
                        *(teacher.principal, asset_id),
                        offset=offset,
                        body=stream(chunk, 5000, broken=True),
                        declared_bytes=None,
                    )
                assert await teacher.offset(asset_id) == offset + len(chunk)
            case "killed":
                writer = await opened(teacher, asset_id, offset, size)
                await writer.add(chunk)
                # A killed process finishes nothing: what is on its way may or may not arrive.
                await writer.abandon()
                assert offset <= await teacher.offset(asset_id) <= offset + len(chunk)
            case _:
                old = await opened(teacher, asset_id, offset, size)
                await teacher.send(asset_id, chunk[:100], offset)
                try:
                    await old.add(b"\xff" * min(length, size - offset))
                    await old.finish()
                except UploadTakenOver:
                    pass
                assert await teacher.offset(asset_id) == offset + len(chunk[:100])
                await old.abandon()
    offset = await teacher.offset(asset_id)
    if offset < size:
        await teacher.send(asset_id, content[offset:], offset)
    await settle()
    assert (await assets.get_asset(teacher.principal, asset_id)).sha256 == hashlib.sha256(content).hexdigest()
    assert await content_of(teacher, asset_id) == content


async def opened(teacher: Teacher, asset_id: AssetId, offset: int, size: int) -> PartWriter:
    """What a replica holds in the middle of a request."""
    return await logic._open(  # pyright: ignore[reportPrivateUsage]
        teacher.principal, asset_id, offset=offset, size=size, atomic=False
    )


async def test_an_earlier_request_on_a_dead_connection_is_overtaken_at_once(teacher: Teacher) -> None:
    content = film(4 * PART)
    asset_id = await teacher.begin(len(content))
    arrived, release = asyncio.Event(), asyncio.Event()

    async def dead_connection() -> AsyncIterator[bytes]:
        yield content[: PART // 2]
        arrived.set()
        await release.wait()
        yield b"\xff" * PART

    dead = asyncio.create_task(
        logic.receive(teacher.principal, asset_id, offset=0, body=dead_connection(), declared_bytes=None)
    )
    await arrived.wait()
    assert (await teacher.send(asset_id, content[:PART])).offset_bytes == PART
    release.set()
    with pytest.raises(UploadTakenOver):
        await dead
    await teacher.send(asset_id, content[PART:], PART)
    await settle()
    assert await content_of(teacher, asset_id) == content


async def test_of_two_replicas_at_once_every_offset_has_one_winner(teacher: Teacher) -> None:
    content = film(12 * PART)
    asset_id = await teacher.begin(len(content))

    async def replica(step: int) -> None:
        while (offset := await teacher.offset(asset_id)) < len(content):
            try:
                await teacher.send(asset_id, content[offset : offset + step], offset)
            except (UploadTakenOver, UploadOffsetMismatch):
                await asyncio.sleep(0)

    await asyncio.gather(replica(PART), replica(PART + 777), replica(PART // 3))
    await settle()
    assert await content_of(teacher, asset_id) == content


async def test_a_wrong_offset_says_where_the_upload_stands(teacher: Teacher) -> None:
    asset_id = await teacher.begin(100)
    await teacher.send(asset_id, film(60))
    with pytest.raises(UploadOffsetMismatch) as refused:
        await teacher.send(asset_id, b"x", 59)
    assert refused.value.headers["Upload-Offset"] == "60"


@pytest.mark.parametrize("declared", [True, False])
async def test_bytes_beyond_the_length_are_refused(teacher: Teacher, declared: bool) -> None:
    asset_id = await teacher.begin(PART)
    with pytest.raises(UploadTooLarge):
        await logic.receive(
            *(teacher.principal, asset_id),
            offset=0,
            body=stream(bytes(PART + 1)),
            declared_bytes=PART + 1 if declared else None,
        )
    assert await teacher.offset(asset_id) == 0


async def test_a_checksum_covers_all_parts_of_a_request_or_none(teacher: Teacher) -> None:
    content = film(3 * PART + 5)
    asset_id = await teacher.begin(len(content))
    wrong = Checksum("sha256", hashlib.sha256(b"something else").digest())
    with pytest.raises(ChecksumMismatch):
        await teacher.send(asset_id, content, checksum=wrong)
    assert await teacher.offset(asset_id) == 0
    assert await objects_of(asset_id) == []
    with pytest.raises(logic.Interrupted):
        await logic.receive(
            *(teacher.principal, asset_id),
            offset=0,
            body=stream(content[: 2 * PART], broken=True),
            declared_bytes=None,
            checksum=wrong,
        )
    assert await teacher.offset(asset_id) == 0
    right = Checksum("sha256", hashlib.sha256(content).digest())
    assert (await teacher.send(asset_id, content, checksum=right)).offset_bytes == len(content)


async def test_an_expired_upload_is_gone_and_its_room_free(teacher: Teacher) -> None:
    asset_id = await teacher.begin(PART * 2)
    await teacher.send(asset_id, film(PART))
    await pool().execute("UPDATE media.uploads SET expires_at = now() - interval '1 s' WHERE asset_id = $1", asset_id)
    for attempt in (teacher.offset(asset_id), teacher.send(asset_id, b"x", PART)):
        with pytest.raises(UploadGone):
            await attempt
    await expire_all()
    with pytest.raises(UploadGone):
        await teacher.offset(asset_id)
    assert await used_bytes(teacher) == 0
    await settle()
    assert await objects_of(asset_id) == []


async def test_progress_puts_the_expiry_off(teacher: Teacher) -> None:
    asset_id = await teacher.begin(PART * 2)
    await pool().execute("UPDATE media.uploads SET expires_at = now() + interval '1 min' WHERE asset_id = $1", asset_id)
    before = await logic.progress(teacher.principal, asset_id)
    after = await teacher.send(asset_id, b"x")
    assert before.expires_at is not None
    assert after.expires_at is not None
    assert (after.expires_at - before.expires_at).total_seconds() > 3600


async def test_termination_ends_a_request_that_is_still_writing(teacher: Teacher) -> None:
    asset_id = await teacher.begin(4 * PART)
    writer = await opened(teacher, asset_id, 0, 4 * PART)
    await writer.add(film(PART))
    await logic.end(teacher.principal, asset_id)
    await writer.add(bytes(10))
    with pytest.raises(UploadTakenOver):
        await writer.finish()
    await writer.abandon()
    with pytest.raises(UploadGone):
        await teacher.offset(asset_id)
    assert await used_bytes(teacher) == 0
    await settle()
    assert await objects_of(asset_id) == []


async def test_racing_terminations_and_completions_leave_one_truth(teacher: Teacher) -> None:
    for _ in range(5):
        content = film(2 * PART)
        asset_id = await teacher.begin(len(content))
        await asyncio.gather(
            teacher.send(asset_id, content), logic.end(teacher.principal, asset_id), return_exceptions=True
        )
        await settle()
        with pytest.raises(UploadGone):
            await teacher.offset(asset_id)
        assert await objects_of(asset_id) == []
    assert await used_bytes(teacher) == 0


async def test_tiny_requests_do_not_pile_up_objects(teacher: Teacher) -> None:
    content = film(20)
    asset_id = await teacher.begin(PART)
    for offset in range(20):
        await teacher.send(asset_id, content[offset : offset + 1], offset)
    assert len(await objects_of(asset_id)) == 1


async def expire_all() -> None:
    while await assets.expire(datetime.now(UTC), 100):
        pass


async def used_bytes(teacher: Teacher) -> int:
    return await pool().fetchval("SELECT used_bytes FROM media.quotas WHERE holder_id = $1", teacher.org_id)
