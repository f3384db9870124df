"""Serve the toy hosts: `python -m tests.deployments.toy_serve HOME PORT`."""

import sys
from pathlib import Path

from deployments.placement import Cluster, Host
from deployments.serve import run

SERVICES = ("course", "media")


def main(home: str, port: str) -> int:
    host = Host(services=SERVICES, replicas=(2, 2), cpu=0.0, memory_mib=256)
    worker = Host(services=SERVICES, replicas=(1, 1), cpu=0.0, memory_mib=256)
    cluster = Cluster(name="toy", namespace="", areas=(), paths=(), web=host, worker=worker)
    toys = "tests.deployments.toy"
    return run(cluster, home=Path(home), port=int(port), web=f"{toys}:ToyHost", worker=f"{toys}:ToyWorker")


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
