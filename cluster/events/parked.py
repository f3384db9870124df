"""What an operator sees of parked events and unfinished jobs, and what they may decide about them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from cluster.data import Connection


@dataclass(frozen=True, slots=True)
class ParkedKey:
    """A key of a listening service whose first parked event failed."""

    consumer: str
    key: str
    waiting: int
    first_type: str
    attempts: int
    dead: bool
    retry_at: datetime
    parked_at: datetime
    last_error: str


@dataclass(frozen=True, slots=True)
class ParkedEvent:
    """One event of a parked key; `envelope` is the CloudEvents document."""

    seq: int
    event_id: UUID
    type: str
    parked_at: datetime
    envelope: str


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job that has not succeeded."""

    id: UUID
    kind: str
    state: str
    due_at: datetime
    attempts: int
    max_attempts: int
    starts: int
    last_error: str | None
    args: Any


_KEYS = """
SELECT consumer, key, waiting, first_type, attempts, dead, retry_at, parked_at, last_error
FROM hub.parked_keys AS parked_key, LATERAL (
    SELECT count(*) AS waiting, (array_agg(type ORDER BY seq))[1] AS first_type
    FROM hub.parked WHERE consumer = parked_key.consumer AND key = parked_key.key
) AS behind
WHERE $1::text IS NULL OR consumer = $1
ORDER BY dead DESC, parked_at LIMIT $2
"""
_EVENTS = """
SELECT seq, event_id, type, parked_at, envelope FROM hub.parked WHERE consumer = $1 AND key = $2 ORDER BY seq LIMIT $3
"""
_REPLAY = """
UPDATE hub.parked_keys SET dead = false, attempts = 0, retry_at = now()
WHERE consumer = $1 AND ($2::text IS NULL OR key = $2)
"""
_LOCK = "SELECT 1 FROM hub.parked_keys WHERE consumer = $1 AND key = $2 FOR UPDATE"
# The key stays parked even when this was its last event: the drainer frees it, in order with what is appended meanwhile.
_SKIP = """
DELETE FROM hub.parked WHERE consumer = $1 AND key = $2
    AND seq = (SELECT min(seq) FROM hub.parked WHERE consumer = $1 AND key = $2)
RETURNING seq, event_id, type, parked_at, envelope
"""
_JOBS = """
SELECT id, kind, state, due_at, attempts, max_attempts, starts, last_error, args FROM hub.jobs
WHERE state = ANY($1::text[]) ORDER BY state, due_at LIMIT $2
"""
_RETRY_JOB = """
UPDATE hub.jobs SET state = 'queued', dedupe = NULL, attempts = 0, starts = 0, put_back = 0, unfit_since = NULL,
    due_at = now(), finished_at = NULL
WHERE id = $1 AND state = 'dead'
"""
_CANCEL_JOB = """
UPDATE hub.jobs SET state = 'cancelled', lease = NULL, finished_at = now()
WHERE id = $1 AND state IN ('queued', 'running', 'dead')
"""


async def list_keys(db: Connection, consumer: str | None = None, limit: int = 100) -> list[ParkedKey]:
    return await db.all(ParkedKey, _KEYS, consumer, limit)


async def list_events(db: Connection, consumer: str, key: str, limit: int = 100) -> list[ParkedEvent]:
    return await db.all(ParkedEvent, _EVENTS, consumer, key, limit)


async def replay(db: Connection, consumer: str, key: str | None = None) -> int:
    """Let the drainer try a key again at once, or all keys of the consumer; return how many."""
    return await db.run(_REPLAY, consumer, key)


async def skip(db: Connection, consumer: str, key: str) -> ParkedEvent | None:
    """Drop the first parked event of a key for this consumer and let those behind it go on. Needs a transaction."""
    if await db.value(_LOCK, consumer, key) is None:
        return None
    skipped = await db.maybe(ParkedEvent, _SKIP, consumer, key)
    await replay(db, consumer, key)
    return skipped


async def list_jobs(db: Connection, states: list[str], limit: int = 100) -> list[JobRow]:
    return await db.all(JobRow, _JOBS, states, limit)


async def retry_job(db: Connection, id: UUID) -> bool:
    """Queue a dead job again, with all its attempts."""
    return await db.run(_RETRY_JOB, id) == 1


async def cancel_job(db: Connection, id: UUID) -> bool:
    """Cancel a job; a running one loses its lease, and its worker stops it within seconds."""
    return await db.run(_CANCEL_JOB, id) == 1
