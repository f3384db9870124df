"""Run jobs: take what is due under a lease, keep the lease, record the end.

A row moves queued -> running -> succeeded | queued (again, later) | dead, or queued -> cancelled. A lease is a fresh
id per start: whoever's id no longer stands in the row has lost the job and can neither extend nor finish it. A worker
that dies finishes nothing; its jobs are due again when their leases end.
"""

import asyncio
import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from prometheus_client import Counter, Histogram

from cluster.base.principal import platform
from cluster.base.telemetry import REGISTRY, span_from
from cluster.data import Connection, read
from cluster.events import Actor
from cluster.events.inbox import describe
from cluster.jobs.declare import GiveUp, JobType, job_type, job_types, perform_of
from cluster.jobs.job_run import JobRun, LeaseLost
from cluster.signals.wake import cancelled

log = logging.getLogger(__name__)

LEASE_S = 12.0
MAX_STARTS = 5
"""Starts without an end. A job that takes its worker down with it must not do so for ever."""

_ended = Counter("hub_jobs_ended_total", "Runs of jobs by how they ended", ["kind", "outcome"], registry=REGISTRY)
_seconds = Histogram(
    "hub_job_run_seconds",
    "How long runs of jobs took",
    ["kind"],
    registry=REGISTRY,
    buckets=(0.01, 0.1, 1, 10, 60, 600, 3600),
)


@dataclass(frozen=True, slots=True)
class Taken:
    """A row that this process has under lease."""

    id: UUID
    kind: str
    args: dict[str, Any]
    state: str
    attempts: int
    max_attempts: int
    starts: int
    lease: UUID
    actor: dict[str, Any]
    traceparent: str | None


# One probe of the index per kind with free slots, then one job of every kind before the second of any.
_TAKE = """
WITH due AS (
    SELECT job.id, row_number() OVER (PARTITION BY free.kind ORDER BY job.due_at) AS turn, job.due_at
    FROM unnest($1::text[], $2::int[]) AS free (kind, slots), LATERAL (
        SELECT id, due_at FROM hub.jobs
        WHERE kind = free.kind AND state IN ('queued', 'running') AND due_at <= now()
        ORDER BY due_at LIMIT free.slots FOR UPDATE SKIP LOCKED
    ) AS job
), chosen AS (SELECT id FROM due ORDER BY turn, due_at LIMIT $3)
UPDATE hub.jobs SET
    state = CASE WHEN starts >= $5 THEN 'dead' ELSE 'running' END,
    starts = starts + 1,
    lease = gen_random_uuid(),
    due_at = now() + $4,
    last_error = CASE WHEN starts >= $5 THEN 'its worker died ' || starts || ' times while it ran' ELSE last_error END,
    finished_at = CASE WHEN starts >= $5 THEN now() END
FROM chosen WHERE jobs.id = chosen.id
RETURNING jobs.id, kind, args, state, attempts, max_attempts, starts, lease, actor, traceparent
"""


async def take(free: Mapping[str, int], limit: int) -> list[Taken]:
    """Lease up to `limit` due jobs of the kinds with free slots, fairly between kinds."""
    if limit <= 0 or not free:
        return []
    lease = timedelta(seconds=LEASE_S)
    async with read() as db:
        taken = await db.all(Taken, _TAKE, list(free), list(free.values()), limit, lease, MAX_STARTS)
    for job in taken:
        if job.state == "dead":
            log.error("a job is dead: its worker died each time", extra={"job": str(job.id), "kind": job.kind})
            _ended.labels(job.kind, "dead").inc()
    return [job for job in taken if job.state == "running"]


# SKIP LOCKED: a run that holds its row in a transaction of its own must not delay the leases of all others.
_KEEP = """
WITH mine AS (
    SELECT id FROM hub.jobs JOIN unnest($1::uuid[], $2::uuid[]) AS held (id, lease) USING (id, lease)
    WHERE state = 'running' FOR UPDATE OF jobs SKIP LOCKED
)
UPDATE hub.jobs SET due_at = now() + $3 FROM mine WHERE jobs.id = mine.id
"""
_HELD = """
SELECT id FROM hub.jobs JOIN unnest($1::uuid[], $2::uuid[]) AS held (id, lease) USING (id, lease) WHERE state =
'running'
"""


async def keep(db: Connection, held: Sequence[Taken]) -> set[UUID]:
    """Extend the leases and return the ids of the jobs that are still ours."""
    ids, leases = [job.id for job in held], [job.lease for job in held]
    await db.run(_KEEP, ids, leases, timedelta(seconds=LEASE_S))
    return {row[0] for row in await db.rows(_HELD, ids, leases)}


