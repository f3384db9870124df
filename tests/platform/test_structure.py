"""Invariants of the whole tree: who imports whom, who owns which table, what is declared about it."""

import ast
import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from api.platform.audit.rules import names_a_person
from cluster.base.ids import UserId
from cluster.base.registry import load, offers, offers_by_service, room
from cluster.base.services import table
from cluster.base.settings import REPOSITORY
from cluster.data import read
from cluster.data.migrations import migrate, migrations
from cluster.events import event_types
from cluster.people.access import Permission, Role, roles_with

SERVICES = sorted(table())
_TABLE = re.compile(r"CREATE TABLE (\w+)\.(\w+)")
_SCHEMA_USE = re.compile(r"(?:FROM|JOIN|INTO|UPDATE|TABLE|ONLY)\s+(\w+)\.(\w+)", re.IGNORECASE)
_PERSONAL = re.compile(r"^(user_id|\w+_user_id|owner_id|email|name|display_name|\w+_by)$")


def modules(service: str) -> Iterator[tuple[Path, ast.Module]]:
    folder = REPOSITORY / table()[service].package.replace(".", "/")
    for path in sorted(folder.rglob("*.py")):
        yield path, ast.parse(path.read_text())


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_imports_of_others_their_contract_alone(service: str) -> None:
    own = table()[service].package
    for path, tree in modules(service):
        for name in imported(tree):
            parts = name.split(".")
            if parts[0] == "api" and not name.startswith(own + ".") and len(parts) > 2:
                assert parts[3:4] == ["contract"], f"{path.relative_to(REPOSITORY)} imports {name}"


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_calls_lower_ranks_only(service: str) -> None:
    rank = table()[service].rank
    for path, tree in modules(service):
        for name in imported(tree):
            parts = name.split(".")
            if parts[0] != "api" or len(parts) < 5 or not parts[4].endswith("Calls"):
                continue
            other = table()[parts[2]]
            if other.name != service:
                assert other.rank < rank, f"{path.relative_to(REPOSITORY)} calls {other.name} (rank {other.rank})"


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_reads_and_writes_its_own_schema_alone(service: str) -> None:
    schemas = {*table(), "hub"}
    folder = REPOSITORY / table()[service].package.replace(".", "/")
    for path in [*folder.rglob("*.py"), *folder.rglob("*.sql")]:
        for schema, name in _SCHEMA_USE.findall(path.read_text()):
            if schema in schemas:
                assert schema == service, f"{path.relative_to(REPOSITORY)} touches {schema}.{name}"


@pytest.mark.parametrize("service", SERVICES)
def test_sql_is_never_built_of_values(service: str) -> None:
    for path, tree in modules(service):
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                text = "".join(
                    part.value for part in node.values if isinstance(part, ast.Constant) and isinstance(part.value, str)
                )
                assert not re.search(r"\b(SELECT .* FROM|INSERT INTO|UPDATE .* SET|DELETE FROM)\b", text), path


async def test_every_table_says_whose_rows_it_holds(database: None, hub: object) -> None:
    async with read() as db:
        rows = await db.rows(
            """SELECT n.nspname, c.relname, obj_description(c.oid) AS comment
               FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
               WHERE c.relkind = 'r' AND n.nspname = ANY($1::text[])""",
            [*SERVICES, "hub"],
        )
    assert rows
    wrong = [
        f"{r['nspname']}.{r['relname']}" for r in rows if not re.match(r"(org|person|platform): .", r["comment"] or "")
    ]
    assert wrong == []


async def test_every_column_about_a_person_is_declared(hub: object) -> None:
    async with read() as db:
        rows = await db.rows(
            """SELECT table_schema, table_name, column_name FROM information_schema.columns
               WHERE table_schema = ANY($1::text[])""",
            SERVICES,
        )
    declared: set[str] = set()
    for service in SERVICES:
        privacy = room(service, "privacy")
        declared |= {entry.table for entry in (privacy.PERSONAL_DATA if privacy else ())}
    personal = {f"{r[0]}.{r[1]}" for r in rows if _PERSONAL.match(r[2]) and r[2] != "name"}
    assert personal - declared == set()


async def test_every_declared_column_exists(hub: object) -> None:
    async with read() as db:
        rows = await db.rows("SELECT table_schema, table_name, column_name FROM information_schema.columns")
    existing = {f"{r[0]}.{r[1]}.{r[2]}" for r in rows}
    for service in SERVICES:
        privacy = room(service, "privacy")
        for entry in privacy.PERSONAL_DATA if privacy else ():
            missing = {f"{entry.table}.{column}" for column in (*entry.columns, entry.person)} - existing
            assert missing == set(), service


async def test_migrating_again_does_nothing(hub: object) -> None:
    assert await migrate() == []


def test_migrations_create_tables_in_their_own_schema() -> None:
    for migration in migrations():
        assert {schema for schema, _ in _TABLE.findall(migration.sql)} <= {migration.service}, migration.name


async def test_a_host_may_touch_no_schema_but_those_of_its_services(hub: object) -> None:
    import asyncpg

    from cluster.data.roles import ensure_login

    connection = await asyncpg.connect(await ensure_login(["course"]))
    try:
        await connection.fetch("SELECT 1 FROM course.courses LIMIT 1")
        await connection.fetch("SELECT 1 FROM hub.jobs LIMIT 1")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch("SELECT 1 FROM enrollment.enrollments LIMIT 1")
    finally:
        await connection.close()


def test_permissions_name_roles_and_relations_that_exist() -> None:
    from cluster.people.access import RELATIONS

    known = {role.name for role in offers(Role)} | set(RELATIONS)
    names = [permission.name for permission in offers(Permission)]
    assert len(names) == len(set(names))
    for service, permission in offers_by_service(Permission):
        assert set(permission.roles) <= known, f"{service}: {permission.name}"
        assert roles_with(permission.name)


def test_every_permission_that_code_asks_for_is_offered() -> None:
    offered = {permission.name for permission in offers(Permission)}
    for service in SERVICES:
        for path, tree in modules(service):
            for node in ast.walk(tree):
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Name)
                    and node.func.id in ("permit", "reach_of")
                ):
                    asked = node.args[1] if len(node.args) > 1 else None
                    if isinstance(asked, ast.Constant):
                        assert asked.value in offered, f"{path.relative_to(REPOSITORY)}: {asked.value}"


def test_events_carry_no_names_and_no_free_text() -> None:
    load(SERVICES, "contract")
    for kind in event_types():
        hints = get_type_hints(kind.python)
        for field in dataclasses.fields(kind.python):
            forbidden = {
                "name",
                "email",
                "title",
                "summary",
                "text",
                "body",
                "note",
                "address",
                "phone",
                "detail",
                "message",
            }
            assert field.name not in forbidden, f"{kind.name}: {field.name}"
            if UserId in (hints[field.name], *get_args(hints[field.name])):
                assert names_a_person(field.name), f"{kind.name}: audit does not see that {field.name} names a person"
