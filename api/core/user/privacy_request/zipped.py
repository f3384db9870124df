"""A ZIP as a stream: written entry by entry, with nothing kept but the list of its entries (APPNOTE 6.3, ZIP64)."""

import asyncio
import zipfile
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

_TAKE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of the archive; its content is read once, before the next entry is asked for."""

    path: str
    content: AsyncGenerator[bytes]
    compressed: bool = True


class _Sink:
    """Holds what the ZIP has written until it is taken. It has no `tell` and no `seek`, so the ZIP never goes back."""

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, data: bytes) -> int:
        self._written += data
        return len(data)

    def flush(self) -> None:
        """Do nothing: what is written is taken."""

    def __len__(self) -> int:
        return len(self._written)

    def take(self) -> bytes:
        taken, self._written = bytes(self._written), bytearray()
        return taken


async def zipped(entries: AsyncIterable[Entry], made_at: datetime) -> AsyncGenerator[bytes]:
    """Stream the ZIP of these entries."""
    sink = _Sink()
    archive = zipfile.ZipFile(cast(Any, sink), "w")
    async for entry in entries:
        info = zipfile.ZipInfo(entry.path, made_at.timetuple()[:6])
        info.compress_type = zipfile.ZIP_DEFLATED if entry.compressed else zipfile.ZIP_STORED
        with archive.open(info, "w", force_zip64=True) as opened:
            async with aclosing(entry.content) as content:
                async for chunk in content:
                    await asyncio.to_thread(opened.write, chunk)
                    if len(sink) >= _TAKE_BYTES:
                        yield sink.take()
        yield sink.take()
    archive.close()
    yield sink.take()
