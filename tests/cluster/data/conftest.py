"""One connection pool to S3 for the tests of this folder."""

from collections.abc import AsyncIterator

import pytest

from cluster.data import objects


@pytest.fixture(scope="session", autouse=True)
async def connections(servers: None) -> AsyncIterator[None]:
    yield
    await objects.close()
