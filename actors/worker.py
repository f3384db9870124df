"""WorkerHost: everything that works outside a request, for a set of services, in one process."""

import asyncio
import logging

from actors import performers
from actors.consumers import Consumers
from actors.job_worker import JobWorker
from actors.relay import Relay
from actors.resync import Subscriptions
from actors.scheduler import Scheduler
from actors.smtp import SmtpListener
from actors.upkeep import Upkeep
from cluster import host
from cluster.base import registry
from cluster.base.settings import settings
from cluster.data import read
from cluster.people.requests import register
from cluster.signals.wake import Bell, end

log = logging.getLogger(__name__)

_STOP_LIMIT_S = 12.0
Part = Relay | Consumers | Subscriptions | JobWorker | Scheduler | SmtpListener | Upkeep


class WorkerHost:
    """Relay, consumers, drainer, resync, job worker, scheduler and upkeep; with email, the listener for mail where one is set.

    Start several for availability, they share the work.
    """

    def __init__(self, services: tuple[str, ...]) -> None:
        self.services = services
        self._parts: tuple[Part, ...] = ()
        self._ears: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open the process and begin. Kafka and Redis may be away: their loops wait for them."""
        label = self.services[0] if len(self.services) == 1 else f"{len(self.services)} services"
        with registry.loading():
            await host.open_process(self.services, name=f"worker:{label}", connections=host.WORKER_CONNECTIONS)
            registry.load(self.services, "contract", "handlers", "jobs", "process")
            register(self.services)
            performers.load()
        self.start_parts()

    def start_parts(self) -> None:
        """Begin, in a process that is open and has its services loaded."""
        bell = Bell()
        self._ears = asyncio.create_task(bell.listen(), name="wake-ups")
        self._parts = parts_of(self.services, bell)
        for part in self._parts:
            part.start()

    async def stop(self) -> None:
        """Finish what can be finished within seconds, release the rest to other hosts, and close the process."""
        await self.stop_parts()
        await host.close_process()

    async def stop_parts(self) -> None:
        parts, self._parts = self._parts, ()
        tasks = [asyncio.create_task(part.stop()) for part in parts]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=_STOP_LIMIT_S)
            for task in late:
                log.warning("did not stop in time", extra={"part": task.get_name()})
                task.cancel()
            for error in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(error, Exception):
                    log.warning("stopped with an error", extra={"error": repr(error)})
        ears, self._ears = self._ears, None
        if ears is not None:
            await end(ears)

    async def healthy(self) -> None:
        """Return while every loop goes round and the database answers.

        Raises:
            Stuck: a loop has ended or hangs.
            TimeoutError, OSError, asyncpg.PostgresError: the database does not answer.
        """
        for part in self._parts:
            for loop in part.loops:
                loop.healthy()
        async with asyncio.timeout(5), read() as db:
            await db.value("SELECT 1")


def parts_of(services: tuple[str, ...], bell: Bell) -> tuple[Part, ...]:
    """Return what works for a set of services, not begun; only who has email takes mail."""
    listeners = (SmtpListener(),) if settings().smtp_listen is not None and "email" in services else ()
    return (
        Relay(bell),
        Consumers(services),
        Subscriptions(services),
        JobWorker(services, bell),
        Scheduler(services),
        Upkeep(),
        *listeners,
    )
