"""How long `./hub up` takes once everything is installed, what memory it holds, and how idle the machine stays.

A home of its own, with servers that are as durable as any. Only the platform's processes are counted, so that other work on the
machine moves the time alone.
"""

import os
import time
from contextlib import suppress

import psutil
from rich.console import Console

from bench.figures import Figure, hand_over, progress, quick
from cluster.hub.up import fetch_jars, start, stop
from cluster.servers.home import Home, free_port
from cluster.servers.state import read
from cluster.servers.testing import own_home

_SETTLE_S, _WATCH_S = (1, 2) if quick() else (10, 20)
_GOAL_START_S = 40
_GOAL_MEMORY_MIB = 2560
_GOAL_IDLE = 0.85


def run() -> list[Figure]:
    """Start a platform with its demo school, watch it doing nothing, and stop it."""
    console = Console(stderr=True, highlight=False)
    with own_home() as disposable:
        home = Home(disposable.path)
        port = free_port()
        home.choose_lite(False)
        fetch_jars(home, console)
        begun = time.perf_counter()
        try:
            start(home, port=port, servers_only=False, console=console)
            took_s = time.perf_counter() - begun
            progress(f"up; {_SETTLE_S} s to settle, {_WATCH_S} s of doing nothing")
            time.sleep(_SETTLE_S)
            before = _cpu_s(home)
            time.sleep(_WATCH_S)
            after = _cpu_s(home)
            memory_mib = sum(_pss_bytes(process) for process in _processes(home)) / 2**20
        finally:
            stop(home)
    # A process that came meanwhile counts with all of its time, one that ended with none.
    used_s = sum(cpu_s - before.get(process, 0.0) for process, cpu_s in after.items())
    idle = 1 - used_s / (_WATCH_S * (os.cpu_count() or 1))
    return [
        Figure(name="up, once installed", value=took_s, unit="s", goal=_GOAL_START_S, better="less"),
        Figure(name="memory of everything (PSS)", value=memory_mib, unit="MiB", goal=_GOAL_MEMORY_MIB, better="less"),
        Figure(name="idle share of the processors", value=idle, unit="", goal=_GOAL_IDLE),
        Figure(name="processes", value=len(after), unit=""),
    ]


def _processes(home: Home) -> list[psutil.Process]:
    """Return the supervisor and everything below it."""
    supervisor = read(home).supervisor()
    if supervisor is None:
        raise RuntimeError("the platform does not run any more")
    return [supervisor, *supervisor.children(recursive=True)]


def _cpu_s(home: Home) -> dict[psutil.Process, float]:
    found: dict[psutil.Process, float] = {}
    for process in _processes(home):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            found[process] = times.user + times.system
    return found


def _pss_bytes(process: psutil.Process) -> int:
    """Return its memory; pages that processes share count once, divided among them."""
    try:
        return process.memory_full_info().pss
    except psutil.NoSuchProcess:
        return 0


if __name__ == "__main__":
    hand_over(run())
