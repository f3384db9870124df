"""Starting and stopping in the background."""

import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from contextlib import suppress
from io import StringIO
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from cluster.hub.up import Failed, start, stop
from cluster.servers import Home, embedded_servers
from cluster.servers.postgres import Postgres
from cluster.servers.state import MARK, ProcessState, State, alive, left_behind, mark, read, running, stop_left_behind
from cluster.servers.testing import own_home, running_servers

_QUIET = Console(quiet=True)


def _pids(home: Home) -> dict[str, int]:
    return {name: process.pid for name, process in read(home).processes.items()}


def _kill_supervisor(state: State) -> None:
    """Kill it and wait until it is dead: the system does that a little later."""
    os.kill(state.pid, signal.SIGKILL)
    while state.supervisor():
        time.sleep(0.01)


def test_up_starts_everything_once_and_down_stops_it(home: Home) -> None:
    assert start(home, port=None, servers_only=True, console=_QUIET)
    state, pids, ports = read(home), _pids(home), home.ports()
    assert state.phase == "ready"
    assert {name: process.state for name, process in state.processes.items()} == dict.fromkeys(
        ("postgres", "valkey", "kafka", "s3"), "ready"
    )
    assert not start(home, port=None, servers_only=True, console=_QUIET)
    assert _pids(home) == pids

    everything = left_behind(state)
    assert len(everything) > len(pids)
    assert stop(home)
    assert [process for process in everything if alive(process)] == []
    assert read(home).phase == "stopped"
    assert not stop(home)

    assert start(home, port=None, servers_only=True, console=_QUIET)
    assert home.ports() == ports
    assert set(_pids(home).values()).isdisjoint(pids.values())


def test_up_replaces_what_a_killed_supervisor_left_behind(home: Home) -> None:
    start(home, port=None, servers_only=True, console=_QUIET)
    before = read(home)
    orphans = left_behind(before)
    _kill_supervisor(before)
    assert all(alive(orphan) for orphan in orphans)

    ports = home.ports()
    assert start(home, port=None, servers_only=True, console=_QUIET)
    assert [orphan for orphan in orphans if alive(orphan)] == []
    assert home.ports() == ports
    assert read(home).phase == "ready"


def test_down_stops_what_a_killed_supervisor_left_behind(home: Home) -> None:
    start(home, port=None, servers_only=True, console=_QUIET)
    state = read(home)
    orphans = left_behind(state)
    _kill_supervisor(state)
    assert stop(home)
    assert [orphan for orphan in orphans if alive(orphan)] == []


def test_a_taken_port_of_a_server_is_exchanged(home: Home) -> None:
    stop(home)
    taken = home.port("s3")
    told = StringIO()
    with socket.create_server(("127.0.0.1", taken)):
        start(home, port=None, servers_only=True, console=Console(file=told, width=200))
    assert home.port("s3") != taken
    assert f"Port {taken} of s3 is taken by" in told.getvalue()
    assert read(home).processes["s3"].state == "ready"
    stop(home)


def test_a_taken_port_of_the_platform_is_refused_with_a_remedy() -> None:
    with own_home() as home, socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(Failed, match=rf"port {port} is taken by .*: ./hub up --port {port + 1}"):
            start(home, port=port, servers_only=False, console=_QUIET)
        assert read(home) == State()


def test_a_server_that_cannot_start_fails_the_start_and_leaves_nothing() -> None:
    with own_home() as home:
        # Where the folder of the objects belongs there is a file.
        (home.path / "s3").touch()
        with pytest.raises(Failed, match=r"s3: .*File exists"):
            start(home, port=None, servers_only=True, console=_QUIET)
        state = read(home)
        assert state.phase == "failed"
        assert left_behind(state) == []
        assert state.supervisor() is None


def test_a_recycled_pid_is_nobodys() -> None:
    """The process of the state has ended, and its pid belongs to another by now."""
    stranger = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        began = psutil.Process(stranger.pid).create_time()
        assert running(stranger.pid, began) is not None
        assert running(stranger.pid, began - 60) is None
        with own_home() as home:
            State(
                uuid.uuid4().hex, stranger.pid, began - 60, processes={"s3": ProcessState(stranger.pid, began - 60)}
            ).write(home)
            assert not stop(home)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_started_process_that_is_not_recorded_is_found_by_its_mark() -> None:
    with own_home() as home:
        state = State(uuid.uuid4().hex, processes={"s3": ProcessState()})
        state.write(home)
        child = subprocess.Popen(
            [sys.executable, "-c", "import subprocess; subprocess.run(['sleep', '60'], start_new_session=True)"],
            env=dict(os.environ) | {MARK: mark(state, "s3")},
            start_new_session=True,
        )
        with suppress(psutil.NoSuchProcess):
            while len(psutil.Process(child.pid).children()) == 0:
                assert child.poll() is None
        assert len(left_behind(state)) == 2
        assert stop_left_behind(home) == 2
        child.wait()
        assert left_behind(state) == []


def test_servers_of_a_test_run_end_with_it_even_when_it_is_killed() -> None:
    program = """
import os, signal
from cluster.servers.testing import running_servers
with running_servers(["valkey"]) as env:
    print(env["HUB_HOME"], flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    home = Home(Path(ended.stdout.strip()), volatile=True)
    if supervisor := read(home).supervisor():
        supervisor.wait(30)
    assert left_behind(read(home)) == []
    with running_servers(()):
        assert not home.path.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: only root runs PostgreSQL as another account")
def test_root_in_a_private_folder_keeps_its_database_where_postgres_reads(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    (place,) = Postgres(Home(private)).places
    assert private not in place.parents
    assert all(folder.stat().st_mode & 0o001 for folder in place.parents if folder.exists())


def test_every_server_has_ports_and_places_of_its_own(home: Home) -> None:
    servers = embedded_servers(home)
    ports = [home.port(name) for server in servers for name in server.ports]
    places = [place for server in servers for place in server.places]
    assert len(set(ports)) == len(ports)
    assert len(set(places)) == len(places)