async def run(taken: Taken) -> None:
    """Perform a job and record how it ended. Cancelling this releases the job at once.

    Raises:
        OSError, asyncpg.PostgresError: the end could not be recorded; the job runs again after its lease.
    """
    declared = job_type(taken.kind)
    labels = {"job": str(taken.id), "kind": taken.kind, "attempt": taken.attempts + 1}
    with (
        span_from(taken.traceparent, f"job {taken.kind}", "consumer", labels),
        _seconds.labels(taken.kind).time(),
    ):
        try:
            await _perform(declared, taken)
        except asyncio.CancelledError as error:
            if not cancelled():
                await _failed(taken, error, labels)
                return
            await asyncio.shield(_release(taken))
            raise
        except LeaseLost:
            log.warning("a job was lost to another worker", extra=labels)
            _ended.labels(taken.kind, "lost").inc()
        except Exception as error:
            await _failed(taken, error, labels)
        else:
            await _finish(taken, "succeeded")


def job_run(taken: Taken, declared: JobType) -> JobRun:
    """Make what the job's function sees of a start."""
    return JobRun(
        id=taken.id,
        kind=taken.kind,
        principal=platform(declared.service),
        actor=msgspec.convert(taken.actor, Actor, strict=False),
        attempt=taken.attempts + 1,
        max_attempts=taken.max_attempts,
        starts=taken.starts,
        _lease=taken.lease,
        _timeout_s=declared.timeout_s,
    )


async def _perform(declared: JobType, taken: Taken) -> None:
    try:
        args = msgspec.convert(taken.args, declared.python, strict=False)
    except msgspec.ValidationError as error:
        raise GiveUp(f"its arguments no longer fit {declared.python.__name__}: {error}") from error
    started = job_run(taken, declared)
    async with started.deadline():
        await perform_of(taken.kind)(started, args)


async def _failed(taken: Taken, error: BaseException, labels: dict[str, Any]) -> None:
    if isinstance(error, GiveUp) or taken.attempts + 1 >= taken.max_attempts:
        log.error("a job is dead", extra=labels, exc_info=error)
        await _finish(taken, "dead", describe(error))
        return
    log.warning("a job failed and will run again", extra=labels | {"error": describe(error)})
    await _retry(taken, describe(error))


_FINISH = """
UPDATE hub.jobs SET state = $3, last_error = $4, attempts = attempts + 1, starts = 0, finished_at = now()
WHERE id = $1 AND lease = $2 AND state = 'running'
"""
# While another job waits under the same text, that one will do the work.
_RETRY = """
UPDATE hub.jobs SET
    state = CASE WHEN merged THEN 'cancelled' ELSE 'queued' END,
    finished_at = CASE WHEN merged THEN now() END,
    last_error = $3, attempts = attempts + 1, starts = 0, due_at = now() + $4
FROM (
    SELECT EXISTS (
        SELECT 1 FROM hub.jobs AS other JOIN hub.jobs AS mine ON other.kind = mine.kind AND other.dedupe = mine.dedupe
        WHERE mine.id = $1 AND other.state = 'queued'
    ) AS merged
) AS twin
WHERE id = $1 AND lease = $2 AND state = 'running'
"""
# The lease's end stays the limit for the others; a stopping worker makes it now. The start did not end by itself: not
# counted.
_RELEASE = """
UPDATE hub.jobs SET due_at = now(), starts = greatest(starts - 1, 0) WHERE id = $1 AND lease = $2 AND state = 'running'
"""


async def _finish(taken: Taken, state: str, error: str | None = None) -> None:
    async with read() as db:
        found = await db.run(_FINISH, taken.id, taken.lease, state, error)
    _ended.labels(taken.kind, state if found else "lost").inc()


async def _retry(taken: Taken, error: str) -> None:
    # 1 s, 2 s, 4 s, ... at most 15 minutes.
    delay = timedelta(seconds=min(900.0, 2.0**taken.attempts) * random.uniform(0.75, 1.25))  # noqa: S311
    for _ in range(5):
        try:
            async with read() as db:
                await db.run(_RETRY, taken.id, taken.lease, error, delay)
            break
        except asyncpg.UniqueViolationError:
            # Another job with this text was enqueued between our look and our update: look again.
            continue
    _ended.labels(taken.kind, "failed").inc()


async def _release(taken: Taken) -> None:
    async with read() as db:
        await db.run(_RELEASE, taken.id, taken.lease)


async def run_due_jobs(services: tuple[str, ...] | None = None) -> int:
    """Run what is due, one by one, until nothing is; return how many ran. For tests."""
    count = 0
    slots = {declared.kind: 1 for declared in job_types(services)}
    while batch := await take(slots, 10):
        for taken in batch:
            await run(taken)
            count += 1
    return count


_PURGE = """
DELETE FROM hub.jobs WHERE id = ANY(ARRAY(
    SELECT id FROM hub.jobs
    WHERE state IN ('succeeded', 'cancelled') AND finished_at < now() - interval '1 day'
    ORDER BY finished_at LIMIT $1 FOR UPDATE SKIP LOCKED
))
"""


async def purge(limit: int = 5000) -> int:
    """Delete finished jobs that are a day old; return how many. Dead ones stay until somebody decides."""
    async with read() as db:
        return await db.run(_PURGE, limit)
