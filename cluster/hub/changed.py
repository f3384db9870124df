"""Choose the tests of what was changed since the branch left `main`."""

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from cluster.base.services import Service, table
from cluster.base.settings import REPOSITORY

_INVARIANTS = "tests/platform"
_DOCUMENTS = ("tests/deployments/test_generate.py", "tests/platform/test_documents.py")


def changed_files(repository: Path = REPOSITORY) -> list[str]:
    """List the files that differ from the commit where the branch left `main`, the uncommitted and untracked ones included."""
    known = _git(repository, "rev-parse", "--verify", "--quiet", "main", check=False)
    base = _git(repository, "merge-base", "HEAD", "main") if known else ["HEAD"]
    changed = _git(repository, "diff", "--name-only", "--no-renames", *base)
    return sorted({*changed, *_git(repository, "ls-files", "--others", "--exclude-standard")})


def affected_tests(changed: Iterable[str]) -> list[str] | None:
    """Return the tests to run for these changed files; None: all of them.

    A service's own tests and the invariants of the platform; if its contract changed, the tests of the services that import
    it too. What every service stands on (the kernel, the actors, the deployment, the test harness, the locks) changes all.
    """
    chosen: set[str] = set()
    for path in changed:
        service = _service_at(path)
        if service is not None:
            chosen |= {_folder(service), _INVARIANTS}
            if path == f"{_source(service)}/contract.py":
                chosen |= {_folder(each) for each in _dependants(service)}
        elif re.fullmatch(r"tests/.+/test_\w+\.py", path):
            chosen.add(path)
        elif path.endswith(".md") or path.startswith("docs/"):
            chosen |= {*_DOCUMENTS}
        elif path.startswith("bench/"):
            chosen.add("tests/bench")
        elif re.fullmatch(r"deployments/\w+\.py", path) and Path(path).stem in _namespaces():
            chosen |= {_INVARIANTS, "tests/deployments"}
        elif not path.startswith((".", "LICENSE")):
            return None
    existing = sorted(path for path in chosen if (REPOSITORY / path).exists())
    return [path for path in existing if not any(path.startswith(f"{other}/") for other in existing)]


def _service_at(path: str) -> Service | None:
    for service in table().values():
        if path.startswith((f"{_source(service)}/", f"{_folder(service)}/")):
            return service
    return None


def _dependants(service: Service) -> list[Service]:
    """Find the services that import this one's contract."""
    contract = f"from {service.package}.contract import"
    return [
        other
        for other in table().values()
        if other is not service
        and any(contract in path.read_text() for path in (REPOSITORY / _source(other)).rglob("*.py"))
    ]


def _source(service: Service) -> str:
    return service.package.replace(".", "/")


def _folder(service: Service) -> str:
    return f"tests/{_source(service)}"


def _namespaces() -> set[str]:
    return {service.namespace for service in table().values()}


def _git(repository: Path, *arguments: str, check: bool = True) -> list[str]:
    done = subprocess.run(["git", *arguments], cwd=repository, capture_output=True, text=True, check=check)
    return done.stdout.splitlines()
