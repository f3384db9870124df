"""Upkeep: purge what the kernel's tables no longer need, and measure what waits in them."""

import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

from prometheus_client import Gauge

from actors.loops import Loop
from cluster import events, idempotency, identity, job_runs, operations
from cluster.postgres import read
from cluster.telemetry import REGISTRY

INBOX_DAYS = 14
"""Longer than anything can be redelivered after: Kafka keeps a topic for 7 days."""
_MEASURE_S = 15.0
_PURGE_S = 600.0
_PURGE_ROWS = 20_000
_PURGE_AT_ONCE = 10_000

_outbox_rows = Gauge("hub_outbox_rows", "Rows of the outbox that wait for the relay", registry=REGISTRY)
_outbox_age_s = Gauge("hub_outbox_oldest_seconds", "Age of the oldest row of the outbox", registry=REGISTRY)
_parked_keys = Gauge("hub_parked_keys", "Keys with parked events", ["service", "state"], registry=REGISTRY)
_jobs = Gauge("hub_jobs", "Jobs that are not finished", ["state"], registry=REGISTRY)

# A range of the primary key: UUIDv7 ids begin with their time.
_PURGE_INBOX = """
DELETE FROM hub.inbox WHERE consumer = $1 AND event_id IN (
    SELECT event_id FROM hub.inbox WHERE consumer = $1 AND event_id < $2 ORDER BY event_id LIMIT $3
)
"""
_OUTBOX = "SELECT count(*), coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 FROM hub.outbox"
_PARKED = "SELECT consumer, dead, count(*) FROM hub.parked_keys GROUP BY consumer, dead"
_UNFINISHED = "SELECT state, count(*) FROM hub.jobs WHERE state IN ('queued', 'running', 'dead') GROUP BY state"


def first_id_of(moment: datetime) -> UUID:
    """Return the smallest UUIDv7 of a moment (RFC 9562, section 5.7)."""
    return UUID(int=(int(moment.timestamp() * 1000) << 80) | (7 << 76) | (2 << 62))


async def purge_inbox(service: str, now: datetime) -> int:
    """Forget ids of events that were made more than 14 days before `now`; return how many."""
    async with read() as db:
        return await db.run(_PURGE_INBOX, service, first_id_of(now - timedelta(days=INBOX_DAYS)), _PURGE_ROWS)


async def measure() -> None:
    """Set the gauges of what waits."""
    async with read() as db:
        (rows, age_s), *_ = await db.rows(_OUTBOX)
        parked = await db.rows(_PARKED)
        unfinished = {row[0]: row[1] for row in await db.rows(_UNFINISHED)}
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
        self._purged_at = time.monotonic()
        self.loops = (Loop("upkeep", self.step),)

    def start(self) -> None:
        for loop in self.loops:
            loop.start()

    async def stop(self) -> None:
        for loop in self.loops:
            await loop.stop()

    async def step(self) -> float:
        await measure()
        if time.monotonic() - self._purged_at > _PURGE_S:
            self._purged_at = time.monotonic()
            for service in events.listening_services():
                while await purge_inbox(service, datetime.now(UTC)) == _PURGE_ROWS:
                    continue
            while await job_runs.purge() == 5000:
                continue
            async with read() as db:
                for purge in (idempotency.purge, identity.purge, operations.purge):
                    while await purge(db) >= _PURGE_AT_ONCE:
                        continue
        return _MEASURE_S
