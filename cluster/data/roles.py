"""Database roles: who owns a schema, who uses it, and as whom a host logs in.

The schema of a service belongs to `<stack>_<service>`, as which its migrations run. `<stack>_<service>_runtime` reads and
writes rows of that schema and can change nothing else. A host logs in as a role that inherits the runtime roles of its
services and of the kernel: a query into another service's schema fails, and so does DDL.
"""

import hashlib
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import asyncpg

from cluster.base.services import table
from cluster.base.settings import settings

KERNEL = "hub"
LOCK = 0x1EA7_1166
"""Of migrations and of everything that changes roles, in one database."""
_RESTRICTED = ("verification_keys", "revocations", "migrations")
"""Tables of the kernel that no host writes but those of the service that has them among its `kernel_tables`."""


def owner(service: str) -> str:
    """Name the role that owns a service's schema."""
    return f"{settings().stack}_{service}"


def runtime(service: str) -> str:
    """Name the role that reads and writes the rows of a service's schema."""
    return f"{owner(service)}_runtime"


def login_of(services: Iterable[str]) -> str:
    """Name the role that a host with these services logs in as."""
    return f"{settings().stack}_host_{hashlib.sha256(','.join(sorted(services)).encode()).hexdigest()[:12]}"


async def ensure_role(connection: Any, name: str) -> None:
    """Make a role that nobody logs in as, unless there is one."""
    if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", name):
        await connection.execute(f'CREATE ROLE "{name}" NOLOGIN')
        await connection.execute(f'GRANT "{name}" TO CURRENT_USER')


async def grant(connection: Any, services: Iterable[str]) -> None:
    """Give the runtime roles what they need in the schemas that exist, and in what later migrations make there."""
    for service in (KERNEL, *services):
        if not await connection.fetchval("SELECT 1 FROM pg_namespace WHERE nspname = $1", service):
            continue
        role, rows = runtime(service), "SELECT, INSERT, UPDATE, DELETE"
        defaults = f'ALTER DEFAULT PRIVILEGES FOR ROLE "{owner(service)}" IN SCHEMA "{service}"'
        await ensure_role(connection, role)
        # One transaction: no host may write what _restrict takes away again.
        async with connection.transaction():
            await connection.execute(
                f"""GRANT USAGE ON SCHEMA "{service}" TO "{role}";
                    GRANT {rows} ON ALL TABLES IN SCHEMA "{service}" TO "{role}";
                    GRANT USAGE ON ALL SEQUENCES IN SCHEMA "{service}" TO "{role}";
                    {defaults} GRANT {rows} ON TABLES TO "{role}";
                    {defaults} GRANT USAGE ON SEQUENCES TO "{role}";"""
            )
            if service == KERNEL:
                await _restrict(connection, role)


async def _restrict(connection: Any, everybody: str) -> None:
    for name in _RESTRICTED:
        if await connection.fetchval("SELECT to_regclass($1)", f"{KERNEL}.{name}") is None:
            continue
        await connection.execute(f'REVOKE INSERT, UPDATE, DELETE ON {KERNEL}.{name} FROM "{everybody}"')
        for writer in (service.name for service in table().values() if name in service.kernel_tables):
            await ensure_role(connection, runtime(writer))
            await connection.execute(f'GRANT INSERT, UPDATE, DELETE ON {KERNEL}.{name} TO "{runtime(writer)}"')


async def demote_logins(connection: Any, services: Iterable[str]) -> None:
    """Take from logins of former releases the ownership of schemas, and the password that every host could compute."""
    owners = {owner(service): service for service in (KERNEL, *services)}
    for login, name in await connection.fetch(
        """SELECT login.rolname, owner.rolname FROM pg_auth_members
           JOIN pg_roles login ON login.oid = member JOIN pg_roles owner ON owner.oid = roleid
           WHERE starts_with(login.rolname, $1) AND owner.rolname = ANY($2)""",
        f"{settings().stack}_host_",
        list(owners),
    ):
        async with connection.transaction():
            await connection.execute(f'GRANT "{runtime(owners[name])}" TO "{login}"')
            await connection.execute(f'REVOKE "{name}" FROM "{login}"')
            await connection.execute(f'ALTER ROLE "{login}" PASSWORD NULL')


async def ensure_login(services: Iterable[str]) -> str:
    """Return the URL that a host with these services connects with.

    Where `HUB_POSTGRES_URL` is the host's own already, that is it. An administrator makes the login when it is missing.

    Raises:
        RuntimeError: the administrator's URL has no password to derive the host's from.
        asyncpg.InsufficientPrivilegeError: the URL is another host's.
    """
    services = tuple(services)
    login = login_of(services)
    administrator = settings().postgres_url
    parts = urlsplit(administrator)
    if parts.username == login:
        return administrator
    password = _password(login, unquote(parts.password or ""))
    url = urlunsplit(parts._replace(netloc=f"{quote(login)}:{password}@{parts.netloc.rpartition('@')[2]}"))
    connection = await asyncpg.connect(administrator)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", LOCK)
        await _make_login(connection, login, password, services)
        if not await _logs_in(url):
            await connection.execute(f"ALTER ROLE \"{login}\" LOGIN PASSWORD '{password}'")
    finally:
        await connection.close()
    return url


def _password(login: str, administrators: str) -> str:
    """Derive a login's password from the administrator's, which no host holds (RFC 7914).

    So those who may make logins agree on it without storing it, and a host knows its own alone.
    """
    if not administrators:
        raise RuntimeError(
            "HUB_POSTGRES_URL must hold the administrator's password: the passwords of hosts are derived from it"
        )
    return hashlib.scrypt(administrators.encode(), salt=login.encode(), n=2**14, r=8, p=1, dklen=24).hex()


async def _make_login(connection: Any, login: str, password: str, services: tuple[str, ...]) -> None:
    if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", login):
        await connection.execute(f"CREATE ROLE \"{login}\" LOGIN INHERIT PASSWORD '{password}'")
    for service in (KERNEL, *services):
        await ensure_role(connection, runtime(service))
        await connection.execute(f'GRANT "{runtime(service)}" TO "{login}"')


async def _logs_in(url: str) -> bool:
    try:
        connection = await asyncpg.connect(url)
    except asyncpg.InvalidAuthorizationSpecificationError:
        return False
    await connection.close()
    return True
