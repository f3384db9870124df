"""A real Ray Serve behind its HAProxy, with toy hosts; no database is needed here."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from cluster.servers.home import free_port
from deployments.serve import REPOSITORY, sweep, temporary_folder

STARTS_IN_S = 110


@dataclass
class Checkout:
    """One running `deployments.serve`, with a home of its own."""

    home: Path
    port: int
    process: subprocess.Popen[bytes] = field(init=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (self.home / "log").read_text()

    @property
    def happened(self) -> list[str]:
        path = self.home / "happened"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-m", "tests.deployments.toy_serve", str(self.home), str(self.port)]

    def start(self) -> None:
        """Start, and wait until the application itself answers."""
        with (self.home / "log").open("wb") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=REPOSITORY,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + STARTS_IN_S
        while "serve: ready on" not in self.log:
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                pytest.fail(f"deployments.serve did not become ready:\n{self.log[-4000:]}")
            time.sleep(0.2)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.kill()
        sweep(self.home)
        shutil.rmtree(temporary_folder(self.home), ignore_errors=True)

    def kill(self) -> None:
        """End the process as a power cut would."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()


def _checkout(home: Path) -> Iterator[Checkout]:
    checkout = Checkout(home, free_port())
    checkout.start()
    yield checkout
    checkout.stop()


@pytest.fixture(scope="session", autouse=True)
def servers() -> None:
    """Replace the servers of the whole suite: nothing here talks to one."""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    yield from _checkout(tmp_path_factory.mktemp("home"))


@pytest.fixture
def neighbour(tmp_path: Path) -> Iterator[Checkout]:
    yield from _checkout(tmp_path)


@pytest.fixture
def client(checkout: Checkout) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=checkout.url, timeout=60) as client:
        yield client
