"""A database of a release before, for `migrate` to bring to the newest."""

import os
from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TypeAlias
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from cluster.base.settings import settings
from cluster.data import migrations, roles
from cluster.data.migrations import Migration, migrate

Database: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@asynccontextmanager
async def release_before(since: Collection[str], name: str) -> AsyncGenerator[Database]:
    """Make the database as it was before the migrations `since` (`media/0002_declare_assets.sql`); `migrate` goes there."""
    name = f"{settings().stack}_{name}"
    url = urlunsplit(urlsplit(os.environ["HUB_POSTGRES_URL"])._replace(path=f"/{name}"))
    admin = await asyncpg.connect(os.environ["HUB_ADMIN_URL"])
    await admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    await admin.execute(f'CREATE DATABASE "{name}"')
    pointed = replace(settings(), postgres_url=url)
    newest = migrations.migrations()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(migrations, "settings", lambda: pointed)
        patched.setattr(roles, "settings", lambda: pointed)
        with pytest.MonkeyPatch.context() as shortened:
            shortened.setattr(migrations, "migrations", lambda: _before(newest, since))
            await migrate()
        connection = await asyncpg.connect(url)
        yield connection
    await connection.close()
    await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await admin.close()


def _before(all_migrations: list[Migration], since: Collection[str]) -> list[Migration]:
    """Return of each service the migrations up to the first of `since`."""
    done: set[str] = set()
    found: list[Migration] = []
    for migration in all_migrations:
        if f"{migration.service}/{migration.name}" in since:
            done.add(migration.service)
        if migration.service not in done:
            found.append(migration)
    return found
