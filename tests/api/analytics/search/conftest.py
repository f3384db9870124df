"""The platform with its OpenSearch, and what a test needs to see what is in it."""

import pytest

from tests.api.analytics.search.searching import Found, searching
from tests.harness import Hub


@pytest.fixture(scope="module")
async def found(hub: Hub) -> Found:
    """Let this process index and search, and return who asks in tests."""
    await searching()
    await hub.run_cron("search.keep")
    await hub.settle()
    return Found(hub)
