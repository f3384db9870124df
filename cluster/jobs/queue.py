"""Enqueue and cancel jobs in the caller's transaction, so that a job exists exactly when the change does."""

from dataclasses import dataclass
from dataclasses import replace as replaced
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import msgspec

from cluster.base import telemetry
from cluster.base.ids import new_id
from cluster.base.principal import Principal
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
    replace: bool
    caller: Any


@dataclass(frozen=True, slots=True)
class _Cancelled:
    kind: str
    dedupe: str


def enqueue(
    tx: Transaction,
    args: object,
    *,
    at: datetime | None = None,
    dedupe: str | None = None,
    replace: bool = False,
    as_: Principal | None = None,
) -> UUID:
    """Have the job done once `tx` has committed, not before `at`, and return its id.

    `dedupe`: while a job of this kind with this text waits, no second one is made, and the id returned here is nobody's.
    The waiting one keeps its arguments and its caller, and starts at the earlier of both times; with `replace` it gets the
    new ones, and starts at the new time. A running job does not count as waiting: it may have missed what changed.

    `as_`: in whose name the job acts, with no more rights than theirs: it finds this principal, whole, as `run.caller`.
    """
    return enqueue_as(tx, type_of(type(args)), args, at=at, dedupe=dedupe, replace=replace, as_=as_)


def enqueue_as(
    tx: Transaction,
    declared: JobType,
    args: object,
    *,
    at: datetime | None = None,
    dedupe: str | None = None,
    replace: bool = False,
    as_: Principal | None = None,
) -> UUID:
    """`enqueue` for arguments that several kinds share (`CronSlot`)."""
    if replace and dedupe is None:
        raise ValueError("replace needs dedupe: the text of the job that is replaced")
    id = new_id()
    caller = None if as_ is None else msgspec.to_builtins(as_)
    tx.buffer("jobs", _Enqueued(id, declared, msgspec.to_builtins(args), at, dedupe, replace, caller), _flush)
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
INSERT INTO hub.jobs AS waiting (id, kind, service, args, due_at, dedupe, max_attempts, caller, actor, traceparent)
SELECT id, kind, service, args, coalesce(due_at, now()), dedupe, max_attempts, caller, $actor, $traceparent
FROM unnest(
        $ids::uuid[], $kinds::text[], $services::text[], $args::jsonb[], $due::timestamptz[], $dedupes::text[],
        $max_attempts::int[], $callers::jsonb[]
    ) AS job (id, kind, service, args, due_at, dedupe, max_attempts, caller)
ORDER BY kind, dedupe, id
ON CONFLICT (kind, dedupe) WHERE state = 'queued' DO UPDATE SET
    (due_at, args, max_attempts, attempts, starts, put_back, unfit_since, last_error, caller, actor, traceparent) = (
        SELECT excluded.due_at, excluded.args, excluded.max_attempts, 0, 0, 0, NULL::timestamptz, NULL::text,
            excluded.caller, excluded.actor, excluded.traceparent
        WHERE excluded.id = ANY($replacing::uuid[])
        UNION ALL
        SELECT least(waiting.due_at, excluded.due_at), waiting.args, waiting.max_attempts, waiting.attempts,
            waiting.starts, waiting.put_back, waiting.unfit_since, waiting.last_error, waiting.caller, waiting.actor,
            waiting.traceparent
        WHERE excluded.id <> ALL($replacing::uuid[])
    )
"""


async def _flush(tx: Transaction) -> None:
    cancelled, jobs = _net(tx.buffers["jobs"])
    if cancelled:
        await tx.run(_CANCEL, [each.kind for each in cancelled], [each.dedupe for each in cancelled])
    if not jobs:
        return
    await tx.run(
        _INSERT,
        ids=[job.id for job in jobs],
        kinds=[job.declared.kind for job in jobs],
        services=[job.declared.service for job in jobs],
        args=[job.args for job in jobs],
        due=[job.due_at for job in jobs],
        dedupes=[job.dedupe for job in jobs],
        max_attempts=[job.declared.attempts for job in jobs],
        callers=[job.caller for job in jobs],
        actor=msgspec.to_builtins(Actor.of(tx.principal)),
        traceparent=telemetry.traceparent(),
        replacing=[job.id for job in jobs if job.replace],
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
        if earlier is None or job.replace:
            jobs[key] = job
        elif _sooner(job.due_at, earlier.due_at):
            jobs[key] = replaced(earlier, due_at=job.due_at)
    return list(cancelled), list(jobs.values())
