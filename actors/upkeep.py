"""Upkeep: purge what the kernel's tables no longer need, and measure what waits in them."""

import time
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

from prometheus_client import Gauge

from actors.loops import Loop
from cluster import events
from cluster.base.telemetry import REGISTRY
from cluster.data import Connection, idempotency, read
from cluster.jobs import operations
from cluster.jobs import run as job_runs

INBOX_DAYS = 14
"""Longer than anything can be redelivered after: Kafka keeps a topic for 7 days."""
_MEASURE_S = 15.0
_PURGE_S = 600.0
_FIRST_PURGE_S = 60.0
_PURGE_ROWS = 20_000
_PURGE_AT_ONCE = 10_000
_COUNTED = 100_000
"""Gauges of rows end here: to count a million every 15 s would be a burden just when there is enough of it."""

_outbox_rows = Gauge(
    "hub_outbox_rows", "Rows of the outbox that wait for the relay, counted up to 100,000", registry=REGISTRY
)
_outbox_age_s = Gauge("hub_outbox_oldest_seconds", "Age of the oldest row of the outbox", registry=REGISTRY)
_parked_keys = Gauge("hub_parked_keys", "Keys with parked events", ["service", "state"], registry=REGISTRY)
_jobs = Gauge("hub_jobs", "Jobs that are not finished, counted up to 100,000", ["state"], registry=REGISTRY)

# A range of the primary key: UUIDv7 ids begin with their time. An array, because a join would read the whole table.
PURGE_INBOX = """
DELETE FROM hub.inbox WHERE consumer = $1 AND event_id = ANY(ARRAY(
    SELECT event_id FROM hub.inbox WHERE consumer = $1 AND event_id < $2 ORDER BY event_id LIMIT $3
))
"""
_OUTBOX = """
SELECT (SELECT count(*) FROM (SELECT FROM hub.outbox LIMIT $1) AS waiting),
    coalesce(extract(epoch FROM now() - (SELECT created_at FROM hub.outbox ORDER BY seq LIMIT 1)), 0)::float8
"""
_PARKED = "SELECT consumer, dead, count(*) FROM hub.parked_keys GROUP BY consumer, dead"
_UNFINISHED = """
SELECT state, count(*) FROM (
    (SELECT state FROM hub.jobs WHERE state IN ('queued', 'running') LIMIT $1)
    UNION ALL (SELECT state FROM hub.jobs WHERE state = 'dead' LIMIT $1)
) AS unfinished GROUP BY state
"""


def first_id_of(moment: datetime) -> UUID:
    """Return the smallest UUIDv7 of a moment (RFC 9562, section 5.7)."""
    return UUID(int=(int(moment.timestamp() * 1000) << 80) | (7 << 76) | (2 << 62))


async def purge_inbox(service: str, now: datetime) -> int:
    """Forget ids of events that were made more than 14 days before `now`; return how many."""
    async with read() as db:
        return await db.run(PURGE_INBOX, service, first_id_of(now - timedelta(days=INBOX_DAYS)), _PURGE_ROWS)


async def measure() -> None:
    """Set the gauges of what waits."""
    async with read() as db:
        (rows, age_s), *_ = await db.rows(_OUTBOX, _COUNTED)
        parked = await db.rows(_PARKED)
        unfinished = {row[0]: row[1] for row in await db.rows(_UNFINISHED, _COUNTED)}
    _outbox_rows.set(rows)
    _outbox_age_s.set(age_s)
    _parked_keys.clear()
    for service, dead, count in parked:
        _parked_keys.labels(service, "dead" if dead else "waiting").set(count)
    for state in ("queued", "running", "dead"):
        _jobs.labels(state).set(unfinished.get(state, 0))


class Upkeep:
    """Runs in every worker host; two at once do no harm."""

    def __init__(self) -> None:
        self._purge_at = time.monotonic() + _FIRST_PURGE_S
        self._measure_at = float("-inf")
        self._purges: deque[Callable[[], Awaitable[bool]]] = deque()
        self.loops = (Loop("upkeep", self.step),)

    def start(self) -> None:
        for loop in self.loops:
            loop.start()

    async def stop(self) -> None:
        for loop in self.loops:
            await loop.stop()

    async def step(self) -> float:
        """Measure when it is time, and delete one lot: a step is short, however much there is to delete."""
        now = time.monotonic()
        if now >= self._measure_at:
            self._measure_at = now + _MEASURE_S
            await measure()
        if now >= self._purge_at:
            self._purge_at = now + _PURGE_S
            self._purges = deque(_purges())
        if not self._purges:
            return max(0.0, self._measure_at - time.monotonic())
        if not await self._purges[0]():
            self._purges.popleft()
        return 0.0


def _purges() -> list[Callable[[], Awaitable[bool]]]:
    """Return what deletes a lot each and tells whether there may be more."""

    async def inbox(service: str) -> bool:
        return await purge_inbox(service, datetime.now(UTC)) == _PURGE_ROWS

    async def jobs() -> bool:
        return await job_runs.purge(_PURGE_AT_ONCE) == _PURGE_AT_ONCE

    async def table(purge: Callable[[Connection], Awaitable[int]]) -> bool:
        async with read() as db:
            return await purge(db) >= _PURGE_AT_ONCE

    return [
        *(partial(inbox, service) for service in events.listening_services()),
        jobs,
        *(partial(table, purge) for purge in (idempotency.purge, operations.purge)),
    ]
