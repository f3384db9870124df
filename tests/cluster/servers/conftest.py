"""Homes and supervisors for the tests of the servers."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator
from typing import TypeVar

import pytest
from rich.console import Console

from cluster.hub.up import start, stop
from cluster.servers import Home
from cluster.servers.state import State, read
from cluster.servers.testing import own_home

T = TypeVar("T")

LIMIT_S = 60


@pytest.fixture(scope="module")
def home() -> Generator[Home]:
    """A home whose servers the module starts and stops; nothing of it is left."""
    with own_home() as volatile:
        # As durable as a user's.
        home = Home(volatile.path)
        yield home
        stop(home)


@pytest.fixture(scope="module")
def started(home: Home) -> Home:
    """A home with all its servers up."""
    assert start(home, port=None, servers_only=True, console=Console(quiet=True))
    return home


def until(home: Home, reached: Callable[[State], bool]) -> State:
    """Wait until the supervisor tells what is expected."""
    deadline = time.monotonic() + LIMIT_S
    while not reached(state := read(home)):
        assert time.monotonic() < deadline, state
        time.sleep(0.05)
    return state


async def eventually(attempt: Callable[[], Awaitable[T]]) -> T:
    """Try until it works."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            try:
                return await attempt()
            except Exception:
                await asyncio.sleep(0.1)
    raise AssertionError
