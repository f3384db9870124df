"""Resync: fill a projection from the snapshot of its source, by itself when it is new.

A projection is new when a service begins to listen to a state event: what was told before has long left the topic, and
consumers of an older release have committed offsets past it. Each page is a job, and the transaction that applies a
page enqueues the next one: a killed worker repeats one page.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from actors.loops import Loop
from cluster import events, jobs
from cluster.base.principal import platform
from cluster.data import Transaction, read, write
from cluster.events import Snapshots, subscriptions
from cluster.events.subscriptions import Subscription
from cluster.jobs import JobRun
from cluster.people.calls import client

PAGE = 200
ROLLOUT = timedelta(hours=1)
"""Longer than hosts of two releases run side by side: those of the older one skip events that only the newer one hears."""
_LOOK_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Resync:
    """Applies one page of state events, and those behind it."""

    type: str
    after: UUID | None = None


def declare_jobs(services: tuple[str, ...]) -> None:
    """Declare a kind of job for each service with projections: only its own hosts may write its tables."""
    for service in services:
        if events.handlers_of(service).projections:
            jobs.job(_kind(service), attempts=20, timeout_s=60, lane="bulk", service=service)(Resync)
            jobs.perform(Resync)(resync)


def _kind(service: str) -> str:
    return f"{service}.resync"


async def resync(run: JobRun, args: Resync) -> None:
    """Run a page of the snapshot through the projections of the job's service.

    Raises:
        LookupError: the worker is of an older release; the attempts last for hours, longer than a rollout.
    """
    consumer, declared = str(run.principal.service), events.event_type(args.type)
    if declared is None or args.type not in events.handlers_of(consumer).projections:
        raise LookupError(f"this release of {consumer} does not project {args.type}")
    page = await client(Snapshots, of=declared.service).snapshot(args.type, args.after, PAGE)
    async with write(run.principal) as tx:
        await events.project(tx, consumer, page.envelopes)
        if page.next is not None:
            _enqueue(tx, Subscription(consumer, args.type), after=page.next)


def _enqueue(tx: Transaction, new: Subscription, *, after: UUID | None = None, at: datetime | None = None) -> None:
    # No dedupe: the one for later must not be taken for the one for now. Applying a page twice does no harm.
    jobs.enqueue_as(tx, jobs.job_type(_kind(new.consumer)), Resync(type=new.type, after=after), at=at)


async def subscribe(services: tuple[str, ...]) -> list[Subscription]:
    """Have the projections of these services filled that were not before; return which."""
    wanted = subscriptions.subscriptions(services)
    async with read() as db:
        if not await subscriptions.are_new(db, wanted):
            return []
    async with write(platform("hub")) as tx:
        added = await subscriptions.insert_subscriptions(tx, wanted)
        for new in added:
            _enqueue(tx, new)
            _enqueue(tx, new, at=tx.now + ROLLOUT)
    return added


class Subscriptions:
    """Looks for new projections: at start, and when `./hub events resync` has asked for one."""

    def __init__(self, services: tuple[str, ...]) -> None:
        self._services = services
        declare_jobs(services)
        self.loops = (Loop("subscriptions", self.step),)

    def start(self) -> None:
        for loop in self.loops:
            loop.start()

    async def stop(self) -> None:
        for loop in self.loops:
            await loop.stop(grace_s=2.0)

    async def step(self) -> float:
        await subscribe(self._services)
        return _LOOK_S
