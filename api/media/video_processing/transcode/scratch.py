"""Files of films on this machine: the upload, fetched once for all pieces, and the pieces that are encoded.

A film's folder is removed with its coordinator. The files that a crash leaves are removed by the film's next coordinator here,
or by age.
"""

import asyncio
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from cluster.base.settings import settings
from cluster.data.objects import Bucket

_BUFFER_BYTES = 8 << 20
_SPARE_BYTES = 512 << 20
"""Left free for everything else on the disk."""
_ABANDONED_S = 6 * 3600.0
"""Longer than any piece may take: each piece touches its film's folder when it begins."""
_LOCK_POLL_INTERVAL_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The object that pieces are encoded from."""

    bucket: str
    key: str
    size_bytes: int


class ScratchIsFull(OSError):
    """There is no room for the upload on this machine; there may be later, or elsewhere."""


def root() -> Path:
    """Return the folder of all films' files, made on first use and closed to other accounts."""
    path = Path(settings().scratch or tempfile.gettempdir()) / f"{settings().stack}-films"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def film_folder(name: str) -> Path:
    """Return a film's folder, made or touched, and remove folders that were not touched for hours."""
    for old in root().iterdir():
        if old.name != name and time.time() - old.stat().st_mtime > _ABANDONED_S:
            shutil.rmtree(old, ignore_errors=True)
    path = root() / name
    path.mkdir(mode=0o700, exist_ok=True)
    os.utime(path)
    return path


def remove(prefix: str) -> None:
    """Remove the folders whose names begin so."""
    for path in root().glob(f"{prefix}*"):
        shutil.rmtree(path, ignore_errors=True)


async def fetch(source: Source, folder: Path) -> Path:
    """Return the file of the source, fetched unless another piece has fetched it on this machine.

    Raises:
        ScratchIsFull
        ObjectMissing, Unavailable
    """
    path = folder / "source"
    if not path.exists():
        async with _alone(folder / "fetching"):
            if not path.exists():
                await _download(source, path)
    return path


async def _download(source: Source, path: Path) -> None:
    free = shutil.disk_usage(path.parent).free
    if free < source.size_bytes + _SPARE_BYTES:
        raise ScratchIsFull(f"{path.parent} has {free} bytes free, the upload needs {source.size_bytes}")
    part = path.with_suffix(".part")
    buffer = bytearray()
    size = 0
    with await asyncio.to_thread(part.open, "wb") as file:
        async with aclosing(Bucket(source.bucket).get(source.key)) as content:
            async for block in content:
                buffer += block
                if len(buffer) >= _BUFFER_BYTES:
                    size += await asyncio.to_thread(file.write, bytes(buffer))
                    buffer.clear()
        size += await asyncio.to_thread(file.write, bytes(buffer))
    if size != source.size_bytes:
        raise OSError(f"{source.key} has {size} bytes instead of {source.size_bytes}")
    part.rename(path)


@asynccontextmanager
async def _alone(lock: Path) -> AsyncGenerator[None]:
    """Hold a lock that ends with this process, also when it is killed."""
    with lock.open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(_LOCK_POLL_INTERVAL_S)
        yield
