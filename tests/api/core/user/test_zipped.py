"""A ZIP as a stream: any unzip reads it, and nothing of it is kept."""

import io
import os
import tracemalloc
import zipfile
from collections.abc import AsyncGenerator
from datetime import UTC, datetime

from api.core.user.privacy_request.zipped import Entry, zipped

_MADE_AT = datetime(2026, 3, 2, 4, 6, 8, tzinfo=UTC)


async def _chunks(*chunks: bytes) -> AsyncGenerator[bytes]:
    for chunk in chunks:
        yield chunk


async def test_a_streamed_zip_holds_its_entries_in_order() -> None:
    async def entries() -> AsyncGenerator[Entry]:
        yield Entry("files/ü.bin", _chunks(b"\x00" * 1000, b"\x01"), compressed=False)
        yield Entry("empty.txt", _chunks())
        yield Entry("a.txt", _chunks(b"a" * 500_000, b"b"))

    content = b"".join([chunk async for chunk in zipped(entries(), _MADE_AT)])

    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        read = {name: archive.read(name) for name in archive.namelist()}
        times = {each.date_time for each in archive.infolist()}
        sizes = [each.compress_size for each in archive.infolist()]
    assert read == {"files/ü.bin": b"\x00" * 1000 + b"\x01", "empty.txt": b"", "a.txt": b"a" * 500_000 + b"b"}
    assert list(read) == ["files/ü.bin", "empty.txt", "a.txt"]
    assert times == {(2026, 3, 2, 4, 6, 8)}
    assert sizes[0] == 1001
    assert sizes[2] < 1000


async def test_a_streamed_zip_needs_the_same_memory_for_any_size() -> None:
    chunk = os.urandom(256 * 1024)

    async def entries(count: int) -> AsyncGenerator[Entry]:
        yield Entry("big.bin", _chunks(*[chunk] * count), compressed=False)

    async def peak_of(count: int) -> tuple[int, int]:
        size = 0
        tracemalloc.start()
        async for each in zipped(entries(count), _MADE_AT):
            size += len(each)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size, peak

    small, large = await peak_of(8), await peak_of(256)

    assert large[0] > 64 * 1024 * 1024
    assert large[1] < small[1] + 1024 * 1024 < 8 * 1024 * 1024
