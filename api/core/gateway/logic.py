"""The directory of services with their health."""

import asyncio
from dataclasses import dataclass
from typing import Literal

from cluster.base.services import table
from cluster.people import calls

_HEALTH_TIMEOUT_S = 2.0
_HEALTH_TTL_S = 2.0


@dataclass(frozen=True, slots=True)
class ServiceHealth:
    """A service and whether it answers."""

    name: str
    namespace: str
    areas: tuple[str, ...]
    health: Literal["healthy", "unhealthy"]


@dataclass(frozen=True, slots=True)
class _Check:
    """One request for health to every service. Requests that come before `shared_until` share it."""

    answers: asyncio.Task[list[ServiceHealth]]
    shared_until: float


_last_check: _Check | None = None


async def list_services() -> list[ServiceHealth]:
    """Return every service with its health. Requests within 2 s share a check: guests may ask, and a check is many requests."""
    global _last_check
    loop = asyncio.get_running_loop()
    if _last_check is None or _last_check.shared_until <= loop.time():
        _last_check = _Check(loop.create_task(_check_all()), loop.time() + _HEALTH_TTL_S)
    # A request that is cancelled must not cancel the check for the others.
    return await asyncio.shield(_last_check.answers)


async def _check_all() -> list[ServiceHealth]:
    """Ask every service for its health, all at once, at most 2 s each."""
    services = list(table().values())
    answers = await asyncio.gather(*(calls.is_healthy(service, _HEALTH_TIMEOUT_S) for service in services))
    return [
        ServiceHealth(service.name, service.namespace, service.areas, "healthy" if healthy else "unhealthy")
        for service, healthy in zip(services, answers, strict=True)
    ]
