"""The service table: what `deployments/<namespace>.py` says of each service, as one dictionary.

A call goes down in rank, an event may go up; `tests/platform` checks imports against the ranks here.
"""

import importlib
import pkgutil
from dataclasses import dataclass, replace
from functools import cache

PARTITIONS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Facts about one service. Whatever must agree with them is derived from here."""

    name: str
    areas: tuple[str, ...]
    """Top-level collections of the API that this service alone answers: `/v1/<area>`."""
    port: int
    rank: int
    """Calls go to lower ranks only; 99: beside the ranks, it listens and nobody's write depends on it."""
    replicas: tuple[int, int] = (2, 10)
    cpu: float = 0.1
    """CPU cores requested for a replica."""
    memory_mib: int = 256
    gpu: float = 0.0
    partitions: int = PARTITIONS
    """Of the topic that it speaks on, when that is made. Later another number would send a key's next events past those
    that wait: let consumers finish first."""
    namespace: str = ""
    """Filled in from the module's name."""
    kernel_tables: tuple[str, ...] = ()
    """Tables of the kernel that this service alone writes; every host reads them."""
    paths: tuple[str, ...] = ()
    """Exact paths outside `/v1` (`/docs`) and prefixes ending in `/` (`/.well-known/`)."""

    @property
    def package(self) -> str:
        return f"api.{self.namespace}.{self.name}"


@cache
def table() -> dict[str, Service]:
    """Read every `SERVICES` tuple of the modules in `deployments/`, by name of service.

    Raises:
        ValueError: two services share a name, an area, a port, a path or a table of the kernel.
    """
    found: dict[str, Service] = {}
    taken: dict[object, str] = {}
    for folder in pkgutil.iter_modules(importlib.import_module("api").__path__):
        namespace = folder.name
        for declared in importlib.import_module(f"deployments.{namespace}").SERVICES:
            service = replace(declared, namespace=namespace)
            areas = (f"area {area}" for area in service.areas)
            for claim in (service.name, service.port, *areas, *service.paths, *service.kernel_tables):
                if claim in taken:
                    raise ValueError(f"{service.name} and {taken[claim]} both claim {claim}")
                taken[claim] = service.name
            found[service.name] = service
    return found


def service_of(subject: type | str) -> Service:
    """Find the service that a class or a module `api.<namespace>.<service>...` belongs to."""
    module = subject if isinstance(subject, str) else subject.__module__
    parts = module.split(".")
    if len(parts) < 3 or parts[0] != "api" or parts[2] not in table():
        raise LookupError(f"{module} is not part of a service in deployments/")
    return table()[parts[2]]


def service_of_area(area: str) -> Service | None:
    """Find the one service that answers `/v1/<area>`."""
    return _areas().get(area)


@cache
def _areas() -> dict[str, Service]:
    return {area: service for service in table().values() for area in service.areas}
