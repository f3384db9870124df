"""`cluster.data.objects` against the S3 of the test run, and against an S3 that dies, stalls or is not there."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from cluster.base import settings
from cluster.base.ids import new_id
from cluster.base.principal import PLATFORM
from cluster.base.problems import Unavailable
from cluster.data import objects, s3, write
from tests.harness import Hub

from .proxy import Proxy, between

MIB = 1024 * 1024


@pytest.fixture
async def proxy(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Proxy]:
    async with between(monkeypatch) as found:
        yield found


@pytest.fixture
def bucket() -> objects.Bucket:
    return objects.bucket("objects")


def fresh_key() -> str:
    return f"things/{new_id()}"


async def pieces(content: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def test_first_write_makes_the_bucket() -> None:
    fresh = objects.bucket(f"fresh-{new_id().hex[:12]}")
    await fresh.put("a", b"one")
    assert await fresh.read("a") == b"one"
    streamed = objects.bucket(f"fresh-{new_id().hex[:12]}")
    assert await streamed.write_stream("a", pieces(b"two", 1)) == 3
    assert await streamed.read("a") == b"two"


async def test_ranges_heads_and_lists(bucket: objects.Bucket) -> None:
    key, content = fresh_key(), os.urandom(3 * MIB + 7)
    await bucket.put(key, content)
    assert await bucket.read(key, 5, 11) == content[5:11]
    assert await bucket.read(key, 3 * MIB) == content[3 * MIB :]
    assert await bucket.read(key, 7, 7) == b""
    assert await bucket.read(key, len(content) + 1) == b""
    found = await bucket.head(key)
    assert found is not None
    assert found.size_bytes == len(content)
    assert [stored.key async for stored in bucket.list(key)] == [key]
    await bucket.delete([key, fresh_key()])
    assert await bucket.head(key) is None
    with pytest.raises(objects.ObjectMissing):
        await bucket.read(key)
    assert [stored.key async for stored in bucket.list(key)] == []


@pytest.mark.parametrize("size", [0, 1, objects.PART_BYTES, 2 * objects.PART_BYTES + 5])
async def test_a_stream_becomes_one_object(bucket: objects.Bucket, size: int) -> None:
    key, content = fresh_key(), os.urandom(size)
    assert await bucket.write_stream(key, pieces(content, 3 * MIB + 1)) == size
    assert hashlib.sha256(await bucket.read(key)).digest() == hashlib.sha256(content).digest()


async def test_a_stream_that_fails_leaves_nothing(bucket: objects.Bucket) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * (objects.PART_BYTES + 1)
        raise ValueError("the source broke")

    key = fresh_key()
    with pytest.raises(ValueError, match="the source broke"):
        await bucket.write_stream(key, broken())
    assert await bucket.head(key) is None
    assert await bucket.abort_stale_multiparts(datetime.now(UTC) + timedelta(hours=1)) == 0


async def test_a_signed_url_reads_ranges(bucket: objects.Bucket) -> None:
    key = fresh_key()
    await bucket.put(key, b"0123456789")
    async with (
        aiohttp.ClientSession() as http,
        http.get(await bucket.url(key), headers={"Range": "bytes=2-4"}) as response,
    ):
        assert response.headers["Content-Range"] == "bytes 2-4/10"
        assert await response.read() == b"234"


async def test_refused_inside_a_write_transaction(bucket: objects.Bucket, hub: Hub) -> None:
    async with write(PLATFORM):
        for attempt in (bucket.put("a", b""), bucket.read("a"), bucket.head("a"), bucket.delete(["a"])):
            with pytest.raises(RuntimeError, match="transfer first"):
                await attempt


async def test_a_broken_read_goes_on_where_it_broke(bucket: objects.Bucket, proxy: Proxy) -> None:
    key, content = fresh_key(), os.urandom(4 * MIB)
    await bucket.put(key, content)
    before = proxy.connections
    proxy.break_after = proxy.answered + 2 * MIB
    assert await bucket.read(key, 10) == content[10:]
    assert proxy.break_after is None
    assert proxy.connections > before


async def test_a_reader_that_waits_stops_the_transfer(bucket: objects.Bucket, proxy: Proxy) -> None:
    key = fresh_key()
    await bucket.write_stream(key, pieces(bytes(64 * MIB), 8 * MIB))
    before = proxy.answered
    async with aclosing(bucket.get(key)) as chunks:
        await anext(chunks)
        unchanged, last = 0, -1
        while unchanged < 10:
            await asyncio.sleep(0.02)
            unchanged, last = (unchanged + 1, last) if proxy.answered == last else (0, proxy.answered)
        assert proxy.answered - before < 32 * MIB


async def test_s3_away_is_unavailable(bucket: objects.Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    await objects.close()
    nowhere = replace(settings.settings(), s3_endpoint="http://127.0.0.1:9")
    with monkeypatch.context() as patched:
        patched.setattr(s3, "settings", lambda: nowhere)
        for attempt in (
            bucket.put("a", b"x"),
            bucket.read("a"),
            bucket.head("a"),
            bucket.delete(["a"]),
            bucket.write_stream("a", pieces(b"x", 1)),
        ):
            with pytest.raises(Unavailable):
                await attempt
        await objects.close()
    key = fresh_key()
    await bucket.put(key, b"back")
    assert await bucket.read(key) == b"back"


async def test_an_s3_that_does_not_answer_holds_up_nothing_else(bucket: objects.Bucket, proxy: Proxy) -> None:
    await bucket.put("a", b"x")
    proxy.flows.clear()
    asking = [asyncio.create_task(bucket.head("a")) for _ in range(64)]
    await asyncio.sleep(0.2)
    # Names are resolved, files read and texts rendered in the loop's own threads.
    async with asyncio.timeout(15):
        assert await asyncio.to_thread(str, 1) == "1"
    proxy.flows.set()
    assert all(await asyncio.gather(*asking))


async def test_whatever_killed_streams_left_is_freed_page_by_page(
    bucket: objects.Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = objects.bucket(f"stale-{new_id().hex[:12]}")
    await fresh.ensure()
    client = await s3.client()
    for number in range(5):
        client.create_multipart_upload(Bucket=fresh.name, Key=f"film-{number}")
    monkeypatch.setattr(objects, "_PAGE", 2)
    assert await fresh.abort_stale_multiparts(datetime.now(UTC) - timedelta(hours=1)) == 0
    assert await fresh.abort_stale_multiparts(datetime.now(UTC) + timedelta(hours=1)) == 5
    assert await fresh.abort_stale_multiparts(datetime.now(UTC) + timedelta(hours=1)) == 0


async def test_readers_that_stopped_reading_keep_no_one_else_waiting(bucket: objects.Bucket) -> None:
    key, small = fresh_key(), fresh_key()
    await bucket.put(key, bytes(8 * MIB))
    await bucket.put(small, b"next")
    async with asyncio.timeout(30), AsyncExitStack() as stopped:
        for _ in range(80):
            await anext(await stopped.enter_async_context(aclosing(bucket.get(key))))
        assert await bucket.read(small) == b"next"
