"""The job worker: starts due jobs, keeps their leases, lets them finish when the host stops."""

import asyncio
import logging
import time
from collections import Counter
from typing import Any, cast
from uuid import UUID

from actors.loops import Idle, Loop
from cluster import jobs
from cluster.data import Connection
from cluster.data.postgres import pool
from cluster.jobs import run as job_runs
from cluster.jobs.lanes import Lane, free_slots
from cluster.jobs.run import LEASE_S, Taken
from cluster.signals.wake import Bell

log = logging.getLogger(__name__)

_KEEP_S = 3.0
_AGAIN_S = 0.3
_GRACE_S = 8.0


class JobWorker:
    """Runs the jobs of a set of services in this process."""

    def __init__(self, services: tuple[str, ...], bell: Bell) -> None:
        self._services = services
        self._bell = bell
        self._running: dict[UUID, tuple[Taken, asyncio.Task[None]]] = {}
        self._kept_at = time.monotonic()
        self._own: Connection | None = None
        self._idle = Idle()
        self._starter = Loop("jobs", self.start_due, wait=lambda rest_s: bell.wait("jobs", rest_s))
        self._keeper = Loop("job leases", self.keep_leases)
        self.loops = (self._starter, self._keeper)

    def start(self) -> None:
        for loop in self.loops:
            loop.start()

    async def stop(self) -> None:
        """Start nothing more; give what runs a few seconds to end, then release it for another worker."""
        await self._starter.stop(grace_s=2.0)
        if self._running:
            await asyncio.wait([task for _, task in self._running.values()], timeout=_GRACE_S)
        tasks = [task for _, task in self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._keeper.stop()
        await self._let_go()

    async def start_due(self) -> float:
        """Start what is due and has a free slot; return how long to rest."""
        busy = Counter(taken.kind for taken, _ in self._running.values())
        free = {
            declared.kind: declared.concurrency - busy[declared.kind]
            for declared in jobs.job_types(self._services)
            if declared.concurrency > busy[declared.kind]
        }
        lanes: Counter[Lane] = Counter(jobs.job_type(taken.kind).lane for taken, _ in self._running.values())
        asked_at = time.monotonic()
        taken = await job_runs.take(free, free_slots(lanes))
        for job in taken:
            if not self._running:
                self._kept_at = asked_at
            task = asyncio.create_task(self._run(job), name=f"job {job.kind}")
            self._running[job.id] = (job, task)
        return self._idle.rest(worked=bool(taken))

    async def _run(self, job: Taken) -> None:
        try:
            await job_runs.run(job)
        except Exception:
            log.exception("the end of a job was not recorded", extra={"job": str(job.id), "kind": job.kind})
        finally:
            # Only our own entry: a lost job may already run here again, under its new lease.
            current = self._running.get(job.id)
            if current is not None and current[0].lease == job.lease:
                del self._running[job.id]
            self._bell.ring("jobs")

    async def keep_leases(self) -> float:
        """Extend all leases.

        Stop the jobs whose lease is gone, or may soon be because the database has not answered for so long.
        """
        held = dict(self._running)
        if not held:
            await self._own_connection()
            return _KEEP_S
        sure_until = max(self._kept_at + LEASE_S - _KEEP_S, time.monotonic() + 1.0)
        while True:
            asked_at = time.monotonic()
            try:
                async with asyncio.timeout(sure_until - asked_at):
                    ours = await job_runs.keep(await self._own_connection(), [taken for taken, _ in held.values()])
            except Exception:
                if time.monotonic() + _AGAIN_S > sure_until:
                    self._give_up(held, set())
                    raise
                await asyncio.sleep(_AGAIN_S)
            else:
                self._kept_at = asked_at
                self._give_up(held, ours)
                return _KEEP_S

    async def _own_connection(self) -> Connection:
        """Return the connection that is kept for leases: jobs may hold all others for longer than a lease lasts."""
        if self._own is None or self._own.raw.is_closed():
            await self._let_go()
            self._own = Connection(await pool().acquire())
        return self._own

    async def _let_go(self) -> None:
        own, self._own = self._own, None
        if own is not None:
            pool().give_back(cast(Any, own.raw))

    def _give_up(self, held: dict[UUID, tuple[Taken, asyncio.Task[None]]], ours: set[UUID]) -> None:
        for id, (taken, task) in held.items():
            if id not in ours and not task.done():
                log.warning("a job's lease is lost, its run is stopped", extra={"job": str(id), "kind": taken.kind})
                task.cancel()
