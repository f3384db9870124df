"""Migrations run once, one process at a time, and nobody waits behind one that waits."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from cluster.base.settings import settings
from cluster.data import migrations
from cluster.data.migrations import KERNEL, Migration, MigrationChanged, migrate

_FIRST = Migration(KERNEL, "0001_create.sql", "CREATE TABLE hub.things (n int)")
_SECOND = Migration(KERNEL, "0002_widen.sql", "ALTER TABLE hub.things ADD COLUMN title text")
_SOMEBODY_WAITS = "SELECT 1 FROM pg_locks WHERE NOT granted AND locktype = 'relation'"


@pytest.fixture
async def url(servers: None, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """A database of its own with the first of two migrations."""
    name = f"{settings().stack}_migrations"
    admin = await asyncpg.connect(os.environ["HUB_ADMIN_URL"])
    await admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    await admin.execute(f'CREATE DATABASE "{name}"')
    url = urlunsplit(urlsplit(os.environ["HUB_ADMIN_URL"])._replace(path=f"/{name}"))
    pointed = replace(settings(), postgres_url=url)
    monkeypatch.setattr(migrations, "settings", lambda: pointed)
    monkeypatch.setattr(migrations, "migrations", lambda: [_FIRST])
    assert await migrate() == ["hub/0001_create.sql"]
    yield url
    await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await admin.close()


async def test_of_two_processes_one_migrates_and_both_find_it_done(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "migrations", lambda: [_FIRST, _SECOND])
    assert sorted(await asyncio.gather(migrate(), migrate())) == [[], ["hub/0002_widen.sql"]]


async def test_an_edited_migration_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "migrations", lambda: [replace(_FIRST, sql=_FIRST.sql + ";")])
    with pytest.raises(MigrationChanged, match=r"0001_create\.sql"):
        await migrate()


async def test_nobody_waits_behind_a_migration_that_waits_for_a_long_reader(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "migrations", lambda: [_FIRST, _SECOND])
    monkeypatch.setattr(migrations, "_LOCK_LIMIT_MS", 200, raising=False)
    monkeypatch.setattr(migrations, "_PAUSE_S", 0.5, raising=False)
    reader, other = await asyncpg.connect(url), await asyncpg.connect(url)
    long = reader.transaction()
    await long.start()
    await reader.execute("SELECT FROM hub.things")
    migrating = asyncio.create_task(migrate())
    try:
        async with asyncio.timeout(10):
            while not await other.fetchval(_SOMEBODY_WAITS):  # noqa: ASYNC110  the database tells nobody
                await asyncio.sleep(0.01)
            await other.execute("SELECT FROM hub.things")
        assert not migrating.done()
    finally:
        await long.rollback()
        await reader.close()
        await other.close()
    assert await migrating == ["hub/0002_widen.sql"]
