"""What a measurement found, beside a peer of the same run and the goal."""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal

from rich.console import Console
from rich.table import Column, Table

OUTPUT = "HUB_BENCH_OUTPUT"
"""Environment variable: the file into which a measurement's process writes its figures."""
QUICK = "HUB_BENCH_QUICK"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the table. With a `peer`, goal and judgement are of the ratio, else of the value."""

    name: str
    value: float
    unit: str
    peer: float | None = None
    goal: float | None = None
    better: Literal["more", "less"] = "more"

    @property
    def ratio(self) -> float | None:
        return None if self.peer is None else self.value / self.peer

    @property
    def met(self) -> bool | None:
        """Tell whether the goal is reached, None without one."""
        if self.goal is None:
            return None
        judged = self.value if self.ratio is None else self.ratio
        return judged >= self.goal if self.better == "more" else judged <= self.goal


def quick() -> bool:
    """Tell whether this run only tries whether everything works; its figures say little."""
    return os.environ.get(QUICK) == "1"


def progress(text: str) -> None:
    """Say what is going on: standard error belongs to whoever watches."""
    sys.stderr.write(f"  {text}\n")
    sys.stderr.flush()


def hand_over(figures: Sequence[Figure]) -> None:
    """Write the figures where the parent process expects them."""
    Path(os.environ[OUTPUT]).write_text(json.dumps([asdict(figure) for figure in figures]))


def read_handed_over(path: Path) -> list[Figure]:
    return [Figure(**each) for each in json.loads(path.read_text())]


def typical(values: Sequence[float]) -> float:
    """Return the median, which one disturbed repetition does not move."""
    return float(median(values))


def document(measured: dict[str, list[Figure]]) -> dict[str, Any]:
    """Return everything as JSON: by measurement, with ratio and judgement."""
    return {
        name: [asdict(figure) | {"ratio": figure.ratio, "met": figure.met} for figure in figures]
        for name, figures in measured.items()
    }


def show(measured: dict[str, list[Figure]], console: Console) -> None:
    table = Table(
        Column("", no_wrap=True),
        Column("what", no_wrap=True),
        "value",
        "peer",
        "ratio",
        "goal",
        "",
        box=None,
        pad_edge=False,
    )
    for name, figures in measured.items():
        for index, figure in enumerate(figures):
            sign = "≥" if figure.better == "more" else "≤"
            table.add_row(
                f"[bold]{name}[/]" if index == 0 else "",
                figure.name,
                f"{_short(figure.value)} {figure.unit}",
                "" if figure.peer is None else _short(figure.peer),
                "" if figure.ratio is None else f"{figure.ratio:.2f}",
                "" if figure.goal is None else f"{sign} {_short(figure.goal)}",
                {True: "[green]✓[/]", False: "[red]✗[/]", None: ""}[figure.met],
            )
    console.print(table)


def _short(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 1 else f"{value:.3f}".rstrip("0").rstrip(".")
