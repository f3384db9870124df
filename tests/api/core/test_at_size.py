"""Lists at forty thousand rows: each page reads about what it shows, by whichever plan the server settles on."""

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from api.core.auth.session.store import LIST_SESSIONS
from api.core.organization.invitation.store import LIST_INVITATIONS
from api.core.organization.member.store import LIST_MEMBERS, LIST_ORGANIZATIONS_OF
from api.core.organization.store import LIST_ORGANIZATIONS
from api.core.rbac.grant.store import LIST_GRANTS
from api.core.rbac.held_role.store import LIST_HELD_ROLES
from api.core.user.store import LIST_USERS
from api.platform.audit.store import LIST_ENTRIES
from cluster.base.settings import settings
from cluster.data.named import resolve
from cluster.data.postgres import pool
from tests.harness import Hub

ROWS = 40_000
MANY_PAGES = 200
"""Pages of 8 KiB that one answer may touch; a walk over all rows touches 300 and more."""

FILL = """
CREATE FUNCTION pg_temp.id(kind int, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS
    $$ SELECT (lpad(to_hex(n), 12, '0') || '70008000' || lpad(to_hex(kind), 12, '0'))::uuid $$;
INSERT INTO organization.organizations (id, slug, name, created_by, created_at, updated_at)
SELECT pg_temp.id(1, n), 'size-' || n, 'Size', pg_temp.id(2, n), now(), now() FROM generate_series(1, {ROWS}) n;
INSERT INTO organization.members (id, org_id, user_id, state, joined_at, updated_at)
SELECT pg_temp.id(3, n), pg_temp.id(1, 1 + n % 1000), pg_temp.id(2, n / 10), 'active', now(), now()
FROM generate_series(1, {ROWS}) n;
INSERT INTO organization.invitations (id, org_id, token_sha256, roles, max_uses, created_by, created_at, expires_at)
SELECT pg_temp.id(4, n), pg_temp.id(1, 1 + n % 1000), int8send(n), '{}', 1, pg_temp.id(2, n), now(), now()
FROM generate_series(1, {ROWS}) n;
INSERT INTO rbac.grants (id, user_id, role, scope, scope_id, org_id, created_at)
SELECT pg_temp.id(5, n), pg_temp.id(2, n / 10), 'instructor', 'course', pg_temp.id(6, n), pg_temp.id(1, 1 + n % 1000), now()
FROM generate_series(1, {ROWS}) n;
INSERT INTO auth.sessions (id, user_id, salt, rotated_at, transport, auth_time, amr, user_agent, address, created_at, expires_at)
SELECT pg_temp.id(7, n), pg_temp.id(2, n / 10), ''::bytea, now(), 'body', now(), '{pwd}', '', '', now(), now() + interval '1 day'
FROM generate_series(1, {ROWS}) n;
INSERT INTO "user".users (id, email, name, state, created_at, updated_at)
SELECT pg_temp.id(2, n), n || '@people.example', 'Somebody', 'active', now(), now() FROM generate_series(1, {ROWS}) n;
INSERT INTO audit.entries (id, chain, shard, action, actor_kind, actor, target_type, target, version, payload, at, trace_id)
SELECT pg_temp.id(8, n), pg_temp.id(1, 7 + n % 4), 0, 'course.updated', 'person', 'person:' || n / 40, 'course',
    'course-' || n / 40, 1, '{}', now(), '' FROM generate_series(1, {ROWS}) n;
ANALYZE audit.entries, organization.organizations, organization.members, organization.invitations;
ANALYZE rbac.grants, auth.sessions, "user".users
""".replace("{ROWS}", str(ROWS))


TABLES = (
    "audit.entries",
    "organization.members",
    "organization.invitations",
    "organization.organizations",
    "rbac.grants",
    "auth.sessions",
    '"user".users',
)
"""Emptied of these rows afterwards: later tests in this database seal, project and export all that is there."""


def uuid(kind: int, n: int) -> UUID:
    return UUID(f"{n:012x}70008000{kind:012x}")


ORG, PERSON, NONE = uuid(1, 7), uuid(2, 123), []
NOW = "now()"

