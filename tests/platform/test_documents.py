"""What the documents say is true: links lead to what they name, and names exist."""

import importlib
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from cluster.base.registry import room
from cluster.base.services import table
from cluster.base.settings import REPOSITORY
from cluster.http import build_app
from cluster.http.routing import MountedRoute

PAGES = [*sorted(REPOSITORY.glob("*.md")), *sorted((REPOSITORY / "docs").rglob("*.md"))]
_LINK = re.compile(r"\[(?P<text>[^\]]+)\]\((?!https?:|#)(?P<path>[^)#]+)(?:#L(?P<line>\d+))?[^)]*\)")
_ROW = re.compile(r"^\| `(?P<module>cluster[\w.]*)` \| (?P<gives>.*) \|$", re.MULTILINE)


def _links() -> Iterator[tuple[Path, re.Match[str]]]:
    for page in PAGES:
        for link in _LINK.finditer(page.read_text()):
            yield page, link


def test_links_in_the_documents_lead_to_files() -> None:
    assert [f"{page.name}: {link[0]}" for page, link in _links() if not (page.parent / link["path"]).exists()] == []


def test_a_link_named_after_code_leads_to_that_code() -> None:
    wrong: list[str] = []
    for page, link in _links():
        name = re.fullmatch(r"`(\w+)`", link["text"])
        if name is None or not link["path"].endswith(".py"):
            continue
        definition = re.compile(rf"\s*(?:(?:async )?def|class) {name[1]}\b|{name[1]}\b.* = ")
        lines = (page.parent / link["path"]).read_text().splitlines()
        linked = [lines[int(link["line"]) - 1]] if link["line"] else lines
        if not any(definition.match(line) for line in linked):
            wrong.append(f"{page.name}: {link[0]}")

    assert wrong == []


def test_modules_of_the_kernel_that_are_named_import() -> None:
    named = {
        (page.name, name)
        for page in PAGES
        for name in re.findall(r"`(?:python -m )?(cluster(?:\.[A-Za-z_]\w*)+)`", page.read_text())
    }

    assert [f"{page}: {name}" for page, name in sorted(named) if not _exists(name)] == []


def _exists(name: str) -> bool:
    """Tell whether this is a module, or what a module defines."""
    module, _, attribute = name.rpartition(".")
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return hasattr(importlib.import_module(module), attribute)


def test_the_kernel_page_names_what_each_module_gives() -> None:
    rows = list(_ROW.finditer((REPOSITORY / "docs" / "kernel.md").read_text()))
    wrong: list[str] = []
    for row in rows:
        module = importlib.import_module(row["module"])
        named = re.findall(r"`@?([A-Za-z_]\w*)(?:\(.*?\))?(?: -> \w+)?`", row["gives"])
        wrong += [f"{row['module']} gives no {name}" for name in named if name not in _gives(module)]

    assert rows
    assert wrong == []


def _gives(module: ModuleType) -> set[str]:
    """Return the public names that a module defines, or that a package takes into its `__all__`."""
    if hasattr(module, "__all__"):
        return {*module.__all__}
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", module.__name__) == module.__name__
    }


def test_every_area_of_a_service_has_a_route() -> None:
    wrong: list[str] = []
    for name, service in table().items():
        routes = room(name, "routes")
        assert routes is not None, name
        paths = [
            route.prefix if isinstance(route, MountedRoute) else getattr(route, "path", "")
            for route in build_app([routes.router]).router.routes
        ]
        answered = {path.split("/")[2] for path in paths if path.startswith("/v1/")}
        wrong += [f"{name} answers nothing at /v1/{area}" for area in service.areas if area not in answered]

    assert wrong == []
