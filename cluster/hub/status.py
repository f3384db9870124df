"""Show what runs."""

import time
from contextlib import suppress

import psutil
from rich.console import Console
from rich.table import Table

from cluster.servers import Home, embedded_servers, environment
from cluster.servers.state import ProcessState, left_behind, read, running

_COLOURS = {"ready": "green", "done": "green", "down": "red"}


def show(home: Home, console: Console) -> bool:
    """Print the state of every process; return whether all is well."""
    state = read(home)
    alive = state.supervisor() is not None
    if not alive and not left_behind(state):
        console.print(f"Not running{f': {state.error}' if state.error else ''}. Start it: ./hub up")
        return False
    ports = {server.name: home.port(server.ports[0]) for server in embedded_servers(home)} | {
        "serve": home.port("http")
    }
    table = Table("process", "state", "port", "pid", "memory", "up for", "restarts", box=None, pad_edge=False)
    for name, process in state.processes.items():
        colour = _COLOURS.get(process.state, "yellow")
        age, memory = _measure(process)
        pid = str(process.pid) if memory else ""
        restarts = str(process.restarts or "")
        table.add_row(name, f"[{colour}]{process.state}[/]", str(ports.get(name, "")), pid, memory, age, restarts)
    console.print(table)
    if not alive:
        console.print("[red]The supervisor was killed: nothing restarts what dies. Repair it: ./hub up[/]")
        return False
    what = "servers only" if state.servers_only else environment(home)["HUB_PUBLIC_URL"]
    console.print(f"{state.phase}: {what}")
    return state.phase == "ready" and all(process.state in ("ready", "done") for process in state.processes.values())


def _measure(process: ProcessState) -> tuple[str, str]:
    """Return the age and the memory of a process with its children; empty when it does not run."""
    root = running(process.pid, process.started_at)
    if root is None:
        return "", ""
    size_bytes = 0
    with suppress(psutil.Error):
        for member in (root, *root.children(recursive=True)):
            with suppress(psutil.Error):
                # Shared pages count once, divided by those who share them.
                size_bytes += member.memory_full_info().pss
    seconds = int(time.time() - process.started_at)
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}", f"{size_bytes / 2**20:.0f} MiB"
