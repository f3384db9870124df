"""A whole platform that tests hurt: its processes by what they do, and what its database says at the end."""

import shutil
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import psutil
from rich.console import Console

from cluster.hub.up import start, stop
from cluster.servers import Home, environment
from cluster.servers.home import DEFAULT, free_port
from cluster.servers.state import alive, belonging, read
from cluster.servers.testing import own_home
from deployments.serve import sweep, temporary_folder
from tests.processes import those

SERVERS = ("postgres", "valkey", "kafka", "s3")
REPLICAS = {"web host": "ray::ServeReplica:web:", "worker host": "ray::ServeReplica:worker:"}
PROGRAMS = {"ingress": "haproxy", "Ray's core": "gcs_server"}
ENCODER = "ray::encode"


@dataclass(frozen=True, slots=True)
class Stack:
    """One supervisor with everything that it keeps alive."""

    home: Home

    @property
    def url(self) -> str:
        return environment(self.home)["HUB_PUBLIC_URL"]

    def find(self, what: str) -> list[psutil.Process]:
        """Return the living processes of a server or of a kind of Ray's, of this home alone."""
        state = read(self.home)
        if what in SERVERS:
            recorded = state.processes[what]
            ready = recorded.state == "ready"
            return [each for each in belonging(state, what) if each.pid == recorded.pid and ready]
        if what in PROGRAMS:
            if state.processes["serve"].state != "ready":
                return []
            return [each for each in belonging(state, "serve") if _name(each) == PROGRAMS[what]]
        title = REPLICAS.get(what, ENCODER)
        found = [each for each in belonging(state, "serve") if _title(each).startswith(title)]
        # A worker that waits for its next piece bears the name of its last one.
        return found if what in REPLICAS else those(found, lambda each: bool(each.children(recursive=True)))

    async def rows(self, sql: str) -> list[dict[str, Any]]:
        db = await asyncpg.connect(environment(self.home)["HUB_POSTGRES_URL"])
        try:
            return [dict(row) for row in await db.fetch(sql)]
        finally:
            await db.close()


@contextmanager
def running_stack() -> Generator[Stack]:
    """Start everything as `./hub up` does, with files that are synced, and delete it at the end."""
    with own_home() as made:
        home = Home(made.path)
        try:
            start(home, port=free_port(), servers_only=False, console=Console(quiet=True))
            yield Stack(home)
        finally:
            stop(home)
            sweep(home.path)
            _keep_logs(home)
            shutil.rmtree(temporary_folder(home.path), ignore_errors=True)


def _keep_logs(home: Home) -> None:
    """Keep the logs of the newest run in `.hub/logs/faults`: they say why, when something went wrong."""
    kept = DEFAULT / "logs" / "faults"
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(home.logs, kept)
    hosts = temporary_folder(home.path) / "ray" / "session_latest" / "logs"
    for log in hosts.glob("worker-*.err"):
        shutil.copy(log, kept)


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.Error:
        return ""


def _title(process: psutil.Process) -> str:
    try:
        return process.cmdline()[0] if alive(process) else ""
    except (psutil.Error, IndexError):
        return ""
