"""Upkeep: purge what the kernel's tables no longer need, and measure what waits in them."""

import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from functools import partial

import asyncpg
from prometheus_client import Gauge
from redis.exceptions import RedisError

from actors.loops import Loop
from cluster.base.telemetry import REGISTRY
from cluster.data import Connection, idempotency, read
from cluster.jobs import bulk, operations, things
from cluster.jobs import run as job_runs
from cluster.signals import broadcast, rooms

INBOX_DAYS = 14
"""Longer than anything can be redelivered after: Kafka keeps a topic for 7 days."""
INBOX_DAYS_AHEAD = 3
"""So long no host may run before ids of a new day go to the default partition, which costs a move later."""
_MEASURE_S = 15.0
_PURGE_S = 600.0
_FIRST_PURGE_S = 60.0
_PURGE_AT_ONCE = 10_000
_COUNTED = 100_000
"""Gauges of rows end here: to count a million every 15 s would be a burden just when there is enough of it."""

_outbox_rows = Gauge(
    "hub_outbox_rows", "Rows of the outbox that wait for the relay, counted up to 100,000", registry=REGISTRY
)
_outbox_age_s = Gauge("hub_outbox_oldest_seconds", "Age of the oldest row of the outbox", registry=REGISTRY)
_parked_keys = Gauge("hub_parked_keys", "Keys with parked events", ["service", "state"], registry=REGISTRY)
_jobs = Gauge("hub_jobs", "Jobs that are not finished, counted up to 100,000", ["state"], registry=REGISTRY)

_ADD_INBOX_DAYS = "SELECT hub.add_inbox_day($1::date + ahead) FROM generate_series(0, $2::int) AS ahead"
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


async def keep_inbox(today: date) -> int:
    """Make the inbox's partitions of today and the days ahead, drop those older than 14 days; return how many.

    Raises:
        asyncpg.LockNotAvailableError: the inbox is too busy to change it now.
    """
    async with read() as db:
        await db.run(_ADD_INBOX_DAYS, today, INBOX_DAYS_AHEAD)
        return await db.value("SELECT hub.drop_inbox_days($1)", today - timedelta(days=INBOX_DAYS))


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

    async def inbox() -> bool:
        with suppress(asyncpg.LockNotAvailableError):
            await keep_inbox(datetime.now(UTC).date())
        return False

    async def jobs() -> bool:
        return await job_runs.purge(_PURGE_AT_ONCE) == _PURGE_AT_ONCE

    async def table(purge: Callable[[Connection], Awaitable[int]]) -> bool:
        async with read() as db:
            return await purge(db) >= _PURGE_AT_ONCE

    async def abandoned_bulks() -> bool:
        return await bulk.sweep() == bulk.SWEPT_AT_ONCE

    async def unused_things() -> bool:
        return await things.sweep() >= things.BATCH

    async def broadcasts() -> bool:
        with suppress(RedisError, OSError):
            await broadcast.trim(datetime.now(UTC) - broadcast.KEPT_FOR)
            await rooms.trim(datetime.now(UTC) - broadcast.KEPT_FOR)
        return False

    return [
        abandoned_bulks,
        unused_things,
        inbox,
        jobs,
        broadcasts,
        *(partial(table, purge) for purge in (idempotency.purge, operations.purge)),
    ]
