"""A process of the kernel without services, on the test run's servers."""

import os
from collections.abc import AsyncIterator

import asyncpg
import pytest

from cluster.data import postgres
from cluster.host import close_process, open_process

_TOY = """
DROP SCHEMA IF EXISTS toy CASCADE;
CREATE SCHEMA toy;
CREATE TABLE toy.things (
    id uuid PRIMARY KEY, title text NOT NULL UNIQUE, version int NOT NULL DEFAULT 1, small smallint
);
GRANT USAGE ON SCHEMA toy TO PUBLIC;
GRANT ALL ON toy.things TO PUBLIC;
"""


@pytest.fixture(scope="module")
async def process(database: None) -> AsyncIterator[None]:
    """Open what every process stands on, unless this test run has it open already; `toy.things` is there to be written."""
    admin = await asyncpg.connect(os.environ["HUB_POSTGRES_URL"])
    await admin.execute(_TOY)
    await admin.close()
    try:
        postgres.pool()
    except RuntimeError:
        # As auth: these tests publish keys and revoke sessions.
        await open_process(("auth",), name="test", connections=8)
        yield
        await close_process()
    else:
        yield
