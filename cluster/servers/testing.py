"""Servers for a test run: fresh, fast, beside those of a running `./hub up`, and gone afterwards."""

import asyncio
import fcntl
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cluster.base.settings import REPOSITORY
from cluster.servers import Home, delete, environment, jars
from cluster.servers.home import DEFAULT
from cluster.servers.logs import last_line, open_log
from cluster.servers.opensearch import OpenSearch
from cluster.servers.server import as_account
from cluster.servers.state import MARK, mark, read, stop_left_behind

ALL = ("postgres", "valkey", "kafka", "s3")
"""Not OpenSearch, which few tests need: `shared_opensearch`."""
_START_LIMIT_S = 180


@contextmanager
def running_servers(names: Sequence[str] = ALL) -> Generator[dict[str, str]]:
    """Run these servers, empty, while the body runs; yield the `HUB_*` settings that lead to them.

    They end with this process even when it is killed; what a killed run left on disk, the next one deletes.

    Raises:
        RuntimeError: one does not start; the message ends with its log.
    """
    with own_home() as home:
        home.choose_lite("opensearch" not in names)
        fetch_jars(*names)
        with open_log(home.logs, "supervisor") as log:
            supervisor = subprocess.Popen(
                [
                    *(sys.executable, "-m", "cluster.servers.supervisor", str(home.path)),
                    *("--servers-only", "--volatile", "--while-stdin", "--only", ",".join(names)),
                ],
                cwd=REPOSITORY,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            _wait_until_ready(home, supervisor)
            yield environment(home)
        finally:
            supervisor.communicate()
            stop_left_behind(home)


def fetch_jars(*names: str) -> None:
    """Fetch what is missing of the jars of these servers."""
    if wanted := jars.missing(jar for jar in jars.locked() if jar.server in names):
        jars.fetch(wanted, arrived=lambda _: None)


@contextmanager
def own_home() -> Generator[Home]:
    """Make a home that no other test run takes for an abandoned one, without OpenSearch, and delete it at the end."""
    DEFAULT.mkdir(exist_ok=True)
    with (DEFAULT / "test.lock").open("a") as all_homes:
        fcntl.flock(all_homes, fcntl.LOCK_EX)
        _delete_abandoned()
        path = Path(tempfile.mkdtemp(prefix="test-", dir=DEFAULT))
        owner = (path / "owner").open("a")
        fcntl.flock(owner, fcntl.LOCK_EX)
    home = Home(path, volatile=True)
    home.choose_lite(True)
    try:
        yield home
    finally:
        _delete_home(home)
        owner.close()


def shared_opensearch(home: Home) -> str:
    """Return the address of OpenSearch in a home whose other servers run; the first of several processes that ask starts it.

    It ends with them.
    """
    server = OpenSearch(home)
    with (home.path / "opensearch.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _answers(server):
            return server.url
        fetch_jars("opensearch")
        asyncio.run(server.prepare())
        launch, state = server.launch(), read(home)
        with open_log(home.logs, "opensearch") as log:
            process = subprocess.Popen(
                launch.argv,
                cwd=launch.cwd,
                # The supervisor ends what carries the mark of a server when it ends that server.
                env=dict(launch.env) | {MARK: mark(state, next(iter(state.processes)))},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **as_account(launch.uid),
            )
        deadline = time.monotonic() + _START_LIMIT_S
        while not _answers(server):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"OpenSearch did not start: {last_line(home.logs, 'opensearch')}")
            time.sleep(0.1)
    return server.url


def _answers(server: OpenSearch) -> bool:
    try:
        asyncio.run(server.ready())
    except Exception:
        return False
    return True


def _delete_abandoned() -> None:
    for path in DEFAULT.glob("test-*"):
        home = Home(path, volatile=True)
        with (path / "owner").open("a") as owner:
            try:
                fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            if not read(home).supervisor():
                stop_left_behind(home)
                _delete_home(home)


def _delete_home(home: Home) -> None:
    delete(home)
    shutil.rmtree(home.path, ignore_errors=True)


def _wait_until_ready(home: Home, supervisor: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_LIMIT_S
    while (state := read(home)).phase != "ready":
        if supervisor.poll() is not None or time.monotonic() > deadline:
            logs = [
                f"--- {log.name}\n{log.read_text(errors='replace')[-3000:]}" for log in sorted(home.logs.glob("*.log"))
            ]
            raise RuntimeError("\n".join([f"the servers did not start: {state.error}", *logs]))
        time.sleep(0.05)
