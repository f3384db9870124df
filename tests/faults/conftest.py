"""The whole platform as `./hub up` runs it, in a home of its own. `./hub test faults` alone comes here: it takes minutes."""

import os
from collections.abc import Iterator

import pytest

from tests.faults.stack import Stack, running_stack

collect_ignore_glob = [] if os.environ.get("HUB_FAULTS") == "1" else ["test_*.py"]


@pytest.fixture(scope="session", autouse=True)
def servers() -> None:
    """Replace the servers of the whole suite: the stack brings its own."""


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    with running_stack() as found:
        yield found
