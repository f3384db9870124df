"""What the supervisor tells others about itself and its processes, in `run/state.json`."""

import json
import os
import signal
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import psutil

from cluster.servers.home import Home, closed, write_whole

MARK = "HUB_SUPERVISOR"
"""The environment variable by which a supervisor knows its processes, grandchildren too."""

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
    """Of this run of the supervisor: random."""
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
        closed(home.run)
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
        if abs(process.create_time() - started_at) > 2 or not alive(process):
            return None
    except psutil.Error:
        return None
    return process


def alive(process: psutil.Process) -> bool:
    """Tell whether a process has not ended, whoever still has to take note of its end."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def belonging(state: State, name: str) -> list[psutil.Process]:
    """Return what is alive of a supervised process: itself, and all that it and its children started."""
    return _belonging(state, {name: state.processes[name]})


def left_behind(state: State) -> list[psutil.Process]:
    """Return all that a supervisor started and that is alive."""
    return _belonging(state, state.processes)


def stop_left_behind(home: Home, *, grace_s: float = 15) -> int:
    """Stop what a killed supervisor left behind, politely first; return how many processes that were."""
    state = read(home)
    first = left_behind(state)
    # Who started others stops them in its own order.
    for process in _recorded(state.processes) or first:
        with suppress(psutil.Error):
            process.send_signal(signal.SIGINT if process.name() == "postgres" else signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while left := left_behind(state):
        if time.monotonic() > deadline:
            kill(left)
        time.sleep(0.1)
    return len(first)


def kill(processes: Iterable[psutil.Process]) -> None:
    """Kill processes; those that end meanwhile are none's loss."""
    for process in processes:
        with suppress(psutil.Error):
            process.kill()


def mark(state: State, name: str) -> str:
    """Return the value of `MARK` for one supervised process."""
    return f"{state.id}:{name}"


def _belonging(state: State, processes: Mapping[str, ProcessState]) -> list[psutil.Process]:
    """Find processes as recorded, their children, and who outlived its parent by its mark or its session.

    Programs that set their title (PostgreSQL, Ray's workers) may write it over their environment, and the mark with
    it. Then the session tells, which the system gives to nobody else as long as one process is in it.
    """
    if not state.id:
        return []
    marks = {mark(state, name) for name in processes}
    sessions = {process.pid for process in processes.values() if _may_hold_session(process)}
    found = _recorded(processes)
    for root in tuple(found):
        with suppress(psutil.Error):
            found += [child for child in root.children(recursive=True) if alive(child)]
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process in found or not alive(process):
                continue
            environment = process.environ()
            overwritten = "PATH" not in environment
            if environment.get(MARK) in marks or (overwritten and os.getsid(process.pid) in sessions):
                found.append(process)
    return found


def _recorded(processes: Mapping[str, ProcessState]) -> list[psutil.Process]:
    return [root for process in processes.values() if (root := running(process.pid, process.started_at))]


def _may_hold_session(process: ProcessState) -> bool:
    """Tell whether the session is still that of this process: its pid is its own, or nobody's."""
    return process.pid > 0 and (
        running(process.pid, process.started_at) is not None or not psutil.pid_exists(process.pid)
    )


def _path(home: Home) -> Path:
    return home.run / "state.json"
