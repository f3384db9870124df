"""Every statement of every service: PostgreSQL takes it, and an index leads to its rows."""

import importlib
import json
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

import asyncpg

from cluster.base.services import table
from cluster.data import Connection, read
from cluster.data.named import resolve
from tests.harness import Hub
from tests.platform.exceptions import Fault, hold

_STATEMENT = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\s", re.IGNORECASE)


def statements() -> Iterator[tuple[str, str]]:
    """Yield the name and the text of every statement that stands as a constant in a module of a service."""
    for service in table().values():
        package = importlib.import_module(service.package)
        for found in pkgutil.walk_packages(package.__path__, service.package + "."):
            module = importlib.import_module(found.name)
            for name, value in vars(module).items():
                if name.isupper() and name[0] != "_" and isinstance(value, str) and _STATEMENT.match(value):
                    yield f"{module.__name__}.{name}", value


async def test_every_statement_is_taken_and_finds_its_rows_by_an_index(hub: Hub) -> None:
    faults: list[str | Fault] = []

    async with read() as db:
        await db.raw.execute("SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan")
        try:
            for name, statement in statements():
                scanned = await _scanned(db, resolve(statement)[0])
                if isinstance(scanned, str):
                    faults.append(f"{name}: {scanned}")
                elif scanned:
                    text = f"{name} reads all of {', '.join(sorted(scanned))}: add an index"
                    faults.append(Fault("may_scan", name, text))
        finally:
            await db.raw.execute("RESET enable_seqscan; RESET plan_cache_mode")

    hold(faults, "may_scan")


async def _scanned(db: Connection, statement: str) -> set[str] | str:
    """Return the tables that the statement reads from end to end even where an index is preferred, or why it is refused."""
    try:
        count = len((await db.raw.prepare(statement)).get_parameters())
        await db.raw.execute("PREPARE probe AS " + statement)
    except asyncpg.PostgresError as error:
        return str(error)
    arguments = f"({', '.join(['NULL'] * count)})" if count else ""
    [row] = await db.raw.fetch("EXPLAIN (FORMAT JSON) EXECUTE probe" + arguments)
    await db.raw.execute("DEALLOCATE probe")
    plan = json.loads(row[0])[0]["Plan"]
    return {node["Relation Name"] for node in _nodes(plan) if node["Node Type"] == "Seq Scan"}


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)
