"""What docs/contribute.md tells to write works: its blocks are put into a new service, and that is tested."""

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from cluster.base.settings import REPOSITORY

PAGE = REPOSITORY / "docs" / "contribute.md"
SERVICE = Path("api/engagement/guest_book")
_FIRST_LINE = re.compile(r"(?:#|--) (?P<path>[\w/]+\.(?:py|sql|toml))(?P<made>, as it was made)?\n")


def _blocks() -> Iterator[tuple[Path, str, bool]]:
    """Yield each block that names a file: the file, the text, and whether the new service has it already."""
    for block in re.findall(r"(?:^(?: {4,}.*)?\n)+", PAGE.read_text(), re.MULTILINE):
        starts = re.split(r"(?m)^(?=(?:#|--) [\w/]+\.(?:py|sql|toml)(?:,.*)?$)", dedent(block))
        for text in starts:
            if first := _FIRST_LINE.match(text):
                path = Path(first["path"])
                yield path if path.parts[0] == "tests" else SERVICE / path, text[first.end() :], bool(first["made"])


def _put(path: Path, text: str) -> None:
    """Add a block to a file, its imports on top."""
    path.parent.mkdir(exist_ok=True)
    if not path.exists() or path.suffix != ".py":
        path.write_text(text)
        return
    whole, added = path.read_text(), ast.parse(text).body
    imports = [ast.unparse(each) for each in added if isinstance(each, ast.Import | ast.ImportFrom)]
    rest = next(each for each in added if not isinstance(each, ast.Import | ast.ImportFrom))
    first = min([rest.lineno, *(each.lineno for each in getattr(rest, "decorator_list", ()))])
    docstring = ast.parse(whole).body[0]
    lines = whole.splitlines()
    top, below = lines[: docstring.end_lineno], lines[docstring.end_lineno :]
    path.write_text("\n".join([*top, "", *imports, *below, "", "", *text.splitlines()[first - 1 :], ""]))


@pytest.mark.timeout(300)
def test_the_blocks_of_the_contributors_page_make_a_service(tmp_path: Path) -> None:
    for name in ("actors", "api", "cluster", "deployments", "docs", "tests"):
        shutil.copytree(REPOSITORY / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "jars.lock"):
        shutil.copy(REPOSITORY / name, tmp_path / name)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTEST_XDIST_WORKER": "contribute"}
    environment["HUB_POSTGRES_URL"] = environment["HUB_ADMIN_URL"]

    def run(*command: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", *command], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command}:\n{done.stdout[-6000:]}{done.stderr[-2000:]}"

    run("cluster.hub.scaffold", "engagement/guest_book")
    blocks = list(_blocks())
    for path, text, made in blocks:
        if made:
            assert text.strip() in (tmp_path / path).read_text(), path
        else:
            _put(tmp_path / path, text)

    written = sorted({str(path) for path, _, _ in blocks})
    python = [path for path in written if path.endswith(".py")]
    run("ruff", "check", "--quiet", "--fix", "--select", "I", *python)
    run("ruff", "format", "--quiet", *python)
    run("ruff", "check", "--quiet", *python)
    run("deployments.generate")
    run("pytest", "-q", "-p", "no:cacheprovider", f"tests/{SERVICE}", *_INVARIANTS, "-k", _CHOSEN)
    assert written == _WRITTEN


_WRITTEN = [
    f"{SERVICE}/{name}"
    for name in (
        "calls.py",
        "contract.py",
        "handlers.py",
        "jobs.py",
        "logic.py",
        "migrations/0002_close_guest_books.sql",
        "migrations/0003_welcome_courses.sql",
        "offers.py",
        "privacy.py",
        "routes.py",
        "store.py",
        "words/de.toml",
        "words/en.toml",
    )
] + [
    f"tests/{SERVICE}/{name}"
    for name in (
        "projections.py",
        "recipes.py",
        "test_closing.py",
        "test_switch.py",
        "test_telling.py",
        "test_welcome.py",
    )
]
_INVARIANTS = [
    f"tests/platform/test_{name}.py" for name in ("dialect", "sql", "structure", "wire", "projections", "tenancy")
]
_CHOSEN = "not tenancy or guest_book or recipe"
