"""What the supervisor needs to know of a process that it keeps alive."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypedDict


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start a process. `uid` is another account to run as; only root may ask for one."""

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str]
    uid: int | None = None


class Server(Protocol):
    """A process with a data folder. All methods may be called again after a crash at any point."""

    @property
    def name(self) -> str: ...

    @property
    def places(self) -> tuple[Path, ...]:
        """Return the folders that hold its data; `./hub reset` deletes them."""
        ...

    @property
    def ports(self) -> tuple[str, ...]:
        """Return the names of the ports it listens on."""
        ...

    @property
    def stop_signal(self) -> signal.Signals: ...

    @property
    def stop_grace_s(self) -> float: ...

    @property
    def start_limit_s(self) -> float: ...

    async def prepare(self) -> None:
        """Make the data folder ready for a start."""
        ...

    def launch(self) -> Launch: ...

    async def ready(self) -> None:
        """Return once it serves; finish what its first start needs.

        Raises:
            Exception: it does not serve yet.
        """
        ...


class NotReady(Exception):
    """The process does not serve yet."""


def inherited_environment() -> dict[str, str]:
    """Return the few variables that a foreign program gets: nothing of ours, no user's settings."""
    return {name: value for name, value in os.environ.items() if name in {"PATH", "TZ", "TMPDIR"}} | {
        "LC_ALL": "C.UTF-8"
    }


async def run_once(launch: Launch) -> str:
    """Run a program to its end and return what it wrote.

    Raises:
        RuntimeError: it failed; the message holds its output.
    """
    process = await asyncio.create_subprocess_exec(
        *launch.argv,
        cwd=launch.cwd,
        env=dict(launch.env),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        **as_account(launch.uid),
    )
    try:
        output = (await process.communicate())[0].decode(errors="replace")
    except asyncio.CancelledError:
        process.kill()
        # A child of it may hold the pipe open, and then asyncio does not see the end.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(3):
                await process.wait()
        raise
    if process.returncode != 0:
        raise RuntimeError(f"{Path(launch.argv[0]).name} failed with {process.returncode}: {output.strip()}")
    return output


class Account(TypedDict, total=False):
    """Arguments of a subprocess that runs as somebody else."""

    user: int
    group: int
    extra_groups: list[int]


def as_account(uid: int | None) -> Account:
    """Return the arguments that make a subprocess run as another account, without root's groups."""
    return Account() if uid is None else Account(user=uid, group=uid, extra_groups=[])
