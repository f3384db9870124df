"""Every statement of every service: PostgreSQL takes it, and an index leads to its rows."""

import ast
import importlib
import json
import os
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import asyncpg

from cluster.base.services import table
from cluster.base.settings import REPOSITORY
from cluster.data import Connection, read
from cluster.data.named import resolve
from tests.harness import Hub
from tests.platform.exceptions import Fault, hold

_STATEMENT = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\s", re.IGNORECASE)
_ONE_ROW = "`(SELECT true FROM <table> WHERE <its column> = <the outer row's> LIMIT 1) IS TRUE`"
_HASHED = re.compile(r"hashed (SubPlan \d+)")
_MAY_BE_HASHED = re.compile(r"(?<!SELECT )EXISTS \((?:[^()]|\([^()]*\))*\)\s+AS\s", re.IGNORECASE)
"""EXISTS for each row of a result: the statistics of the moment decide whether PostgreSQL hashes it."""


_PROBE = """
DROP SCHEMA IF EXISTS probe_sql CASCADE;
CREATE SCHEMA probe_sql;
CREATE TABLE probe_sql.courses (id uuid PRIMARY KEY, org_id uuid NOT NULL, slug text NOT NULL);
CREATE TABLE probe_sql.runs (id uuid PRIMARY KEY, course_id uuid NOT NULL, title text NOT NULL);
CREATE INDEX ON probe_sql.courses (org_id);
CREATE INDEX ON probe_sql.runs (course_id);
GRANT USAGE ON SCHEMA probe_sql TO PUBLIC;
GRANT SELECT ON ALL TABLES IN SCHEMA probe_sql TO PUBLIC;
"""


@dataclass(frozen=True, slots=True)
class Statement:
    """A constant of a module."""

    module: ModuleType
    constant: str
    sql: str

    @property
    def name(self) -> str:
        return f"{self.module.__name__}.{self.constant}"

    def place_of(self, scanned: str) -> str:
        """Return `path:line` of the line of the constant that names a table, else of its first."""
        path = Path(str(self.module.__file__))
        source = path.read_text()
        for node in ast.parse(source).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == self.constant:
                numbers = range(node.lineno, (node.end_lineno or node.lineno) + 1)
                lines = source.splitlines()
                named = [number for number in numbers if re.search(rf"\b{scanned}\b", lines[number - 1])]
                return f"{path.relative_to(REPOSITORY)}:{(named or numbers)[-1 if named else 0]}"
        return str(path.relative_to(REPOSITORY))


@dataclass(frozen=True, slots=True)
class Scan:
    """A table that a statement reads from end to end even where an index is preferred."""

    table: str
    is_hashed: bool
    """Of a subquery whose whole result is put into a hash table."""

    @property
    def remedy(self) -> str:
        if self.is_hashed:
            return (
                f"for a subquery that is hashed PostgreSQL reads all of {self.table}, whatever indexes there are. Instead of IN "
                f"or EXISTS ask for one row: {_ONE_ROW}, with an index on that column; or join {self.table}"
            )
        return f"it reads all of {self.table}: add an index on what it asks for"


def statements() -> Iterator[Statement]:
    """Yield every statement that stands as a constant in a module of a service."""
    for service in table().values():
        package = importlib.import_module(service.package)
        for found in pkgutil.walk_packages(package.__path__, service.package + "."):
            module = importlib.import_module(found.name)
            for name, value in vars(module).items():
                if name.isupper() and name[0] != "_" and isinstance(value, str) and _STATEMENT.match(value):
                    yield Statement(module, name, value)


async def test_every_statement_is_taken_and_finds_its_rows_by_an_index(hub: Hub) -> None:
    faults: list[str | Fault] = []

    for statement in statements():
        scanned = await _scanned(statement.sql)
        if isinstance(scanned, str):
            faults.append(f"{statement.name}: {scanned}")
            continue
        for scan in sorted(scanned, key=str):
            text = f"{statement.place_of(scan.table)} {statement.constant}: {scan.remedy}"
            faults.append(Fault("may_scan", statement.name, text))

    hold(faults, "may_scan")


