"""Look for processes that may end at any moment."""

from collections.abc import Callable, Iterable

import psutil


def those(processes: Iterable[psutil.Process], fits: Callable[[psutil.Process], bool]) -> list[psutil.Process]:
    """Return the processes that fit; one that has ended does not."""
    found: list[psutil.Process] = []
    for process in processes:
        try:
            if process.status() != psutil.STATUS_ZOMBIE and fits(process):
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def encoders() -> list[psutil.Process]:
    """Return the encoders that this process started, by any number of steps."""
    return those(psutil.Process().children(recursive=True), lambda each: "ffmpeg" in each.name())
