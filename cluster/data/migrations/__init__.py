"""Schema migrations: plain SQL per service, forward only, under one lock.

A service owns the schema of its name through a role, which no process logs in as; see `cluster.data.roles`.
"""

import asyncio
import hashlib
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from cluster.base.services import table
from cluster.base.settings import REPOSITORY, settings
from cluster.data import roles
from cluster.data.roles import KERNEL

log = logging.getLogger(__name__)

_LOCK_LIMIT_MS = 2000
_PAUSE_S = 3.0
_TRIES = 120
"""Ten minutes: longer than a backup of a laptop or a report runs."""
_FILE = re.compile(r"^(\d{4})_[a-z0-9_]+\.sql$")


class MigrationChanged(Exception):
    """An applied migration's text differs now: write a new one instead of editing it."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of SQL."""

    service: str
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations() -> list[Migration]:
    """Read all migration files: the kernel's first, then the services' by rank.

    Raises:
        ValueError: a file is misnamed, or two of a service share a number.
    """
    folders: list[tuple[str, Path]] = [(KERNEL, Path(__file__).parent)]
    folders += [
        (service.name, REPOSITORY / service.package.replace(".", "/") / "migrations")
        for service in sorted(table().values(), key=lambda service: (service.rank, service.name))
    ]
    found: list[Migration] = []
    for service, folder in folders:
        numbers: set[str] = set()
        for path in sorted(folder.glob("*.sql")):
            match = _FILE.match(path.name)
            if match is None or match[1] in numbers:
                raise ValueError(f"{path.relative_to(REPOSITORY)}: name it <four digits, once each>_<what it does>.sql")
            numbers.add(match[1])
            found.append(Migration(service, path.name, path.read_text()))
    return found


async def migrate() -> list[str]:
    """Bring the database to the newest schema and return what was applied (`course/0001_create_course.sql`).

    Each file runs in its own transaction, as its service's role; a second process waits for the first.

    Raises:
        MigrationChanged: an applied file was edited.
    """
    connection = await asyncpg.connect(settings().postgres_url)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", roles.LOCK)
        done = await _migrate(connection)
        # After every file: what a migration has made is used by hosts from now on.
        await roles.grant(connection, table())
        await roles.demote_logins(connection, table())
    finally:
        await connection.close()
    return done


async def _migrate(connection: Any) -> list[str]:
    kernel = roles.owner(KERNEL)
    await roles.ensure_role(connection, kernel)
    await connection.execute(f'CREATE SCHEMA IF NOT EXISTS {KERNEL} AUTHORIZATION "{kernel}"')
    await connection.execute(
        f"""CREATE TABLE IF NOT EXISTS {KERNEL}.migrations (
                service text, name text, sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now(),
                PRIMARY KEY (service, name));
            COMMENT ON TABLE {KERNEL}.migrations IS 'platform: migrations that have run'"""
    )
    applied = {
        (row[0], row[1]): row[2] for row in await connection.fetch("SELECT service, name, sha256 FROM hub.migrations")
    }
    done: list[str] = []
    prepared: set[str] = set()
    for migration in migrations():
        known = applied.get((migration.service, migration.name))
        if known == migration.sha256:
            continue
        if known is not None:
            raise MigrationChanged(
                f"{migration.service}/{migration.name} has run here with another text; restore it and add a new migration"
            )
        owner = roles.owner(migration.service)
        if migration.service not in prepared:
            await roles.ensure_role(connection, owner)
            await connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{migration.service}" AUTHORIZATION "{owner}"')
            prepared.add(migration.service)
        await _apply(connection, migration, owner)
        done.append(f"{migration.service}/{migration.name}")
    return done


async def _apply(connection: Any, migration: Migration, owner: str) -> None:
    """Run a file, in a pause of those who use its tables.

    ALTER TABLE waits for every running transaction, and all later ones wait behind it: so it waits a moment at a time.

    Raises:
        asyncpg.LockNotAvailableError: there was no such pause in `_TRIES`.
    """
    for again in reversed(range(_TRIES)):
        try:
            async with connection.transaction():
                await connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_LIMIT_MS}ms'")
                await connection.execute(f'SET LOCAL ROLE "{owner}"')
                await connection.execute(migration.sql)
                await connection.execute("RESET ROLE")
                await connection.execute(
                    "INSERT INTO hub.migrations (service, name, sha256) VALUES ($1, $2, $3)",
                    migration.service,
                    migration.name,
                    migration.sha256,
                )
            return
        except asyncpg.LockNotAvailableError:
            if not again:
                raise
            log.info("a table is in use, its migration waits", extra={"migration": migration.name})
            await asyncio.sleep(_PAUSE_S)