def test_no_statement_selects_what_statistics_may_hash() -> None:
    folders = (REPOSITORY / "api", REPOSITORY / "cluster")
    sources = {path.relative_to(REPOSITORY): path.read_text() for folder in folders for path in folder.rglob("*.py")}

    found = {
        f"{path}:{source.count(chr(10), 0, match.start()) + 1}: instead of EXISTS ask for one row: {_ONE_ROW}"
        for path, source in sources.items()
        for match in _MAY_BE_HASHED.finditer(source)
    }

    assert found == set()


async def test_a_hashed_subquery_is_told_from_a_missing_index(hub: Hub) -> None:
    courses = "SELECT c.id FROM probe_sql.courses c WHERE c.org_id = $org_id AND "
    hashed, missing = Scan("runs", is_hashed=True), Scan("runs", is_hashed=False)
    # Tables of its own: plans of those that other tests fill follow the statistics of the moment.
    admin = await asyncpg.connect(os.environ["HUB_POSTGRES_URL"])
    await admin.execute(_PROBE)

    found = {
        where: await _scanned(courses + where + " LIMIT $limit")
        for where in (
            "c.id NOT IN (SELECT course_id FROM probe_sql.runs)",
            "(c.slug = $slug OR c.id IN (SELECT course_id FROM probe_sql.runs WHERE title = $slug))",
            "EXISTS (SELECT FROM probe_sql.runs r WHERE r.title = c.slug) IS TRUE",
            "(SELECT true FROM probe_sql.runs r WHERE r.course_id = c.id LIMIT 1) IS NOT TRUE",
            "(c.slug = $slug OR (SELECT true FROM probe_sql.runs r WHERE r.course_id = c.id LIMIT 1) IS TRUE)",
        )
    }
    await admin.execute("DROP SCHEMA probe_sql CASCADE")
    await admin.close()

    assert list(found.values()) == [{hashed}, {hashed}, {missing}, set(), set()]


def test_a_fault_names_the_line_the_table_and_the_remedy() -> None:
    module = importlib.import_module("api.learning.course.run.store")
    statement = Statement(module, "LIST_PUBLISHED_RUNS", module.LIST_PUBLISHED_RUNS)

    path, _, line = statement.place_of("catalog").partition(":")

    assert "catalog" in (REPOSITORY / path).read_text().splitlines()[int(line) - 1]
    assert statement.place_of("nowhere") < statement.place_of("catalog")
    assert re.search(r"reads all of runs, .* LIMIT 1\) IS TRUE`", Scan("runs", is_hashed=True).remedy)
    assert Scan("runs", is_hashed=False).remedy == "it reads all of runs: add an index on what it asks for"


async def _scanned(sql: str) -> set[Scan] | str:
    """Return what the statement reads from end to end, or why PostgreSQL refuses it."""
    async with read() as db:
        await db.raw.execute("SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan")
        try:
            return {*_scans(await _plan(db, resolve(sql)[0]))}
        except asyncpg.PostgresError as error:
            return str(error)
        finally:
            await db.raw.execute("RESET enable_seqscan; RESET plan_cache_mode")


async def _plan(db: Connection, statement: str) -> dict[str, Any]:
    count = len((await db.raw.prepare(statement)).get_parameters())
    await db.raw.execute("PREPARE probe AS " + statement)
    arguments = f"({', '.join(['NULL'] * count)})" if count else ""
    # VERBOSE shows what is selected, and so which subqueries of it are hashed.
    try:
        [row] = await db.raw.fetch("EXPLAIN (FORMAT JSON, VERBOSE) EXECUTE probe" + arguments)
    finally:
        await db.raw.execute("DEALLOCATE probe")
    return json.loads(row[0])[0]["Plan"]


def _scans(plan: dict[str, Any]) -> Iterator[Scan]:
    hashed = set(_HASHED.findall(json.dumps(plan)))

    def walk(node: dict[str, Any], is_hashed: bool) -> Iterator[Scan]:
        is_hashed = is_hashed or node.get("Subplan Name") in hashed
        # An index that is read whole is no better when its rows go into a hash table.
        whole = ("Seq Scan",) if not is_hashed else ("Seq Scan", "Index Scan", "Index Only Scan")
        if node["Node Type"] in whole and "Index Cond" not in node:
            yield Scan(node["Relation Name"], is_hashed)
        for child in node.get("Plans", ()):
            yield from walk(child, is_hashed)

    return walk(plan, is_hashed=False)
