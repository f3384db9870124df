"""What the code of a host costs: the time until it is ready, until its routes are built, and the memory they hold.

A host is ready when its services are imported; their routes are built in the background, or by the first request that needs
them. Each figure is for the services that exist and, in proportion to their number beside what the kernel takes, for the 48
of the design.
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
_GOAL_FIRST_S = 0.15
_GOAL_MIB = 200.0


def run() -> list[Figure]:
    pairs = [(_in_a_process("once"), _in_a_process("fastapi")) for _ in range(_TIMES)]
    runs = [run for run, _ in pairs]
    kernel_s, services_s, routes_s, slowest_s, kernel_mib, services_mib = (
        median(each) for each in zip(*runs, strict=True)
    )
    fastapi_s = median(alone for _, (alone,) in pairs)
    more = _DESIGNED / len(table())
    ready_s = kernel_s + services_s * more
    return [
        Figure(name="import of fastapi alone", value=fastapi_s, unit="s"),
        Figure(name=f"import of {len(table())} services", value=kernel_s + services_s, unit="s", peer=fastapi_s),
        Figure(name="import of 48 such", value=ready_s, unit="s", goal=_GOAL_S, better="less"),
        Figure(name="import of 48 such and all their routes", value=ready_s + routes_s * more, unit="s"),
        Figure(name="routes of the largest service", value=slowest_s, unit="s", goal=_GOAL_FIRST_S, better="less"),
        Figure(name=f"memory of {len(table())} services", value=kernel_mib + services_mib, unit="MiB"),
        Figure(
            name="memory of 48 such", value=kernel_mib + services_mib * more, unit="MiB", goal=_GOAL_MIB, better="less"
        ),
    ]


def _in_a_process(what: str) -> list[float]:
    process = subprocess.run(
        [sys.executable, "-m", "bench.imports", what], cwd=REPOSITORY, capture_output=True, check=True
    )
    return json.loads(process.stdout)


def _once() -> list[float]:
    """Load everything in this process, as a web host does.

    Return the seconds of the kernel, of the services, of all routes and of the routes of one service at most, then the MiB of
    the kernel and of the services with their routes.
    """
    begun = time.perf_counter()
    from cluster.base.registry import loading, room

    with loading():
        from cluster.http import build_app

        __import__("cluster.host")
        kernel_s, kernel_mib = time.perf_counter() - begun, _peak_mib()
        found = [routes.router for name in table() if (routes := room(name, "routes")) is not None]
    services_s = time.perf_counter() - begun - kernel_s
    each_s: list[float] = []
    for router in found:
        begun = time.perf_counter()
        build_app([router])
        each_s.append(time.perf_counter() - begun)
    return [kernel_s, services_s, sum(each_s), max(each_s), kernel_mib, _peak_mib() - kernel_mib]


def _fastapi() -> list[float]:
    begun = time.perf_counter()
    __import__("fastapi")
    return [time.perf_counter() - begun]


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(_once() if sys.argv[1] == "once" else _fastapi()))
    else:
        hand_over(run())
