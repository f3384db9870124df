import subprocess
from pathlib import Path

import pytest

from cluster.hub.changed import affected_tests, changed_files


def _git(repository: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@people.example", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, *arguments], cwd=repository, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository whose branch `work` has one commit more than `main` had when they parted."""
    _git(tmp_path, "init", "--initial-branch", "main")
    for name in ("kept", "edited", "deleted", "elsewhere"):
        (tmp_path / name).write_text(name)
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "-m", "first")
    _git(tmp_path, "checkout", "-b", "work")
    (tmp_path / "committed").write_text("")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "-m", "on the branch")
    _git(tmp_path, "checkout", "main")
    (tmp_path / "elsewhere").write_text("changed on main since")
    _git(tmp_path, "commit", "-am", "on main")
    _git(tmp_path, "checkout", "work")
    return tmp_path


def test_changed_files_are_committed_uncommitted_and_untracked_ones(repository: Path) -> None:
    (repository / "edited").write_text("otherwise")
    (repository / "deleted").unlink()
    (repository / "new").write_text("")

    assert changed_files(repository) == ["committed", "deleted", "edited", "new"]


def test_changed_files_without_a_main_are_the_uncommitted_ones(repository: Path) -> None:
    _git(repository, "branch", "-D", "main")
    (repository / "edited").write_text("otherwise")

    assert changed_files(repository) == ["edited"]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ([], []),
        (["api/learning/enrollment/logic.py"], ["tests/api/learning/enrollment", "tests/platform"]),
        (["tests/api/learning/enrollment/conftest.py"], ["tests/api/learning/enrollment", "tests/platform"]),
        (["tests/cluster/jobs/test_jobs.py"], ["tests/cluster/jobs/test_jobs.py"]),
        (["tests/platform/test_wire.py", "api/core/user/rules.py"], ["tests/api/core/user", "tests/platform"]),
        (["tests/cluster/jobs/test_gone.py"], []),
        (["README.md"], ["tests/deployments/test_generate.py", "tests/platform/test_documents.py"]),
        (["deployments/learning.py"], ["tests/deployments", "tests/platform"]),
        (["bench/noop.py", ".gitignore"], ["tests/bench"]),
        (["README.md", "cluster/jobs/run.py"], None),
        (["actors/relay.py"], None),
        (["deployments/serve.py"], None),
        (["tests/harness.py"], None),
        (["requirements.lock"], None),
    ],
)
def test_a_change_chooses_the_tests_it_may_break(changed: list[str], expected: list[str] | None) -> None:
    assert affected_tests(changed) == expected


def test_a_changed_contract_chooses_the_services_that_import_it() -> None:
    chosen = affected_tests(["api/learning/enrollment/contract.py"])

    assert chosen is not None
    assert {"tests/api/learning/enrollment", "tests/api/learning/progress", "tests/platform"} <= {*chosen}
    assert "tests/api/core/rbac" not in chosen
