import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.base.settings import REPOSITORY
from cluster.hub.scaffold import write_service
from cluster.hub.test import STATIC


@pytest.mark.parametrize("of", ["org", "person"])
@pytest.mark.parametrize("namespace", ["platform", "fresh"])
def test_a_new_service_is_laid_out_and_declared(tmp_path: Path, namespace: str, of: str) -> None:
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    (tmp_path / "deployments").mkdir()
    (tmp_path / "deployments" / "platform.py").write_text((REPOSITORY / "deployments" / "platform.py").read_text())

    written = write_service(namespace, "guest_book", tmp_path, of=of)

    assert {path.name for path in written} >= {
        "contract.py",
        "logic.py",
        "routes.py",
        "recipes.py",
        "test_guest_book.py",
    }
    declared = (tmp_path / "deployments" / f"{namespace}.py").read_text()
    assert 'Service(name="guest_book", areas=("guest-books",), port=' in declared
    assert [path for path in written if "~" in path.read_text() or "  #" in path.read_text()] == []
    python = [str(path) for path in written if path.suffix == ".py"]
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, *python], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.timeout(600)
def test_new_services_pass_their_tests_and_the_platforms(tmp_path: Path) -> None:
    for name in ("actors", "api", "cluster", "deployments", "docs", "tests"):
        shutil.copytree(REPOSITORY / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (
        *REPOSITORY.glob("*.md"),
        *REPOSITORY.glob("*.lock"),
        REPOSITORY / "LICENSE",
        REPOSITORY / "pyproject.toml",
    ):
        shutil.copy(path, tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTEST_XDIST_WORKER": "scaffold"}
    environment["HUB_POSTGRES_URL"] = environment["HUB_ADMIN_URL"]
    pytest_quietly = ("pytest", "-q", "-p", "no:cacheprovider")

    for command in (
        ("cluster.hub.scaffold", "engagement/guest_book"),
        ("cluster.hub.scaffold", "engagement/diary", "--of", "person", "--things", "diaries"),
        ("deployments.generate",),
        (*pytest_quietly, "tests/api/engagement/guest_book", "tests/api/engagement/diary"),
        (*pytest_quietly, *STATIC),
        (*pytest_quietly, "tests/platform/test_tenancy.py", "-k", "diary or guest_book or recipe"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", *command], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command}:\n{done.stdout[-6000:]}{done.stderr[-2000:]}"


def test_the_plural_is_as_told(tmp_path: Path) -> None:
    (tmp_path / "deployments").mkdir()

    written = write_service("fresh", "mailbox", tmp_path, things="mailboxes")

    assert 'areas=("mailboxes",)' in (tmp_path / "deployments" / "fresh.py").read_text()
    assert not [path for path in written if "mailboxs" in path.read_text()]
    assert 'await hub.events("mailbox.created")' in (tmp_path / "tests/api/fresh/mailbox/test_mailbox.py").read_text()


@pytest.mark.parametrize("name", ["course", "Über", "two words", "../x"])
def test_names_that_are_taken_or_none_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"exists already|names are"):
        write_service("learning", name, tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_an_owner_that_is_neither_org_nor_person_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="things are of one of org, person"):
        write_service("fresh", "mailbox", tmp_path, of="platform")

    assert list(tmp_path.iterdir()) == []
