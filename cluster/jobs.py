"""Jobs: durable work for later, enqueued in the caller's transaction, so that it exists exactly when the change does.

A job may run again after a crash, a deadline or an error, but not twice at once: it must be safe to repeat.
`cluster.job_runs` runs them.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import msgspec
from croniter import CroniterError, croniter

from cluster import telemetry, wake
from cluster.events import Actor
from cluster.ids import new_id
from cluster.postgres import Transaction
from cluster.services import service_of

if TYPE_CHECKING:
    from cluster.job_runs import JobRun

A = TypeVar("A")
C = TypeVar("C", bound=type)


class GiveUp(Exception):
    """Raised by a job that knows that no repetition will help: it is dead at once."""


@dataclass(frozen=True, slots=True)
class JobType:
    """What `@job` or `@cron` declared."""

    kind: str
    python: type
    service: str
    attempts: int
    timeout_s: float
    concurrency: int
    """How many of this kind one worker host runs side by side."""
    cron: str | None = None


Perform = Callable[["JobRun", Any], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CronSlot:
    """The arguments of a periodic job: the moment it stands for."""

    at: datetime


_types: dict[str, JobType] = {}
_by_class: dict[type, JobType] = {}
_performs: dict[str, Perform] = {}


def job(
    kind: str, *, attempts: int = 10, timeout_s: float = 60, concurrency: int = 4, service: str | None = None
) -> Callable[[C], C]:
    """Declare the frozen dataclass below to be the arguments of jobs named `kind`."""

    def declare(python: C) -> C:
        if not hasattr(python, "__dataclass_fields__"):
            raise TypeError(f"{python.__name__}: the arguments of a job are a dataclass")
        owner = service or service_of(python).name
        _by_class[python] = _declare(JobType(kind, python, owner, attempts, timeout_s, concurrency))
        return python

    return declare


def _declare(declared: JobType) -> JobType:
    known = _types.get(declared.kind)
    if known is not None and (known.python.__qualname__, known.service) != (
        declared.python.__qualname__,
        declared.service,
    ):
        raise TypeError(f"{declared.python.__name__}: the job name {declared.kind} is taken by {known.python.__name__}")
    _types[declared.kind] = declared
    return declared


def perform(
    args: type[A],
) -> Callable[[Callable[["JobRun", A], Awaitable[None]]], Callable[["JobRun", A], Awaitable[None]]]:
    """Run the function below for these jobs, outside a transaction: it opens `write(run.principal)` itself."""

    def register(function: Callable[["JobRun", A], Awaitable[None]]) -> Callable[["JobRun", A], Awaitable[None]]:
        _performs[_by_class[args].kind] = function
        return function

    return register


def cron(
    name: str, expression: str, *, attempts: int = 3, timeout_s: float = 300, service: str | None = None
) -> Callable[[Callable[["JobRun"], Awaitable[None]]], Callable[["JobRun"], Awaitable[None]]]:
    """Run the function below at the times of a crontab line (UTC). After an outage only the latest missed one runs."""
    try:
        croniter(expression).get_next()
    except CroniterError as error:
        # Also a day that never comes: the scheduler would look for it, and do nothing else.
        raise ValueError(f"{name}: {expression} is not a crontab expression, or names no time at all") from error

    def register(function: Callable[["JobRun"], Awaitable[None]]) -> Callable[["JobRun"], Awaitable[None]]:
        async def perform_slot(run: "JobRun", slot: CronSlot) -> None:  # noqa: ARG001
            await function(run)

        owner = service or service_of(function.__module__).name
        _declare(JobType(name, CronSlot, owner, attempts, timeout_s, 1, cron=expression))
        _performs[name] = perform_slot
        return function

    return register


def job_types(services: tuple[str, ...] | None = None) -> list[JobType]:
    """Return the kinds that can be performed here, of `services` or of all."""
    return [
        declared
        for kind, declared in sorted(_types.items())
        if kind in _performs and (services is None or declared.service in services)
    ]


def job_type(kind: str) -> JobType:
    return _types[kind]


def perform_of(kind: str) -> Perform:
    return _performs[kind]


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
    return enqueue_as(tx, _by_class[type(args)], args, at=at, dedupe=dedupe)


def enqueue_as(
    tx: Transaction, declared: JobType, args: object, *, at: datetime | None = None, dedupe: str | None = None
) -> UUID:
    """`enqueue` for arguments that several kinds share (`CronSlot`)."""
    id = new_id()
    tx.buffer("jobs", _Enqueued(id, declared, msgspec.to_builtins(args), at, dedupe), _flush)
    return id


def cancel_jobs(tx: Transaction, args: type, dedupe: str) -> None:
    """Cancel the jobs with such arguments that wait under this text; those that have started go on."""
    tx.buffer("jobs", _Cancelled(_by_class[args].kind, dedupe), _flush)


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
