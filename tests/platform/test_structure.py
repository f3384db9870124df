"""Invariants of the whole tree: who imports whom, who owns which table, what is declared about it."""

import ast
import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args, get_type_hints

import asyncpg
import pytest

from api.platform.audit.rules import names_a_person
from cluster.base.ids import UserId
from cluster.base.registry import load, offers, offers_by_service
from cluster.base.services import table
from cluster.base.settings import REPOSITORY, settings
from cluster.data import read
from cluster.data.migrations import migrate, migrations
from cluster.events import event_types
from cluster.people.access import Permission, Role, roles_with
from cluster.people.erasure import KERNEL_DATA, statements_of
from cluster.people.erasure_sql import statements
from cluster.people.privacy import Merge, free_text, personal_data

SERVICES = sorted(table())
_TABLE = re.compile(r"CREATE TABLE (\w+)\.(\w+)")
_IMPORT = re.compile(r"^from .*$", re.MULTILINE)
"""A module may be called like a service (`email`), and is imported in the words of SQL."""
_SCHEMA_USE = re.compile(r"(?:FROM|JOIN|INTO|UPDATE|TABLE|ONLY)\s+(\w+)\.(\w+)", re.IGNORECASE)
DECLARED = {service: personal_data(service) for service in SERVICES} | {"hub": KERNEL_DATA}
_PERSON_ID = re.compile(r"^(user_id|\w+_user_id|owner_id|holder_id|successor_id|acting_for|\w+_by)$")
_PERSONAL = re.compile(
    r"^(email|display_name|given_name|family_name|phone|address|user_agent|pronouns|filename|external_id|birth\w*|ip|\w+_ip)$"
)
_TECHNICAL = re.compile(
    r"^(\w+_)?(key|sha256|hash|type|kind|state|action|service|purpose|slug|language|locale|visibility|roles?|permissions|"
    r"scopes?|kid|code|transport|amr|issuer|reason|salt|trace_id|prefix|public_key)$"
)


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
        for schema, name in _SCHEMA_USE.findall(_IMPORT.sub("", path.read_text())):
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


@dataclasses.dataclass(frozen=True, slots=True)
class Column:
    table: str
    name: str
    type: str
    about: str
    enumerated: bool
    """A CHECK lists its values."""
    nullable: bool

    @property
    def names_a_person(self) -> bool:
        """Each of these ids is followed: it has its own entry with `person`."""
        return self.type == "uuid" and bool(_PERSON_ID.match(self.name))

    @property
    def is_personal(self) -> bool:
        if self.names_a_person or (self.type != "uuid" and _PERSONAL.match(self.name)):
            return True
        return self.about.startswith("person:") and self._is_open

    @property
    def is_free_text(self) -> bool:
        return self._is_open and self.type != "bytea"

    @property
    def _is_open(self) -> bool:
        """Anything may stand in it."""
        return (
            self.type in ("text", "text[]", "json", "jsonb", "bytea")
            and not self.enumerated
            and not _TECHNICAL.match(self.name)
        )


async def columns_of(schemas: list[str]) -> list[Column]:
    async with read() as db:
        return await db.all(
            Column,
            """SELECT n.nspname || '.' || c.relname AS table, a.attname AS name, format_type(a.atttypid, NULL) AS type,
                   coalesce(obj_description(c.oid), '') AS about, NOT a.attnotnull AS nullable,
                   EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'c'
                       AND k.conkey = ARRAY[a.attnum] AND pg_get_constraintdef(k.oid) LIKE '%ANY (ARRAY[%') AS enumerated
               FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
               WHERE c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped AND n.nspname = ANY($1::text[])""",
            schemas,
        )


async def test_every_column_about_a_person_is_declared(hub: object) -> None:
    entries = [entry for declared in DECLARED.values() for entry in declared]
    declared = {f"{entry.table}.{name}" for entry in entries for name in entry.columns}
    followed = {f"{entry.table}.{entry.person}" for entry in entries}

    columns = await columns_of([*SERVICES, "hub"])

    missing = {f"{each.table}.{each.name}" for each in columns if each.is_personal} - declared
    assert missing == set(), "declare them in PERSONAL_DATA of the service's privacy.py"
    unfollowed = {f"{each.table}.{each.name}" for each in columns if each.names_a_person} - followed
    assert unfollowed == set(), "each column with a person's id is `person` of an entry of its own"


