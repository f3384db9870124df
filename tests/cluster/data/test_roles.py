"""What a host's database login may do: read and write rows of its services, and nothing that gives it more."""

import hashlib
import hmac
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from cluster.base.settings import settings
from cluster.data import roles
from cluster.data.migrations import migrate
from cluster.data.roles import ensure_login, login_of

INSERT_KEY = "INSERT INTO hub.verification_keys VALUES ('forged', decode(repeat('00', 32), 'hex'), now(), now())"
INSERT_REVOCATION = "INSERT INTO hub.revocations VALUES ('user', gen_random_uuid(), now(), now())"


@asynccontextmanager
async def connected(url: str) -> AsyncGenerator[Any]:
    connection: Any = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def host(*services: str) -> AsyncGenerator[Any]:
    """Log in as a host with these services; nothing of what it does stays."""
    async with connected(await ensure_login(services)) as connection:
        transaction = connection.transaction()
        await transaction.start()
        yield connection
        await transaction.rollback()


async def refused(connection: Any, *statements: str) -> list[str]:
    """Return those of the statements that the server let through."""
    passed: list[str] = []
    for statement in statements:
        try:
            async with connection.transaction():
                await connection.execute(statement)
        except asyncpg.InsufficientPrivilegeError:
            continue
        passed.append(statement)
    return passed


async def test_a_host_reads_and_writes_rows_of_its_services(database: None) -> None:
    async with host("course") as connection:
        await connection.execute("DELETE FROM course.courses WHERE false")
        await connection.execute("DELETE FROM hub.jobs WHERE false")
        await connection.execute(
            "INSERT INTO hub.outbox (id, topic, key, shard, envelope) VALUES (gen_random_uuid(), '', '', 0, '1')"
        )
        assert await connection.fetch("SELECT 1 FROM hub.verification_keys, hub.revocations WHERE false") == []


async def test_a_host_changes_no_schema_and_becomes_no_owner(database: None) -> None:
    stack = settings().stack

    async with host("course", "auth") as connection:
        passed = await refused(
            connection,
            "CREATE TABLE hub.mine (n int)",
            "CREATE TABLE course.mine (n int)",
            "CREATE FUNCTION hub.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "ALTER TABLE course.courses DISABLE TRIGGER ALL",
            "DROP TABLE hub.jobs",
            "TRUNCATE course.courses",
            f'SET ROLE "{stack}_hub"',
            f'SET ROLE "{stack}_course"',
            "SELECT 1 FROM enrollment.enrollments",
            "DELETE FROM hub.migrations",
        )

    assert passed == []


async def test_only_auth_writes_keys_and_revocations(database: None) -> None:
    changes = (
        INSERT_KEY,
        INSERT_REVOCATION,
        "UPDATE hub.verification_keys SET not_after = now()",
        "DELETE FROM hub.revocations",
    )

    async with host("course", "user", "organization") as connection:
        by_others = await refused(connection, *changes)
    async with host("auth") as connection:
        by_auth = await refused(connection, *changes)

    assert (by_others, by_auth) == ([], list(changes))


async def test_a_table_of_a_later_migration_is_used_at_once(database: None) -> None:
    stack = settings().stack
    async with connected(settings().postgres_url) as admin, admin.transaction():
        await admin.execute(f'SET LOCAL ROLE "{stack}_course"')
        await admin.execute("CREATE TABLE course.later (n int)")

    try:
        async with host("course") as connection:
            await connection.execute("INSERT INTO course.later VALUES (1)")
    finally:
        async with connected(settings().postgres_url) as admin:
            await admin.execute("DROP TABLE course.later")


async def test_what_a_host_holds_opens_no_other_login(database: None) -> None:
    ours, theirs = await ensure_login(["course"]), await ensure_login(["auth"])
    login = login_of(["auth"])
    parts = urlsplit(theirs)
    from_the_secret = hmac.new(settings().secrets[""].encode(), login.encode(), hashlib.sha256).hexdigest()

    for guess in (from_the_secret, urlsplit(ours).password):
        url = urlunsplit(parts._replace(netloc=f"{login}:{guess}@{parts.netloc.rpartition('@')[2]}"))
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(url)


async def test_a_host_with_its_own_url_uses_it_and_refuses_another_one(
    database: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = await ensure_login(["content", "course"])
    pointed = replace(settings(), postgres_url=url)
    monkeypatch.setattr(roles, "settings", lambda: pointed)

    assert await ensure_login(["course", "content"]) == url
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await ensure_login(["auth"])


async def test_an_administrator_without_a_password_makes_no_login(
    database: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = urlsplit(settings().postgres_url)
    pointed = replace(settings(), postgres_url=urlunsplit(parts._replace(netloc=f"hub@127.0.0.1:{parts.port}")))
    monkeypatch.setattr(roles, "settings", lambda: pointed)

    with pytest.raises(RuntimeError, match="must hold the administrator's password"):
        await ensure_login(["course"])


async def test_a_former_login_loses_ownership_and_its_password(database: None) -> None:
    stack = settings().stack
    login = f"{stack}_host_former"
    parts = urlsplit(os.environ["HUB_POSTGRES_URL"])
    url = urlunsplit(parts._replace(netloc=f"{login}:known@{parts.netloc.rpartition('@')[2]}"))
    async with connected(settings().postgres_url) as admin:
        await admin.execute(f"CREATE ROLE \"{login}\" LOGIN INHERIT PASSWORD 'known'")
        await admin.execute(f'GRANT "{stack}_hub", "{stack}_course" TO "{login}"')
    try:
        async with connected(url) as running:
            before = await refused(running, INSERT_KEY)

            assert await migrate() == []

            after = await refused(running, INSERT_KEY, "CREATE TABLE course.mine (n int)")
            await running.execute("DELETE FROM course.courses WHERE false")
        assert (before, after) == ([INSERT_KEY], [])
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(url)
    finally:
        async with connected(settings().postgres_url) as admin:
            await admin.execute("DELETE FROM hub.verification_keys WHERE kid = 'forged'")
            await admin.execute(f'DROP ROLE "{login}"')
