"""Run the tests on servers of their own."""

import os
import subprocess
import sys
from collections.abc import Sequence

from cluster.base.settings import REPOSITORY
from cluster.hub.changed import affected_tests, changed_files
from cluster.servers.testing import running_servers

_WORKERS = "2"
STATIC = tuple(
    f"tests/platform/test_{name}.py"
    for name in ("structure", "dialect", "wire", "sql", "documents", "contracts", "exceptions")
)
"""What reads the whole tree and asks no operation: less than a minute on two idle cores."""


def run_tests(arguments: Sequence[str]) -> int:
    """Run pytest beside whatever runs here and return its exit status; its own summary is the last that is written.

    `faults` as the first argument stands for the tests that kill a whole platform's processes; else they stay out.
    `--changed` stands for the tests of what differs from `main`, `--static` for `STATIC`.
    """
    arguments = with_static(arguments)
    if "--changed" in arguments:
        others = [argument for argument in arguments if argument != "--changed"]
        chosen = affected_tests(changed_files())
        if chosen == []:
            print("nothing was changed that has tests")
            return 0
        arguments = [*(chosen or ()), *others]
    if arguments and arguments[0] == "faults":
        command = [sys.executable, "-m", "pytest", "tests/faults", *arguments[1:]]
        return subprocess.run(
            command, cwd=REPOSITORY, env=dict(os.environ) | {"HUB_FAULTS": "1"}, check=False
        ).returncode
    command = [sys.executable, "-m", "pytest", *_spread(arguments), *arguments]
    with running_servers() as settings:
        try:
            return subprocess.run(command, cwd=REPOSITORY, env=dict(os.environ) | settings, check=False).returncode
        except KeyboardInterrupt:
            return 130


def with_static(arguments: Sequence[str]) -> list[str]:
    """Put the files of `STATIC` in place of `--static`."""
    return [each for argument in arguments for each in (STATIC if argument == "--static" else (argument,))]


def _spread(arguments: Sequence[str]) -> tuple[str, ...]:
    """Return the options that spread a whole run over workers; a test file stays on one."""
    chosen = any(argument.startswith(("-n", "--numprocesses", "--pdb", "-s", "--dist")) for argument in arguments)
    some = any((REPOSITORY / argument.split("::")[0]).exists() for argument in arguments)
    return () if chosen or some else ("-n", os.environ.get("HUB_TEST_WORKERS", _WORKERS), "--dist", "loadfile")