async def test_every_free_text_column_is_declared(hub: object) -> None:
    declared = {
        f"{entry.table}.{name}"
        for service in SERVICES
        for entry in (*personal_data(service), *free_text(service))
        for name in entry.columns
    }

    columns = await columns_of(SERVICES)

    missing = {f"{each.table}.{each.name}" for each in columns if each.is_free_text} - declared
    assert missing == set(), "personal: PERSONAL_DATA; else FREE_TEXT of the service's privacy.py"


async def test_every_declared_column_exists(hub: object) -> None:
    existing = {(each.table, each.name): each for each in await columns_of([*SERVICES, "hub"])}
    for service, entries in DECLARED.items():
        texts = free_text(service) if service in SERVICES else ()
        named: set[tuple[str, str]] = {(text.table, name) for text in texts for name in text.columns}
        for entry in entries:
            own = (*entry.columns, entry.person, *entry.secret, *entry.clear_to)
            named |= {(entry.table, name) for name in own}
            named |= {(entry.table, entry.organization)} if entry.organization else set()
            assert entry.table.startswith(f"{service}."), entry
            for name, value in entry.clear_to.items():
                assert value is not None or existing[entry.table, name].nullable, f"{entry.table}.{name} is never null"
        assert named - set(existing) == set(), service


def test_every_declaration_of_personal_data_is_complete() -> None:
    for entries in DECLARED.values():
        for entry in entries:
            clears = "clear" in (entry.erasure, entry.let_go)
            keeps = "keep" in (entry.erasure, entry.let_go) or entry.keep_where is not None
            keeps = keeps or (entry.erasure == "clear" and entry.person not in entry.clear_to)
            assert (entry.ground is not None) == keeps, f"a ground goes with what is kept: {entry}"
            assert bool(entry.clear_to) == clears, f"clear_to goes with clear: {entry}"
            assert entry.let_go is None or entry.organization is not None, f"which organization lets go? {entry}"
            assert set(entry.secret) <= set(entry.columns), entry
            assert entry.merge in get_args(Merge), entry


@pytest.mark.parametrize("for_organization", [False, True])
async def test_every_statement_of_an_erasure_fits_the_catalogue(hub: object, for_organization: bool) -> None:
    connection = await asyncpg.connect(settings().postgres_url)
    try:
        for service in SERVICES:
            for each in statements_of(service, for_organization=for_organization):
                for sql in (each.erase, each.count_kept, each.export):
                    if sql is not None:
                        await connection.prepare(sql)
    finally:
        await connection.close()


def test_a_declaration_cannot_smuggle_anything_into_a_statement() -> None:
    sound = KERNEL_DATA[0]

    for unsound in (
        dataclasses.replace(sound, table="hub.jobs; DROP TABLE hub.jobs"),
        dataclasses.replace(sound, person='id" = id OR "id'),
        dataclasses.replace(sound, erasure="clear", clear_to={"kind": "x' WHERE true --"}),
    ):
        with pytest.raises(ValueError, match=r"name of a table or column|not plain enough"):
            statements(unsound, for_organization=False)


async def test_migrating_again_does_nothing(hub: object) -> None:
    assert await migrate() == []


def test_migrations_create_tables_in_their_own_schema() -> None:
    for migration in migrations():
        assert {schema for schema, _ in _TABLE.findall(migration.sql)} <= {migration.service}, migration.name


async def test_a_host_may_touch_no_schema_but_those_of_its_services(hub: object) -> None:
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


def test_names_of_tests_have_at_most_70_characters() -> None:
    named = [
        (path.relative_to(REPOSITORY), node.name)
        for path in sorted((REPOSITORY / "tests").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]

    assert [f"{path}: {name}" for path, name in named if len(name) > 70] == [], "at most 70 characters"
