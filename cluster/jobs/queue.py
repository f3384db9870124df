"""Enqueue and cancel jobs in the caller's transaction, so that a job exists exactly when the change does."""

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import msgspec

from cluster.base import telemetry
from cluster.base.ids import new_id
from cluster.data import Transaction
from cluster.events import Actor
from cluster.jobs.declare import JobType, type_of
from cluster.signals import wake


@dataclass(frozen=True, slots=True)
class _Enqueued:
    id: UUID
    declared: JobType
    args: Any
    due_at: datetime | None
    """None: as soon as the transaction has committed."""
    dedupe: str | None


@dataclass(frozen=True, slots=True)
class _Cancelled:
    kind: str
    dedupe: str


def enqueue(tx: Transaction, args: object, *, at: datetime | None = None, dedupe: str | None = None) -> UUID:
    """Have the job done once `tx` has committed, not before `at`, and return its id.

    `dedupe`: while a job of this kind with this text waits, no second one is made; the waiting one starts at the
    earlier of both times, and the id returned here is nobody's. A running job does not count as waiting: it may have
    missed what changed.
    """
    return enqueue_as(tx, type_of(type(args)), args, at=at, dedupe=dedupe)


def enqueue_as(
    tx: Transaction, declared: JobType, args: object, *, at: datetime | None = None, dedupe: str | None = None
) -> UUID:
    """`enqueue` for arguments that several kinds share (`CronSlot`)."""
    id = new_id()
    tx.buffer("jobs", _Enqueued(id, declared, msgspec.to_builtins(args), at, dedupe), _flush)
    return id


def cancel_jobs(tx: Transaction, args: type, dedupe: str) -> None:
    """Cancel the jobs with such arguments that wait under this text; those that have started go on."""
    tx.buffer("jobs", _Cancelled(type_of(args).kind, dedupe), _flush)


_CANCEL = """
UPDATE hub.jobs SET state = 'cancelled', finished_at = now()
FROM unnest($1::text[], $2::text[]) AS unwanted (kind, dedupe)
WHERE jobs.kind = unwanted.kind AND jobs.dedupe = unwanted.dedupe AND state = 'queued'
"""
# now() is the database's clock, by which jobs are taken; that of this process may be ahead.
# Sorted, so that two transactions with the same dedupe texts wait for each other instead of deadlocking.
_INSERT = """
INSERT INTO hub.jobs (id, kind, service, args, due_at, dedupe, max_attempts, actor, traceparent)
SELECT id, kind, service, args, coalesce(due_at, now()), dedupe, max_attempts, $8, $9
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::jsonb[], $5::timestamptz[], $6::text[], $7::int[])
    AS job (id, kind, service, args, due_at, dedupe, max_attempts)
ORDER BY kind, dedupe, id
ON CONFLICT (kind, dedupe) WHERE state = 'queued' DO UPDATE SET due_at = least(jobs.due_at, excluded.due_at)
"""


async def _flush(tx: Transaction) -> None:
    cancelled, jobs = _net(tx.buffers["jobs"])
    if cancelled:
        await tx.run(_CANCEL, [each.kind for each in cancelled], [each.dedupe for each in cancelled])
    if not jobs:
        return
    await tx.run(
        _INSERT,
        [job.id for job in jobs],
        [job.declared.kind for job in jobs],
        [job.declared.service for job in jobs],
        [job.args for job in jobs],
        [job.due_at for job in jobs],
        [job.dedupe for job in jobs],
        [job.declared.attempts for job in jobs],
        msgspec.to_builtins(Actor.of(tx.principal)),
        telemetry.traceparent(),
    )
    if any(job.due_at is None or job.due_at <= tx.now for job in jobs):
        tx.after_commit(partial(wake.signal, "jobs"))


def _sooner(at: datetime | None, other: datetime | None) -> bool:
    return other is not None and (at is None or at < other)


def _net(buffered: list[Any]) -> tuple[list[_Cancelled], list[_Enqueued]]:
    """Reduce what was asked for, in order, to what to cancel and then jobs to insert, no two of a kind with one text."""
    cancelled: dict[_Cancelled, None] = {}
    jobs: dict[object, _Enqueued] = {}
    for item in buffered:
        if isinstance(item, _Cancelled):
            cancelled[item] = None
            jobs = {key: job for key, job in jobs.items() if key != (item.kind, item.dedupe)}
            continue
        job: _Enqueued = item
        key: object = job.id if job.dedupe is None else (job.declared.kind, job.dedupe)
        earlier = jobs.get(key)
        if earlier is None or _sooner(job.due_at, earlier.due_at):
            jobs[key] = job
    return list(cancelled), list(jobs.values())
