"""A database with the kernel's tables alone, for tests of events and jobs, and registries that forget what a test declared."""

import copy
import os
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from cluster.base.principal import platform
from cluster.base.registry import load
from cluster.base.services import table
from cluster.data import Connection, Transaction, postgres
from cluster.data.migrations import KERNEL, migrations
from cluster.data.postgres import pool, transaction
from cluster.events import declare as events
from cluster.events import snapshots
from cluster.jobs import declare as jobs
from cluster.signals import redis

_WORKER = os.environ.get("PYTEST_XDIST_WORKER", "main")
_EFFECTS = """
CREATE SCHEMA probe;
CREATE TABLE probe.effects (
    position bigint GENERATED ALWAYS AS IDENTITY, consumer text, key text, n int, event_id uuid
);
CREATE TABLE probe.things (id uuid PRIMARY KEY, version int NOT NULL);
"""


@pytest.fixture(scope="module")
async def kernel(servers: None) -> AsyncIterator[str]:
    """An empty database with the schema `hub` behind this process's pool; yields its URL."""
    name = f"test_{_WORKER}_kernel"
    url = urlunsplit(urlsplit(os.environ["HUB_POSTGRES_URL"])._replace(path=f"/{name}"))
    admin = await asyncpg.connect(os.environ.get("HUB_ADMIN_URL", os.environ["HUB_POSTGRES_URL"]))
    await admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    await admin.execute(f'CREATE DATABASE "{name}"')
    await admin.close()
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE SCHEMA hub")
    for migration in migrations():
        if migration.service == KERNEL:
            await connection.execute(migration.sql)
    await connection.execute(_EFFECTS)
    await connection.close()
    with registries_kept():
        async with pooled(url):
            yield url


@pytest.fixture
async def empty(kernel: str) -> None:
    """Start with nothing in the outbox, the inbox, the jobs."""
    async with pool().acquire() as raw:
        await raw.execute(
            "TRUNCATE hub.outbox, hub.inbox, hub.parked_keys, hub.parked, hub.jobs, hub.cron, hub.subscriptions;"
            "TRUNCATE probe.effects, probe.things;"
            "UPDATE hub.relay_leases SET owner = NULL, expires_at = '-infinity'; TRUNCATE hub.relays"
        )


@asynccontextmanager
async def pooled(url: str) -> AsyncGenerator[None]:
    """Swap this process's pool for one on `url`: the platform of other tests keeps its own."""
    kept = postgres._pool  # pyright: ignore[reportPrivateUsage]
    await postgres.connect(url, size=12, application="kernel tests")
    owned = redis._client is None  # pyright: ignore[reportPrivateUsage]
    await redis.connect()
    try:
        yield
    finally:
        if owned:
            await redis.disconnect()
        await postgres.disconnect()
        postgres._pool = kept  # pyright: ignore[reportPrivateUsage]


@contextmanager
def registries_kept() -> Generator[None]:
    """Forget afterwards which events, handlers and jobs were declared inside.

    What services declare is there before: a module is imported once, so what it declares inside would be gone for good.
    """
    load(table(), "contract", "handlers", "jobs", "snapshots")
    registries: list[dict[Any, Any]] = [
        vars(module)[name]
        for module, names in (
            (events, ("_types", "_by_class", "_handlers")),
            (snapshots, ("_lists",)),
            (jobs, ("_types", "_by_class", "_performs")),
        )
        for name in names
    ]
    kept = [{key: copy.deepcopy(value) for key, value in registry.items()} for registry in registries]
    try:
        yield
    finally:
        for registry, before in zip(registries, kept, strict=True):
            registry.clear()
            registry.update(before)


@asynccontextmanager
async def committed(service: str = "speaker") -> AsyncGenerator[Transaction]:
    """Run the body in a transaction, as a handler of `service` would."""
    async with pool().acquire() as raw:
        async with transaction(raw, platform(service)) as tx:
            yield tx
        await tx.committed()


async def rows(sql: str, *args: object) -> list[tuple[Any, ...]]:
    async with pool().acquire() as raw:
        return [tuple(row) for row in await Connection(raw).rows(sql, *args)]


async def run(sql: str, *args: object) -> int:
    async with pool().acquire() as raw:
        return await Connection(raw).run(sql, *args)
