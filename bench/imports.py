"""What the code of a host costs before it answers anything: the time to import all routes, and the memory they hold.

Each figure is for the services that exist and, in proportion to their number beside what the kernel takes, for the 48 of the
design.
"""

import json
import resource
import subprocess
import sys
import time
from statistics import median

from bench.figures import Figure, hand_over, quick
from cluster.base.services import table
from cluster.base.settings import REPOSITORY

_TIMES = 1 if quick() else 7
_DESIGNED = 48
_GOAL_S = 4.0
_GOAL_MIB = 200.0


def run() -> list[Figure]:
    runs = [_in_a_process() for _ in range(_TIMES)]
    kernel_s, services_s, kernel_mib, services_mib = (median(each) for each in zip(*runs, strict=True))
    more = _DESIGNED / len(table())
    return [
        Figure(name=f"import of {len(table())} services", value=kernel_s + services_s, unit="s"),
        Figure(name="import of 48 such", value=kernel_s + services_s * more, unit="s", goal=_GOAL_S, better="less"),
        Figure(name=f"memory of {len(table())} services", value=kernel_mib + services_mib, unit="MiB"),
        Figure(
            name="memory of 48 such", value=kernel_mib + services_mib * more, unit="MiB", goal=_GOAL_MIB, better="less"
        ),
    ]


def _in_a_process() -> list[float]:
    process = subprocess.run(
        [sys.executable, "-m", "bench.imports", "once"], cwd=REPOSITORY, capture_output=True, check=True
    )
    return json.loads(process.stdout)


def _once() -> list[float]:
    """Import everything in this process; return seconds and MiB of the kernel, then those of the services."""
    begun = time.perf_counter()
    from cluster.base.registry import room
    from cluster.host import build_app

    kernel_s, kernel_mib = time.perf_counter() - begun, _peak_mib()
    for name in table():
        routes = room(name, "routes")
        if routes is not None:
            build_app([routes.router])
    return [kernel_s, time.perf_counter() - begun - kernel_s, kernel_mib, _peak_mib() - kernel_mib]


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(_once()))
    else:
        hand_over(run())