CASES: dict[str, tuple[str, list[Any] | dict[str, Any]]] = {
    # Names that a case leaves out are NULL.
    "members of an organization": (LIST_MEMBERS, [False, [ORG], None, ORG, None, None, None, None, None, 21]),
    "members of all of one's organizations": (
        LIST_MEMBERS,
        [False, [ORG], PERSON, None, None, None, None, None, None, 21],
    ),
    "one's own memberships": (LIST_MEMBERS, [False, NONE, PERSON, None, None, None, None, None, None, 21]),
    "a person's membership, for staff": (LIST_MEMBERS, [False, [ORG], None, ORG, PERSON, None, None, None, None, 21]),
    "who has left an organization": (LIST_MEMBERS, [False, [ORG], None, ORG, None, ["left"], None, None, None, 21]),
    "a person's memberships, for the platform": (
        LIST_MEMBERS,
        [True, NONE, None, None, PERSON, None, None, None, None, 21],
    ),
    "all members, for the platform": (LIST_MEMBERS, [True, NONE, None, None, None, None, None, None, None, 21]),
    "one's organizations": (LIST_ORGANIZATIONS, [False, [ORG], None, None, None, 21]),
    "an organization by its slug": (LIST_ORGANIZATIONS, [False, [ORG], "size-1", None, None, 21]),
    "all organizations": (LIST_ORGANIZATIONS, [True, NONE, None, None, None, 21]),
    "invitations of an organization": (LIST_INVITATIONS, [False, [ORG], ORG, None, None, 21]),
    "invitations where one may invite": (LIST_INVITATIONS, [False, [ORG], None, None, None, 21]),
    "nobody's invitations": (LIST_INVITATIONS, [False, NONE, None, None, None, 21]),
    "one's own grants": (LIST_GRANTS, [False, NONE, PERSON, NONE, NONE, *[None] * 7, 21]),
    "grants of an organization": (LIST_GRANTS, [False, [ORG], None, NONE, NONE, ORG, *[None] * 6, 21]),
    "grants where one may see them": (LIST_GRANTS, [False, [ORG], PERSON, NONE, NONE, *[None] * 7, 21]),
    "a person's grants, for staff": (LIST_GRANTS, [False, [ORG], None, NONE, NONE, ORG, PERSON, *[None] * 5, 21]),
    "a role's grants, for staff": (
        LIST_GRANTS,
        [False, [ORG], None, NONE, NONE, ORG, None, None, None, "org_admin", None, None, 21],
    ),
    "grants on a course": (
        LIST_GRANTS,
        [False, NONE, PERSON, [uuid(6, 5)], NONE, None, None, None, uuid(6, 5), None, None, None, 21],
    ),
    "one's sessions": (LIST_SESSIONS, {"user_id": PERSON, "now": NOW, "limit": 21}),
    "a user by address": (LIST_USERS, {"email": "77@people.example", "limit": 21}),
    "the trail of an organization": (LIST_ENTRIES, {"chain": ORG, "limit": 21}),
    "what one of its people did": (LIST_ENTRIES, {"chain": ORG, "actor": "person:7", "limit": 21}),
    "what was done to one thing": (LIST_ENTRIES, {"chain": ORG, "targets": ["course-7"], "limit": 21}),
    "what was done never": (LIST_ENTRIES, {"chain": ORG, "actions": ["course.deleted"], "limit": 21}),
    "what one holds": (LIST_HELD_ROLES, [PERSON]),
    "where one is a member": (LIST_ORGANIZATIONS_OF, [PERSON]),
}


def literal(value: Any) -> str:
    match value:
        case None:
            return "NULL"
        case bool() | int():
            return str(value)
        case list():
            return "'{" + ",".join(str(each) for each in value) + "}'"
        case _:
            return value if value == NOW else f"'{value}'"


@pytest.fixture(scope="module")
async def filled(hub: Hub) -> AsyncIterator[None]:
    async with pool().acquire() as raw:
        await raw.execute(FILL)
    yield
    administrator = await asyncpg.connect(settings().postgres_url)
    try:
        # Without triggers: entries of the audit trail are never deleted otherwise.
        await administrator.execute("SET session_replication_role = replica")
        for table in TABLES:
            await administrator.execute(f"DELETE FROM {table} WHERE id::text LIKE '%-7000-8000-00000000000_'")  # noqa: S608
    finally:
        await administrator.close()


@pytest.mark.parametrize("name", CASES)
async def test_a_page_reads_about_what_it_shows(hub: Hub, filled: None, name: str) -> None:
    statement, given = CASES[name]
    sql, names = resolve(statement)
    args = [given.get(each) for each in names] if isinstance(given, dict) else given
    run = f"EXECUTE listing({', '.join(map(literal, args))})"
    async with pool().acquire() as raw:
        await raw.execute(f"PREPARE listing AS {sql}")
        try:
            # From the sixth time on the server may settle on one plan for all arguments.
            for _ in range(6):
                await raw.execute(run)
            explained = json.loads(await raw.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {run}"))[0]["Plan"]
        finally:
            await raw.execute("DEALLOCATE listing")
    pages = explained["Shared Hit Blocks"] + explained["Shared Read Blocks"]
    assert pages < MANY_PAGES, json.dumps(explained, indent=1)
