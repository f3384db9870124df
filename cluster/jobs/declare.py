"""Jobs: durable work for later, enqueued in the caller's transaction, so that it exists exactly when the change does.

A job may run again after a crash, a deadline or an error, but not twice at once: it must be safe to repeat.
`cluster.jobs.run` runs them.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from croniter import CroniterError, croniter

from cluster.base.services import service_of
from cluster.jobs.job_run import JobRun
from cluster.jobs.lanes import Lane

A = TypeVar("A")
C = TypeVar("C", bound=type)


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
    lane: Lane
    cron: str | None = None


Perform = Callable[[JobRun, Any], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CronSlot:
    """The arguments of a periodic job: the moment it stands for."""

    at: datetime


_types: dict[str, JobType] = {}
_by_class: dict[type, JobType] = {}
_performs: dict[str, Perform] = {}


def job(
    kind: str,
    *,
    attempts: int = 10,
    timeout_s: float = 60,
    lane: Lane = "normal",
    concurrency: int = 4,
    service: str | None = None,
) -> Callable[[C], C]:
    """Declare the frozen dataclass below to be the arguments of jobs named `kind`.

    `attempts`: starts that may fail by a fault; outages do not count. `lane`: see `cluster.jobs.lanes`.
    """

    def declare(python: C) -> C:
        if not hasattr(python, "__dataclass_fields__"):
            raise TypeError(f"{python.__name__}: the arguments of a job are a dataclass")
        owner = service or service_of(python).name
        _by_class[python] = _declare(JobType(kind, python, owner, attempts, timeout_s, concurrency, lane))
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
) -> Callable[[Callable[[JobRun, A], Awaitable[None]]], Callable[[JobRun, A], Awaitable[None]]]:
    """Run the function below for these jobs, outside a transaction: it opens `write(run.principal)` itself."""

    def register(function: Callable[[JobRun, A], Awaitable[None]]) -> Callable[[JobRun, A], Awaitable[None]]:
        _performs[_by_class[args].kind] = function
        return function

    return register


def cron(
    name: str,
    expression: str,
    *,
    attempts: int = 3,
    timeout_s: float = 300,
    lane: Lane = "normal",
    service: str | None = None,
) -> Callable[[Callable[[JobRun], Awaitable[None]]], Callable[[JobRun], Awaitable[None]]]:
    """Run the function below at the times of a crontab line (UTC). After an outage only the latest missed one runs."""
    try:
        croniter(expression).get_next()
    except CroniterError as error:
        # Also a day that never comes: the scheduler would look for it, and do nothing else.
        raise ValueError(f"{name}: {expression} is not a crontab expression, or names no time at all") from error

    def register(function: Callable[[JobRun], Awaitable[None]]) -> Callable[[JobRun], Awaitable[None]]:
        async def perform_slot(run: JobRun, slot: CronSlot) -> None:  # noqa: ARG001
            await function(run)

        owner = service or service_of(function.__module__).name
        _declare(JobType(name, CronSlot, owner, attempts, timeout_s, 1, lane, cron=expression))
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


def type_of(args: type) -> JobType:
    """Return what was declared about the class of these arguments."""
    return _by_class[args]
