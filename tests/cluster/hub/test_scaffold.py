import subprocess
import sys
from pathlib import Path

import pytest

from cluster.base.settings import REPOSITORY
from cluster.hub.scaffold import write_service


@pytest.mark.parametrize("namespace", ["platform", "fresh"])
def test_a_new_service_is_well_formed_typed_and_declared(tmp_path: Path, namespace: str) -> None:
    (tmp_path / "deployments").mkdir()
    (tmp_path / "deployments" / "platform.py").write_text((REPOSITORY / "deployments" / "platform.py").read_text())
    written = write_service(namespace, "guest_book", tmp_path)
    assert {path.name for path in written} >= {"contract.py", "logic.py", "routes.py", "test_guest_book.py"}
    declared = (tmp_path / "deployments" / f"{namespace}.py").read_text()
    assert 'Service(name="guest_book", areas=("guest-books",), port=' in declared
    python = [str(path) for path in written if path.suffix == ".py"]
    style = ["--config", str(REPOSITORY / "pyproject.toml")]
    for command in (["check", "--ignore", "I001"], ["format", "--check"]):
        done = subprocess.run([sys.executable, "-m", "ruff", *command, *style, *python], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


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
