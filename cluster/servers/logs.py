"""Log files of supervised processes: appended by the processes themselves, so that they outlive the supervisor."""

import asyncio
import os
import shutil
from pathlib import Path
from typing import BinaryIO

from cluster.servers.home import closed

_LARGEST_BYTES = 8 * 1024 * 1024
_INTERVAL_S = 20
_TAIL_BYTES = 4096


def open_log(folder: Path, name: str) -> BinaryIO:
    """Open the log of that name for appending; create it readable by its owner alone."""
    return os.fdopen(os.open(closed(folder) / f"{name}.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab")


async def rotate_logs(folder: Path) -> None:
    """Look after the size of all logs, forever."""
    while True:
        await asyncio.sleep(_INTERVAL_S)
        await asyncio.to_thread(rotate, folder, _LARGEST_BYTES)


def rotate(folder: Path, largest_bytes: int) -> None:
    """Copy every log that is too large to `.log.1` and empty it: its process goes on writing at the new end."""
    for log in folder.glob("*.log"):
        if log.stat().st_size > largest_bytes:
            kept = log.with_suffix(".log.1")
            kept.unlink(missing_ok=True)
            kept.touch(mode=0o600)
            shutil.copyfile(log, kept)
            os.truncate(log, 0)


def last_line(folder: Path, name: str) -> str:
    """Return the last thing that a process wrote: mostly why it ended."""
    with (folder / f"{name}.log").open("rb") as log:
        log.seek(-min(_TAIL_BYTES, log.seek(0, os.SEEK_END)), os.SEEK_END)
        lines = log.read().decode(errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else "it wrote nothing"
