"""Say which services share a process: the same program packed on a laptop, or spread over clusters."""

import os
from dataclasses import dataclass
from typing import Literal, assert_never

from cluster.base.services import Service, table

Placement = Literal["packed", "namespace", "service"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One Serve deployment: its services, and how many processes of it run with how much."""

    services: tuple[str, ...]
    replicas: tuple[int, int]
    """Least and most; equal where nothing scales by itself."""
    cpu: float
    memory_mib: int
    gpu: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """One Ray cluster with two Serve applications: `web` at `/`, and `worker`, which no request reaches."""

    name: str
    namespace: str
    areas: tuple[str, ...]
    """What an ingress in front of several clusters sends here: `/v1/<area>`."""
    paths: tuple[str, ...]
    web: Host
    worker: Host


def place(placement: Placement, *, web_hosts: int | None = None) -> tuple[Cluster, ...]:
    """Put every service of the table on a cluster.

    `web_hosts` counts the web processes of `packed`, where nothing scales by itself; default: one per core, 2 to 4.
    """
    services = tuple(sorted(table().values(), key=lambda service: service.port))
    match placement:
        case "packed":
            count = web_hosts or min(max(os.cpu_count() or 2, 2), 4)
            # No CPU is reserved: on a laptop the cores are the transcoding tasks'.
            return (_cluster("learninghub", services, replicas=(count, count), cpu=0.0),)
        case "namespace":
            namespaces = sorted({service.namespace for service in services})
            return tuple(
                _cluster(namespace, tuple(s for s in services if s.namespace == namespace)) for namespace in namespaces
            )
        case "service":
            return tuple(_cluster(service.name, (service,)) for service in services)
        case _:
            assert_never(placement)


def _cluster(
    name: str, services: tuple[Service, ...], *, replicas: tuple[int, int] | None = None, cpu: float | None = None
) -> Cluster:
    """Sum up services that share a cluster: what they need adds up, except replicas, where the largest wins."""
    names = tuple(service.name for service in services)
    return Cluster(
        name=name,
        namespace=services[0].namespace if len({service.namespace for service in services}) == 1 else "",
        areas=tuple(area for service in services for area in service.areas),
        paths=tuple(path for service in services for path in service.paths),
        web=Host(
            services=names,
            replicas=replicas or (max(s.replicas[0] for s in services), max(s.replicas[1] for s in services)),
            cpu=sum(service.cpu for service in services) if cpu is None else cpu,
            memory_mib=max(service.memory_mib for service in services),
            gpu=max(service.gpu for service in services),
        ),
        worker=Host(
            services=names,
            replicas=(1, 1) if replicas else (2, 5),
            cpu=0.1 if cpu is None else cpu,
            memory_mib=max(service.memory_mib for service in services),
        ),
    )
