"""Every service speaks as course does: names of rooms, functions and parameters, and where statements stand."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.base.services import table
from cluster.base.settings import REPOSITORY

SERVICES = sorted(table())
_VERBS = ("find_", "get_", "list_", "insert_", "update_", "upsert_", "delete_", "lock_", "count_")
_ASKS = frozenset({"one", "maybe", "all", "rows", "value", "run", "many"})
_CONNECTIONS = frozenset({"db", "tx"})


def modules(service: str) -> Iterator[tuple[Path, ast.Module]]:
    folder = REPOSITORY / table()[service].package.replace(".", "/")
    for path in sorted(folder.rglob("*.py")):
        yield path.relative_to(REPOSITORY), ast.parse(path.read_text())


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize("service", SERVICES)
def test_a_principal_that_asks_is_called_caller(service: str) -> None:
    found = [
        f"{path}:{function.lineno}"
        for path, tree in modules(service)
        for function in functions(tree)
        for argument in (*function.args.args, *function.args.kwonlyargs)
        if argument.arg == "principal"
    ]

    assert found == []


@pytest.mark.parametrize("service", SERVICES)
def test_paging_alone_counts_one_row_more(service: str) -> None:
    found = [
        f"{path}:{node.lineno}"
        for path, tree in modules(service)
        for node in ast.walk(tree)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add) and ast.unparse(node) == "limit + 1"
    ]

    assert found == []


@pytest.mark.parametrize("service", SERVICES)
def test_statements_are_constants_of_stores(service: str) -> None:
    found: list[str] = []

    for path, tree in modules(service):
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _ASKS):
                continue
            if not (isinstance(node.func.value, ast.Name) and node.func.value.id in _CONNECTIONS):
                continue
            statement = node.args[1 if node.func.attr in ("one", "maybe", "all") else 0]
            named = isinstance(statement, ast.Name) and statement.id.isupper() and not statement.id.startswith("_")
            if path.name != "store.py" or not named:
                found.append(f"{path}:{node.lineno}")

    assert found == []


@pytest.mark.parametrize("service", SERVICES)
def test_stores_use_one_vocabulary(service: str) -> None:
    found = [
        f"{path}:{function.lineno} {function.name}"
        for path, tree in modules(service)
        if path.name == "store.py"
        for function in tree.body
        if isinstance(function, ast.AsyncFunctionDef)
        if not function.name.startswith((*_VERBS, "_"))
    ]

    assert found == [], f"functions of a store begin with {', '.join(_VERBS)}"


@pytest.mark.parametrize("service", SERVICES)
def test_parts_of_a_service_are_folders(service: str) -> None:
    rooms = ("routes", "logic", "store", "rules", "handlers", "jobs")

    found = [str(path) for path, _ in modules(service) if path.stem.endswith(tuple(f"_{room}" for room in rooms))]

    assert found == []


@pytest.mark.parametrize("service", SERVICES)
def test_no_file_of_a_service_passes_420_lines(service: str) -> None:
    found = [str(path) for path, _ in modules(service) if len((REPOSITORY / path).read_text().splitlines()) > 420]

    assert found == []
