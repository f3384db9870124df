"""Run jobs: take what is due under a lease, keep the lease, record the end.

A row moves queued -> running -> succeeded | queued (again, later) | dead, or queued -> cancelled. A lease is a fresh
id per start: whoever's id no longer stands in the row has lost the job and can neither extend nor finish it. A worker
that dies finishes nothing; its jobs are due again when their leases end.

A start that a fault ends is an attempt, and attempts are limited. A start that an outage ends, or that takes arguments of
another release, is none: the job is put back, and waits longer each time, up to a minute.
"""

import asyncio
import logging
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

import asyncpg
import msgspec
from prometheus_client import Counter, Histogram

from cluster.base.away import is_away
from cluster.base.principal import Principal, platform
from cluster.base.telemetry import REGISTRY, span_from
from cluster.data import Connection, read
from cluster.events import Actor
from cluster.events.handling import describe
from cluster.jobs.declare import JobType, job_type, job_types, perform_of
from cluster.jobs.job_run import JobRun, LeaseLost
from cluster.jobs.lanes import SLOTS, Lane, Slots
from cluster.signals.wake import cancelled

log = logging.getLogger(__name__)

LEASE_S = 12.0
MAX_STARTS = 5
"""Starts without an end. A job that takes its worker down with it must not do so for ever."""
UNFIT_FOR = timedelta(days=1)
"""How long arguments may fit no release that takes them: longer than two releases run side by side."""
_LONGEST_PUT_BACK_S = 60.0
_RECORD_AGAIN_S = 0.3

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
    put_back: int
    unfit_for: timedelta | None
    actor: dict[str, Any]
    caller: dict[str, Any] | None
    traceparent: str | None


# One probe of the index per kind with free slots, then, within a lane, one job of every kind before the second of any. What
# is beyond a lane's own slots shares the others, one job of every lane before the second of any.
_TAKE = """
WITH due AS (
    SELECT job.id, job.due_at, free.lane, free.own, free.most,
        row_number() OVER (PARTITION BY free.kind ORDER BY job.due_at) AS turn
    FROM unnest($kinds::text[], $slots::int[], $lanes::text[], $own::int[], $most::int[])
        AS free (kind, slots, lane, own, most),
    LATERAL (
        SELECT id, due_at FROM hub.jobs
        WHERE kind = free.kind AND state IN ('queued', 'running') AND due_at <= now()
        ORDER BY due_at LIMIT free.slots FOR UPDATE SKIP LOCKED
    ) AS job
), placed AS (
    SELECT id, due_at, own, most, row_number() OVER (PARTITION BY lane ORDER BY turn, due_at) AS place FROM due
), chosen AS (
    SELECT id FROM placed WHERE place <= own AND place <= most
    UNION ALL
    (SELECT id FROM placed WHERE place > own AND place <= most ORDER BY place - own, due_at LIMIT $shared)
)
UPDATE hub.jobs SET
    state = CASE WHEN starts >= $max_starts THEN 'dead' ELSE 'running' END,
    starts = starts + 1,
    lease = gen_random_uuid(),
    due_at = now() + $lease,
    last_error = CASE WHEN starts >= $max_starts THEN 'its worker died ' || starts || ' times while it ran'
        ELSE last_error END,
    finished_at = CASE WHEN starts >= $max_starts THEN now() END
FROM chosen WHERE jobs.id = chosen.id
RETURNING jobs.id, kind, args, state, attempts, max_attempts, starts, lease, put_back, now() - unfit_since AS unfit_for,
    actor, caller, traceparent
"""


async def take(free: Mapping[str, int], slots: Slots) -> list[Taken]:
    """Lease due jobs of the kinds with free slots, as many as each lane has slots for, fairly between its kinds."""
    if not slots.any or not free:
        return []
    lanes: list[Lane] = [job_type(kind).lane for kind in free]
    async with read() as db:
        taken = await db.all(
            Taken,
            _TAKE,
            kinds=list(free),
            slots=list(free.values()),
            lanes=lanes,
            own=[slots.own.get(lane, 0) for lane in lanes],
            most=[slots.most.get(lane, SLOTS) for lane in lanes],
            shared=max(0, slots.shared),
            lease=timedelta(seconds=LEASE_S),
            max_starts=MAX_STARTS,
        )
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
    try:
        started, args = job_run(taken, declared), msgspec.convert(taken.args, declared.python, strict=False)
    except msgspec.ValidationError as error:
        why = f"its arguments do not fit {declared.python.__name__} of this release: {error}"
        return await _unfit(taken, why, labels)
    with (
        span_from(taken.traceparent, f"job {taken.kind}", "consumer", labels),
        _seconds.labels(taken.kind).time(),
    ):
        try:
            async with started.deadline():
                await perform_of(taken.kind)(started, args)
        except asyncio.CancelledError as error:
            if not cancelled():
                return await _failed(taken, started, error, labels)
            await asyncio.shield(_release(taken))
            raise
        except LeaseLost:
            log.warning("a job was lost to another worker", extra=labels)
            _ended.labels(taken.kind, "lost").inc()
        except Exception as error:
            await _failed(taken, started, error, labels)
        else:
            await _finish(taken, "succeeded")


