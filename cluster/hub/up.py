"""Start and stop what runs in the background, and say how it goes."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress

import psutil
from rich.console import Console
from rich.progress import Progress as Bar

from cluster.base.settings import REPOSITORY
from cluster.servers import Home, embedded_servers, environment, jars
from cluster.servers.home import closed, is_free
from cluster.servers.logs import open_log
from cluster.servers.state import State, read, stop_left_behind

_TITLES = {
    "postgres": "PostgreSQL",
    "valkey": "Valkey",
    "kafka": "Kafka",
    "s3": "S3",
    "opensearch": "OpenSearch",
    "migrate": "Database schema",
    "serve": "Services",
    "seed": "Demo school",
}
_STOP_LIMIT_S = 120


class Failed(Exception):
    """What the user asked for did not happen; the message says why and what to do."""


@contextmanager
def alone(home: Home) -> Generator[None]:
    """Let one command at a time start or stop the servers of a home."""
    with (closed(home.run) / "command.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another ./hub command is starting or stopping the servers: waiting for it", file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def start(home: Home, *, port: int | None, servers_only: bool, console: Console, lite: bool | None = None) -> bool:
    """Bring everything up; return False when it was up already. `lite`: without OpenSearch; None: as the last time.

    Raises:
        Failed: it did not start; nothing is left running.
    """
    state, was_lite = read(home), home.lite
    if lite is not None:
        home.choose_lite(lite)
    if supervisor := state.supervisor():
        if home.lite == was_lite and _satisfied(home, state, port=port, servers_only=servers_only):
            return False
        console.print("Restarting with the new options")
        _end(supervisor)
    if stopped := stop_left_behind(home):
        console.print(f"Stopped {stopped} processes that a killed supervisor had left behind")
    _settle_ports(home, port, with_http=not servers_only, console=console)
    fetch_jars(home, console)
    _spawn(home, servers_only=servers_only)
    try:
        _follow(home, console)
    except KeyboardInterrupt:
        stop(home)
        raise Failed("stopped before everything was up") from None
    except Failed:
        stop(home)
        raise
    return True


def stop(home: Home) -> bool:
    """Stop everything, the supervisor's remains too; return whether anything ran."""
    supervisor = read(home).supervisor()
    if supervisor:
        _end(supervisor)
    left = stop_left_behind(home)
    return bool(supervisor or left)


def fetch_jars(home: Home, console: Console) -> None:
    """Fetch the jars that this home's servers need and that are not here yet, with a progress bar.

    Raises:
        Failed: one cannot be had.
    """
    servers = {server.name for server in embedded_servers(home)}
    wanted = jars.missing(jar for jar in jars.locked() if jar.server in servers)
    if not wanted:
        return
    try:
        with Bar(console=console) as bar:
            task = bar.add_task("Fetching jars", total=len(wanted))
            jars.fetch(wanted, arrived=lambda _: bar.advance(task))
    except RuntimeError as error:
        raise Failed(str(error)) from error


def _satisfied(home: Home, state: State, *, port: int | None, servers_only: bool) -> bool:
    more = state.servers_only and not servers_only
    moved = port is not None and port != home.port("http")
    return state.phase == "ready" and not more and not moved


def _settle_ports(home: Home, port: int | None, *, with_http: bool, console: Console) -> None:
    """Keep the ports as they were; choose others for those that somebody took meanwhile.

    Raises:
        Failed: the port that users know is taken.
    """
    if port is not None:
        home.choose_port("http", port)
    if with_http and not is_free(home.port("http")):
        number = home.port("http")
        raise Failed(
            f"port {number} is taken{_taker(number)}: stop that, or choose another: ./hub up --port {number + 1}"
        )
    for server in embedded_servers(home):
        for name in server.ports:
            if not is_free(home.port(name)):
                old = home.port(name)
                console.print(f"Port {old} of {name} is taken{_taker(old)}: using {home.choose_port(name)}")


def _taker(port: int) -> str:
    """Return who listens on a port, as far as this account may see it."""
    with suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,) and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return ""


def _spawn(home: Home, *, servers_only: bool) -> None:
    (home.run / "state.json").unlink(missing_ok=True)
    with open_log(home.logs, "supervisor") as log:
        subprocess.Popen(
            [
                *(sys.executable, "-m", "cluster.servers.supervisor", str(home.path)),
                *(("--servers-only",) if servers_only else ()),
                *(("--volatile",) if home.volatile else ()),
            ],
            cwd=REPOSITORY,
            env=dict(os.environ) | environment(home),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _follow(home: Home, console: Console) -> None:
    """Print each step as it ends, until the supervisor is ready.

    Raises:
        Failed: it gave up.
    """
    told: set[str] = set()
    began = time.monotonic()
    with console.status("Starting") as status:
        while True:
            state = read(home)
            waiting: list[str] = []
            for name, process in state.processes.items():
                if process.state in ("ready", "done") and name not in told:
                    told.add(name)
                    console.print(f"  [green]✓[/] {_TITLES.get(name, name)} [dim]{process.ready_after_s:.1f} s[/]")
                elif process.state == "down" and name == "seed" and name not in told:
                    told.add(name)
                    console.print(f"  [red]✗[/] {_TITLES[name]} {process.error}: see ./hub logs {name}")
                elif name not in told:
                    waiting.append(_TITLES.get(name, name))
            status.update(f"Starting {', '.join(waiting)} ({time.monotonic() - began:.0f} s)")
            if state.phase == "ready":
                return
            if state.phase == "failed" or (state.pid and not state.supervisor()):
                raise Failed(state.error or "the supervisor died: see ./hub logs supervisor")
            if not state.pid and time.monotonic() - began > 30:
                raise Failed("the supervisor does not start: see ./hub logs supervisor")
            time.sleep(0.1)


def _end(supervisor: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        supervisor.send_signal(signal.SIGTERM)
        try:
            supervisor.wait(_STOP_LIMIT_S)
        except psutil.TimeoutExpired:
            supervisor.kill()
