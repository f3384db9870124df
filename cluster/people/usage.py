"""Usage: how much was asked, by route and hour, of each caller, of each organization, and of all together.

A request is counted in the memory of its process. Every ten seconds what was counted is handed to gateway, in lots with an id: a
lot that is handed over again, because no answer came, is added once. While gateway is away the counts wait. When a process dies
without an end in good order, what it counted since it last handed over is lost.
"""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from math import ceil
from time import time
from typing import Literal, Protocol
from uuid import UUID

from prometheus_client import Counter

from cluster.base import telemetry
from cluster.base.away import is_away
from cluster.base.ids import OrgId, new_id
from cluster.base.principal import Kind, Principal
from cluster.people.calls import client
from cluster.signals import wake

log = logging.getLogger(__name__)

UsageOf = Literal["person", "key", "organization", "platform"]
EVERYBODY = UUID(int=0)
"""Stands for the platform: all that everybody asked, guests too."""
HAND_OVER_S = 10.0
MOST_COUNTS = 20_000
"""So many combinations of caller, route and organizations a process counts until it can hand them over."""
LOT = 500
"""So many of them are handed over at a time."""
_ANSWER_LIMIT_S = 5.0
_LAST_LIMIT_S = 3.0
_HOUR_S = 3600
_LOST = Counter(
    "hub_usage_lost",
    "Requests that no usage counts: gateway did not take what was counted.",
    registry=telemetry.REGISTRY,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """How much one caller, one organization or everybody asked of a route in an hour."""

    of: UsageOf
    subject_id: UUID
    org_id: OrgId | None
    """The organization itself, or the one that a key is bound to."""
    hour: datetime
    route: str
    """A method and a path as the API document writes it."""
    calls: int
    units: int
    """What they cost."""


class UsageKeeper(Protocol):
    """Answered by gateway."""

    async def add_usage(self, lot_id: UUID, used: list[Used]) -> None:
        """Add what was used. A lot that was added before changes nothing."""
        ...


_Asked = tuple[int, str, Kind, UUID | None, OrgId | None, tuple[UUID, ...]]
"""What is counted together: hour, route, kind and id of the caller, the organization it is bound to, and those that it came to.

A plain tuple: every request makes one.
"""


@dataclass(frozen=True, slots=True)
class _Lot:
    id: UUID
    used: list[Used]


class Usage:
    """What this process counted and gateway does not have yet."""

    def __init__(self) -> None:
        self._counts: dict[_Asked, list[int]] = {}
        self._lot: _Lot | None = None
        """What is handed over now, or was and got no answer."""
        self._turn = asyncio.Lock()
        self.full = asyncio.Event()

    def count(self, principal: Principal, org_ids: tuple[UUID, ...], route: str, units: int) -> None:
        """Count one request of a route. `org_ids`: the organizations in which it was permitted something."""
        asked = (int(time()) // _HOUR_S, route, principal.kind, principal.id, principal.bound_org, org_ids)
        found = self._counts.get(asked)
        if found is not None:
            found[0] += 1
            found[1] += units
        elif len(self._counts) < MOST_COUNTS:
            self._counts[asked] = [1, units]
        else:
            _LOST.inc()
            self.full.set()

    async def hand_over(self) -> None:
        """Give gateway what was counted until now, first what it did not take before. What is counted meanwhile goes the next time.

        Raises:
            RemoteUnavailable, TimeoutError, OSError, asyncpg.PostgresError: it does not answer; the counts are kept.
        """
        async with self._turn:
            lots = ceil(len(self._counts) / LOT) + (self._lot is not None)
            for _ in range(lots):
                # It may have been added already: it goes again as it is, under its id.
                lot = self._lot = self._lot or self._next_lot()
                try:
                    async with asyncio.timeout(_ANSWER_LIMIT_S):
                        await client(UsageKeeper).add_usage(lot.id, lot.used)
                except Exception as error:
                    if isinstance(error, TimeoutError) or is_away(error):
                        raise
                    # It would be refused for ever, and everything behind it would wait.
                    _LOST.inc(sum(each.calls for each in lot.used if each.of == "platform"))
                    log.exception("usage was refused")
                self._lot = None

    def _next_lot(self) -> _Lot:
        sums: dict[tuple[UsageOf, UUID, OrgId | None, int, str], list[int]] = {}
        for asked in list(islice(self._counts, LOT)):
            calls, units = self._counts.pop(asked)
            hour, route, kind, caller_id, bound_org, org_ids = asked
            for of, id, org_id in _subjects(kind, caller_id, bound_org, org_ids):
                found = sums.setdefault((of, id, org_id, hour, route), [0, 0])
                found[0] += calls
                found[1] += units
        used = [
            Used(
                of=of,
                subject_id=id,
                org_id=org_id,
                hour=datetime.fromtimestamp(hour * _HOUR_S, UTC),
                route=route,
                calls=calls,
                units=units,
            )
            for (of, id, org_id, hour, route), (calls, units) in sums.items()
        ]
        return _Lot(new_id(), used)


def _subjects(
    kind: Kind, caller_id: UUID | None, bound_org: OrgId | None, org_ids: tuple[UUID, ...]
) -> Iterator[tuple[UsageOf, UUID, OrgId | None]]:
    """Return for whom a request counts: its caller, each organization once, and all together."""
    if caller_id is not None:
        is_key = kind == "service_account"
        yield "key" if is_key else "person", caller_id, bound_org if is_key else None
    for org_id in org_ids if bound_org is None or bound_org in org_ids else (bound_org, *org_ids):
        yield "organization", org_id, OrgId(org_id)
    yield "platform", EVERYBODY, None


_usage = Usage()
_keeping: "asyncio.Task[None] | None" = None


def current() -> Usage:
    """Return what this process counted."""
    return _usage


async def start() -> None:
    """Begin to hand over what is counted."""
    global _keeping, _usage
    _usage = Usage()
    _keeping = asyncio.create_task(_keep(_usage), name="usage", context=Context())


async def stop() -> None:
    """Hand over what is left, and count for nobody any more."""
    global _keeping, _usage
    keeping, _keeping = _keeping, None
    if keeping is None:
        return
    await wake.end(keeping)
    try:
        async with asyncio.timeout(_LAST_LIMIT_S):
            await _usage.hand_over()
    except Exception as error:
        log.warning("the last usage is lost", extra={"error": repr(error)})
    _usage = Usage()


async def _keep(usage: Usage) -> None:
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout(HAND_OVER_S):
                await usage.full.wait()
        usage.full.clear()
        try:
            await usage.hand_over()
        except Exception as error:
            log.debug("usage waits", extra={"error": repr(error)})
            await asyncio.sleep(1.0)
