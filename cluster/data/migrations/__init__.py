"""Schema migrations: plain SQL per service, forward only, under one lock.

A service owns the schema of its name through the role `<stack>_<service>`, which no process logs in as. A host logs in as a role
that inherits exactly the roles of the services it hosts (`ensure_login`), so that a query into another service's schema fails.
"""

import asyncio
import hashlib
import hmac
import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg

from cluster.base.services import table
from cluster.base.settings import REPOSITORY, settings

log = logging.getLogger(__name__)

KERNEL = "hub"
_LOCK = 0x1EA7_1166
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


async def migrate(hosts: Iterable[tuple[str, ...]] = ()) -> list[str]:
    """Bring the database to the newest schema and return what was applied (`course/0001_create_course.sql`).

    `hosts`, each a set of services, get their login roles.

    Each file runs in its own transaction, as its service's role; a second process waits for the first.

    Raises:
        MigrationChanged: an applied file was edited.
    """
    connection = await asyncpg.connect(settings().postgres_url)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        done = await _migrate(connection)
    finally:
        await connection.close()
    for services in hosts:
        await ensure_login(services)
    return done


async def _migrate(connection: Any) -> list[str]:
    kernel = role(KERNEL)
    await _ensure_role(connection, kernel)
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
        owner = role(migration.service)
        if migration.service not in prepared:
            await _ensure_role(connection, owner)
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


async def ensure_login(services: Iterable[str]) -> str:
    """Return the URL that a host with these services connects with, making its login role where we may.

    In a cluster `HUB_POSTGRES_URL` of a host names no user: it is no administrator, and `migrate` has made its login.
    """
    names = sorted(services)
    login = f"{settings().stack}_host_{hashlib.sha256(','.join(names).encode()).hexdigest()[:12]}"
    password = hmac.new(settings().secret.encode(), login.encode(), hashlib.sha256).hexdigest()
    parts = urlsplit(settings().postgres_url)
    url = urlunsplit(parts._replace(netloc=f"{quote(login)}:{password}@{parts.netloc.rpartition('@')[2]}"))
    if parts.username is not None:
        await _make_login(login, password, names)
    return url


async def _make_login(login: str, password: str, services: list[str]) -> None:
    connection = await asyncpg.connect(settings().postgres_url)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", login):
            await connection.execute(f"CREATE ROLE \"{login}\" LOGIN INHERIT PASSWORD '{password}'")
        for name in (KERNEL, *services):
            await _ensure_role(connection, role(name))
            await connection.execute(f'GRANT "{role(name)}" TO "{login}"')
    finally:
        await connection.close()


def role(service: str) -> str:
    """Name the role that owns a service's schema."""
    return f"{settings().stack}_{service}"


async def _ensure_role(connection: Any, name: str) -> None:
    if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", name):
        await connection.execute(f'CREATE ROLE "{name}" NOLOGIN')
        await connection.execute(f'GRANT "{name}" TO CURRENT_USER')
