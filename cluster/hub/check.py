"""Run every static check and say which failed."""

import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console

from cluster.base.settings import REPOSITORY

_BIN = Path(sys.prefix) / "bin"
_CHECKS: dict[str, tuple[str, ...]] = {
    "ruff check": (str(_BIN / "ruff"), "check", "."),
    "ruff format": (str(_BIN / "ruff"), "format", "--check", "."),
    "pyright": (str(_BIN / "basedpyright"),),
    "imports": (str(_BIN / "lint-imports"),),
    "spelling": (str(_BIN / "codespell"),),
    "generated files": (sys.executable, "-m", "deployments.generate", "--check"),
}


def check(console: Console) -> bool:
    """Run all checks, show what the failed ones wrote, and return whether all passed."""
    failed: list[str] = []
    for name, command in _CHECKS.items():
        began = time.monotonic()
        with console.status(name):
            ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        mark = "[green]✓[/]" if ended.returncode == 0 else "[red]✗[/]"
        console.print(f"{mark} {name} [dim]{time.monotonic() - began:.1f} s[/]")
        if ended.returncode != 0:
            failed.append(name)
            console.print(f"{ended.stdout}{ended.stderr}".rstrip(), markup=False, highlight=False, soft_wrap=True)
    console.print(f"[red]failed: {', '.join(failed)}[/]" if failed else "[green]all checks passed[/]")
    return not failed