def job_run(taken: Taken, declared: JobType) -> JobRun:
    """Make what the job's function sees of a start."""
    return JobRun(
        id=taken.id,
        kind=taken.kind,
        principal=platform(declared.service),
        actor=msgspec.convert(taken.actor, Actor, strict=False),
        caller=msgspec.convert(taken.caller, Principal | None, strict=False),
        attempt=taken.attempts + 1,
        max_attempts=taken.max_attempts,
        starts=taken.starts,
        _lease=taken.lease,
        _timeout_s=declared.timeout_s,
    )


async def _failed(taken: Taken, started: JobRun, error: BaseException, labels: dict[str, Any]) -> None:
    why = describe(error)
    if started.is_final(error):
        log.error("a job is dead", extra=labels, exc_info=error)
        await _finish(taken, "dead", why)
    elif started.is_away(error):
        log.warning("a job waits for a server that is away", extra=labels | {"error": why})
        await _queue_again(taken, "away", why)
    else:
        log.warning("a job failed and will run again", extra=labels | {"error": why})
        await _queue_again(taken, "failed", why)


async def _unfit(taken: Taken, why: str, labels: dict[str, Any]) -> None:
    if taken.unfit_for is not None and taken.unfit_for > UNFIT_FOR:
        log.error("a job is dead", extra=labels | {"error": why})
        await _finish(taken, "dead", f"for a day no worker understood it: {why}")
        return
    log.warning("a job waits for a worker of its release", extra=labels | {"error": why})
    await _queue_again(taken, "unfit", why)


_FINISH = """
UPDATE hub.jobs SET state = $state, last_error = $error, attempts = attempts + 1, starts = 0, finished_at = now()
WHERE id = $id AND lease = $lease AND state = 'running'
"""
# While another job waits under the same text, that one will do the work.
_QUEUE_AGAIN = """
UPDATE hub.jobs SET
    state = CASE WHEN merged THEN 'cancelled' ELSE 'queued' END,
    finished_at = CASE WHEN merged THEN now() END,
    last_error = $error, due_at = now() + $delay,
    attempts = attempts + CASE WHEN $outcome = 'failed' THEN 1 ELSE 0 END,
    starts = CASE WHEN $outcome = 'unfit' THEN greatest(starts - 1, 0) ELSE 0 END,
    put_back = CASE WHEN $outcome = 'failed' THEN 0 ELSE put_back + 1 END,
    unfit_since = CASE WHEN $outcome = 'unfit' THEN coalesce(unfit_since, now()) END
FROM (
    SELECT EXISTS (
        SELECT 1 FROM hub.jobs AS other JOIN hub.jobs AS mine ON other.kind = mine.kind AND other.dedupe = mine.dedupe
        WHERE mine.id = $id AND other.state = 'queued'
    ) AS merged
) AS twin
WHERE id = $id AND lease = $lease AND state = 'running'
"""
# The lease's end stays the limit for the others; a stopping worker makes it now. The start did not end by itself: not
# counted.
_RELEASE = """
UPDATE hub.jobs SET due_at = now(), starts = greatest(starts - 1, 0) WHERE id = $1 AND lease = $2 AND state = 'running'
"""


async def _finish(taken: Taken, state: str, error: str | None = None) -> None:
    found = await _record(_FINISH, taken, state=state, error=error)
    _ended.labels(taken.kind, state if found else "lost").inc()


async def _queue_again(taken: Taken, outcome: Literal["failed", "away", "unfit"], error: str) -> None:
    # 1 s, 2 s, 4 s, ... at most 15 minutes after a fault, at most one after an outage.
    rounds, longest_s = (taken.attempts, 900.0) if outcome == "failed" else (taken.put_back, _LONGEST_PUT_BACK_S * 0.8)
    delay = timedelta(seconds=min(longest_s, 2.0 ** min(rounds, 10)) * random.uniform(0.75, 1.25))  # noqa: S311
    for _ in range(5):
        try:
            await _record(_QUEUE_AGAIN, taken, error=error, delay=delay, outcome=outcome)
            break
        except asyncpg.UniqueViolationError:
            # Another job with this text was enqueued between our look and our update: look again.
            continue
    _ended.labels(taken.kind, outcome).inc()


async def _record(sql: str, taken: Taken, **named: object) -> int:
    """Write how a start ended, again while the database is away and the lease may last; return the rows touched.

    An end that is not written counts as the death of its worker.
    """
    until = time.monotonic() + LEASE_S
    while True:
        try:
            async with read() as db:
                return await db.run(sql, taken, **named)
        except Exception as error:
            if not is_away(error) or time.monotonic() > until:
                raise
            await asyncio.sleep(_RECORD_AGAIN_S)


async def _release(taken: Taken) -> None:
    async with read() as db:
        await db.run(_RELEASE, taken.id, taken.lease)


async def run_due_jobs(services: tuple[str, ...] | None = None) -> int:
    """Run what is due, one by one, until nothing is; return how many ran. For tests."""
    count = 0
    kinds = {declared.kind: 1 for declared in job_types(services)}
    while batch := await take(kinds, Slots(shared=10)):
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
