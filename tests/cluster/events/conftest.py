from collections.abc import Iterator

import pytest

from tests.cluster.events import probe
from tests.kernel import empty, kernel

__all__ = ["empty", "kernel"]


@pytest.fixture(scope="module")
def listener(kernel: str) -> None:
    """A service that notes every event in `probe.effects`."""
    probe.declare()


@pytest.fixture(autouse=True)
def no_faults() -> Iterator[None]:
    probe.FAULTS.clear()
    yield
    probe.FAULTS.clear()
