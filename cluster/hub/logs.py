"""Show the log files of `./hub up`, once or as they grow."""

import sys
import time
from collections.abc import Iterable
from pathlib import Path

from cluster.hub.up import Failed

_TAIL_BYTES = 64 * 1024
_INTERVAL_S = 0.3


def show(folder: Path, name: str | None, *, lines: int, follow: bool) -> None:
    """Print the last lines of one log or of all, and then what is added.

    Raises:
        Failed: there is no such log.
    """
    logs = sorted(folder.glob("*.log"))
    if name is not None:
        names = [log.stem for log in logs]
        if name not in names:
            raise Failed(f"there is no log {name!r}; there are: {', '.join(names) or 'none yet'}")
        logs = [folder / f"{name}.log"]
    positions = {log: log.stat().st_size for log in logs}
    for log in logs:
        _write(log, _last_lines(log, lines), alone=len(logs) == 1)
    while follow:
        time.sleep(_INTERVAL_S)
        for log in sorted(folder.glob("*.log")) if name is None else logs:
            size = log.stat().st_size
            # It was emptied when it had grown too large.
            start = positions.get(log, 0) if size >= positions.get(log, 0) else 0
            if size > start:
                with log.open("rb") as file:
                    file.seek(start)
                    added = file.read(size - start)
                _write(log, added.decode(errors="replace").splitlines(), alone=name is not None)
            positions[log] = size


def _last_lines(log: Path, lines: int) -> list[str]:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        return file.read().decode(errors="replace").splitlines()[-lines:]


def _write(log: Path, lines: Iterable[str], *, alone: bool) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n" if alone else f"{log.stem:>10} | {line}\n")
    sys.stdout.flush()
