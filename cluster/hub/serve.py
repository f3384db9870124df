"""Run a command, and run it again whenever the code changes."""

import difflib
import signal
import subprocess
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import FrameType

from watchfiles import PythonFilter, watch

from cluster.base.services import Service, table
from cluster.base.settings import REPOSITORY
from cluster.hub.up import Failed

SOURCES = tuple(REPOSITORY / name for name in ("deployments", "actors", "api", "ml", "cluster"))
_DRAIN_S = 25


def service_named(name: str) -> Service:
    """Return a service of the table.

    Raises:
        Failed: there is none; the message names the nearest.
    """
    known = table()
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, 1)
    raise Failed(
        f"no service is called {name}. "
        + (f"Did you mean {near[0]}?" if near else f"There are {', '.join(sorted(known))}; ./hub new makes one.")
    )


def rerun(argv: Sequence[str], folders: Iterable[Path]) -> None:
    """Run `argv` until a signal comes, and anew after each change to Python or SQL in `folders`.

    When it ends by itself, a syntax error perhaps, the next change starts it again.
    """
    stopped = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopped.set()

    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, stop)
    process = subprocess.Popen(argv, cwd=REPOSITORY)
    try:
        for changes in watch(*folders, watch_filter=PythonFilter(extra_extensions=(".sql",)), stop_event=stopped):
            print(f"{min(Path(path).name for _, path in changes)} changed: starting again", flush=True)
            _end(process)
            process = subprocess.Popen(argv, cwd=REPOSITORY)
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_DRAIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
