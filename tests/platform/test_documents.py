"""What the documents say is true: links lead to what they name, and names exist."""

import importlib
import importlib.util
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from typer.core import TyperGroup
from typer.main import get_command

from cluster.base.registry import room
from cluster.base.services import table
from cluster.base.settings import REPOSITORY
from cluster.http import build_app
from cluster.http.routing import MountedRoute
from cluster.hub import events
from cluster.hub.__main__ import app as hub

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


def test_a_heading_stands_between_blank_lines() -> None:
    wrong: list[str] = []
    for page in PAGES:
        lines = ["", *page.read_text().splitlines(), ""]
        for before, line, after in zip(lines, lines[1:], lines[2:], strict=False):
            if re.match(r"#{1,6} ", line) and (before or after):
                wrong.append(f"{page.name}: {line}")

    assert wrong == []


def test_a_page_says_nothing_twice() -> None:
    wrong = [
        f"{page.name}: {said}"
        for page in PAGES
        for said, times in Counter(_sentences(page.read_text())).items()
        if times > 1
    ]

    assert wrong == []


def _sentences(text: str) -> Iterator[str]:
    """Yield the sentences and the rows of tables, those of a few words and code left out."""
    prose = re.sub(r"^ {4,}.*$", "", text, flags=re.MULTILINE)
    for paragraph in re.split(r"\n\s*\n|\n(?=[|#]|\s*- |\s*\d+\. )", prose):
        for sentence in re.split(r"(?<=[.:?])\s", " ".join(paragraph.split())):
            if len(sentence) > 40:
                yield sentence


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


def test_the_kernel_page_names_each_module_once_by_layer() -> None:
    layers = ["base", "data", "signals", "events", "jobs", "people", "http", "host"]
    page = (REPOSITORY / "docs" / "kernel.md").read_text()

    named = [row["module"] for row in _ROW.finditer(page)]

    assert [name for name, times in Counter(named).items() if times > 1] == []
    assert named == sorted(named, key=lambda name: (layers.index(name.split(".")[1]), name))


def _gives(module: ModuleType) -> set[str]:
    """Return the public names that a module defines, or that a package takes into its `__all__`."""
    if hasattr(module, "__all__"):
        return {*module.__all__}
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", module.__name__) == module.__name__
    }


def test_commands_in_the_documents_exist() -> None:
    wrong = [
        f"{page.name}: ./hub{said}"
        for page in PAGES
        for said in re.findall(r"\./hub((?: [^\s`;,)&]+)+)", page.read_text())
        if not said.startswith((" COMMAND", " --help")) and not _is_command(said.split())
    ]

    assert wrong == []


def _is_command(words: list[str]) -> bool:
    """Tell whether `./hub` has this command, and the command these options."""
    command: Any = get_command(hub)
    for word in words:
        if command.name == "events" and not isinstance(command, TyperGroup):
            command = get_command(events.app)
        if not isinstance(command, TyperGroup) or word.startswith("-"):
            break
        command = command.commands.get(word)
        if command is None:
            return False
    options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    passes_on = command.context_settings.get("ignore_unknown_options", False)
    return passes_on or {word.strip("[]") for word in words if word.startswith(("-", "[-"))} <= options


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
