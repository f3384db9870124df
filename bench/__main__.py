"""Measure the platform: `./hub bench [NAME...] [--json FILE] [--quick]`.

Each measurement has a process and servers of its own, so that it disturbs nothing that runs and leaves nothing behind.
Peers are measured in the same run, in turns (A B A B), and the median of the turns counts. Other work on the
machine moves every figure; ratios less than the rest.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from bench.figures import OUTPUT, QUICK, Figure, document, read_handed_over, show
from cluster.base.settings import REPOSITORY
from cluster.servers.home import free_port
from cluster.servers.testing import ALL, running_servers

_LIMIT_S = 300
"""A quiet machine needs less than two minutes for any of them."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """A module that is run as a program, and the servers it needs."""

    what: str
    module: str
    servers: tuple[str, ...] = ALL
    limited: bool = False
    """Rate plans count. Elsewhere one person asks more than any plan allows."""


MEASUREMENTS = {
    "noop": Measurement("what the edge costs a request", "bench.noop"),
    "limits": Measurement("what limits and compression cost, and how overload ends", "bench.limits", limited=True),
    "course": Measurement("reading a course", "bench.course"),
    "reads": Measurement("reading what is published", "bench.reads"),
    "writes": Measurement("creating a course", "bench.writes"),
    "events": Measurement("from the outbox to the effect", "bench.events", ("postgres", "valkey", "kafka")),
    "upload": Measurement("a film through tus into the file store", "bench.uploads", ("postgres", "valkey", "s3")),
    "film": Measurement("a film into its renditions", "bench.film", ()),
    "imports": Measurement("what the code of a host costs", "bench.imports", ()),
    "bulk": Measurement("a roster of many people", "bench.bulk", ("postgres", "valkey", "s3")),
    "search": Measurement("finding what changed, and how well", "bench.search", ("postgres", "valkey", "opensearch")),
    "letters": Measurement("letters to a mail server", "bench.letters", ("postgres", "valkey", "s3")),
    "notices": Measurement("from events to inboxes", "bench.notices", ("postgres", "valkey", "s3")),
    "live": Measurement("one message to many connections", "bench.live", ("postgres", "valkey")),
    "flags": Measurement("deciding by flags", "bench.flags", ("postgres", "valkey")),
    "moderation": Measurement("screening a text", "bench.moderation", ("postgres", "valkey", "s3")),
    "up": Measurement("starting, memory and idling", "bench.up", ()),
}


def main() -> int:
    names = ", ".join(f"{name} ({each.what})" for name, each in MEASUREMENTS.items())
    parser = argparse.ArgumentParser(prog="./hub bench", description=f"Measure the platform. Names: {names}.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="what to measure; default: everything")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument("--quick", action="store_true", help="try whether it works; such figures say little")
    arguments = parser.parse_args()
    names_given: list[str] = arguments.names
    if unknown := set(names_given) - set(MEASUREMENTS):
        parser.error(f"no such measurement: {', '.join(sorted(unknown))}; there are {', '.join(MEASUREMENTS)}")
    console = Console(highlight=False, soft_wrap=True)
    # Whole lines also where nobody says how wide the page is.
    console.width = max(console.width, 120)
    busy = os.getloadavg()[0] / (os.cpu_count() or 1)
    if busy > 0.5:
        console.print(f"[yellow]This machine is busy with something else (load {busy:.1f} per core)[/]")
    measured: dict[str, list[Figure]] = {}
    failed = False
    for name in names_given or MEASUREMENTS:
        console.print(f"[bold]{name}[/]: {MEASUREMENTS[name].what}")
        try:
            measured[name] = _measure(MEASUREMENTS[name], quick=arguments.quick)
        except RuntimeError as error:
            console.print(f"[red]  {error}[/]", markup=True)
            failed = True
    show(measured, console)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(document(measured), indent=1) + "\n")
    return 1 if failed else 0


def _measure(measurement: Measurement, *, quick: bool) -> list[Figure]:
    """Run one measurement to its end.

    Raises:
        RuntimeError: its servers do not start, it fails, or it takes too long.
    """
    if not measurement.servers:
        return _run(measurement, {}, quick=quick)
    with running_servers(measurement.servers) as where:
        port = free_port()
        address = {"HUB_PORT": str(port), "HUB_PUBLIC_URL": f"http://127.0.0.1:{port}"}
        limits = {"HUB_RATE_LIMITS": "on" if measurement.limited else "off"}
        return _run(measurement, where | address | limits, quick=quick)


def _run(measurement: Measurement, env: dict[str, str], *, quick: bool) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "figures.json"
        # Logs as `./hub up` writes them.
        own = {OUTPUT: str(output), QUICK: "1" if quick else "0", "HUB_LOG_FOLDER": folder}
        # In a session of its own: it ends with everything that it started.
        process = subprocess.Popen(
            [sys.executable, "-m", measurement.module],
            cwd=REPOSITORY,
            env=dict(os.environ) | env | own,
            start_new_session=True,
        )
        try:
            code = process.wait(_LIMIT_S)
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"ended after {_LIMIT_S} s") from None
        finally:
            # As Ctrl-C would, and not at once with SIGKILL: it has a platform to stop.
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(60)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        if code != 0:
            raise RuntimeError(f"ended with status {code}")
        return read_handed_over(output)


if __name__ == "__main__":
    raise SystemExit(main())
