"""What the supervisor tells others about itself and its processes, in `run/state.json`."""

import json
import os
import signal
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import psutil

from cluster.servers.home import Home, write_whole

MARK = "HUB_SUPERVISOR"
"""The environment variable with the supervisor's id that all its processes inherit, grandchildren too."""

Phase = Literal["starting", "ready", "failed", "stopping", "stopped"]
Progress = Literal["waiting", "preparing", "starting", "ready", "down", "done", "stopped"]


@dataclass(slots=True)
class ProcessState:
    """One supervised process. With its start time a pid means one process, even after the system gave it to another."""

    pid: int = 0
    started_at: float = 0
    state: Progress = "waiting"
    restarts: int = 0
    ready_after_s: float = 0
    error: str = ""


@dataclass(slots=True)
class State:
    """The supervisor and its processes, as last written."""

    id: str = ""
    pid: int = 0
    started_at: float = 0
    servers_only: bool = False
    phase: Phase = "stopped"
    error: str = ""
    processes: dict[str, ProcessState] = field(default_factory=dict[str, ProcessState])

    def supervisor(self) -> psutil.Process | None:
        """Return the running supervisor."""
        return running(self.pid, self.started_at)

    def write(self, home: Home) -> None:
        home.run.mkdir(parents=True, exist_ok=True)
        write_whole(_path(home), json.dumps(asdict(self), indent=1))


def read(home: Home) -> State:
    """Return the state as last written, an empty one at first."""
    try:
        kept = cast("dict[str, Any]", json.loads(_path(home).read_text()))
    except FileNotFoundError:
        return State()
    processes = {name: ProcessState(**process) for name, process in kept.pop("processes").items()}
    return State(**kept, processes=processes)


def running(pid: int, started_at: float) -> psutil.Process | None:
    """Return the process with this pid that started then; None when it ended, or the pid means another by now."""
    if pid <= 0:
        return None
    try:
        process = psutil.Process(pid)
        # The clock's steps move start times a little.
        if abs(process.create_time() - started_at) > 2 or process.status() == psutil.STATUS_ZOMBIE:
            return None
    except psutil.Error:
        return None
    return process


def left_behind(state: State) -> list[psutil.Process]:
    """Return what a supervisor started and did not stop: its recorded processes and all that carry its mark."""
    recorded = [running(process.pid, process.started_at) for process in state.processes.values()]
    found = {process.pid: process for process in recorded if process}
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if state.id and process.pid not in (os.getpid(), state.pid) and process.environ().get(MARK) == state.id:
                found.setdefault(process.pid, process)
    return list(found.values())


def stop_left_behind(home: Home, *, grace_s: float = 15) -> int:
    """Stop what a killed supervisor left behind, politely first; return how many processes that were."""
    state = read(home)
    first = left_behind(state)
    for process in first:
        with suppress(psutil.Error):
            process.send_signal(signal.SIGINT if process.name() == "postgres" else signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while left := [process for process in left_behind(state) if process.is_running()]:
        if time.monotonic() > deadline:
            for process in left:
                with suppress(psutil.Error):
                    process.kill()
            deadline = time.monotonic() + 5
        time.sleep(0.1)
    return len(first)


def _path(home: Home) -> Path:
    return home.run / "state.json"
