"""Run a program that reads a stranger's file: limited, watched, and killed wholly.

Every child leads its own session. Whatever ends the wait (its exit, a timeout, a cancellation) ends the whole process
group before control returns.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_LAUNCH: Final = str(Path(__file__).with_name("launch.py"))
_KEPT_ERROR_BYTES: Final = 8_192
_MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildLimits:
    """Bound one child process."""

    wall_s: float
    cpu_s: int
    memory_mib: int = 4_096
    file_bytes: int = 1 << 30


@dataclass(frozen=True, slots=True)
class ChildExit:
    """Say how a child ended; `status` is negative for a signal, as in `subprocess`."""

    status: int
    timed_out: bool
    stdout: bytes
    stderr: str

    @property
    def out_of_cpu(self) -> bool:
        """Tell whether the limit on processor time ended it."""
        # ffmpeg handles the signal and leaves with a sentence about it.
        return self.status == -signal.SIGXCPU or f"received signal {signal.SIGXCPU.value}" in self.stderr

    @property
    def file_too_big(self) -> bool:
        """Tell whether the limit on the size of a written file ended it."""
        return self.status == -signal.SIGXFSZ


async def run_child(
    argv: Sequence[str],
    *,
    limits: ChildLimits,
    on_line: Callable[[str], None] | None = None,
    max_stdout_bytes: int = 64 * _MIB,
) -> ChildExit:
    """Run `argv` to its end and return how it ended; with `on_line`, standard output goes there line by line.

    Raises: OSError when the program cannot be started.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        _LAUNCH,
        str(os.getpid()),
        str(limits.cpu_s),
        str(limits.memory_mib * _MIB),
        str(limits.file_bytes),
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
        env={"PATH": os.defpath, "LANG": "C.UTF-8"},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    timed_out = False
    try:
        async with asyncio.timeout(limits.wall_s):
            stdout, stderr, _ = await asyncio.gather(
                _read_stdout(process.stdout, on_line, max_stdout_bytes), _read_tail(process.stderr), process.wait()
            )
    except TimeoutError:
        timed_out, stdout, stderr = True, b"", ""
    finally:
        await _end(process)
    assert process.returncode is not None
    return ChildExit(process.returncode, timed_out, stdout, stderr)


async def _end(process: asyncio.subprocess.Process) -> None:
    # The group may hold grandchildren although its leader has ended, so it is killed either way.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    await asyncio.shield(process.wait())


async def _read_stdout(stream: asyncio.StreamReader, on_line: Callable[[str], None] | None, limit: int) -> bytes:
    if on_line is None:
        kept = bytearray()
        while block := await stream.read(1 << 16):
            kept += block
            if len(kept) > limit:
                raise TimeoutError
        return bytes(kept)
    while line := await stream.readline():
        on_line(line.decode(errors="replace").strip())
    return b""


async def _read_tail(stream: asyncio.StreamReader) -> str:
    kept = b""
    while block := await stream.read(1 << 14):
        kept = (kept + block)[-_KEPT_ERROR_BYTES:]
    return kept.decode(errors="replace")
