"""The scheduler: enqueues periodic jobs. Any number may run; the row of a job decides who enqueues a slot."""

from datetime import UTC, datetime, timedelta

from croniter import croniter

from actors.loops import Loop
from cluster import jobs
from cluster.base.principal import platform
from cluster.data.postgres import pool, transaction
from cluster.jobs import CronSlot, JobType

_LONGEST_REST_S = 30.0

# A job that is new here waits for its next slot; a late scheduler cannot bring an old slot back.
_CLAIM_SLOT = """
INSERT INTO hub.cron (name, slot) VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET slot = excluded.slot WHERE cron.slot < excluded.slot
RETURNING xmax = 0
"""


def latest_slot(expression: str, now: datetime) -> datetime:
    """Return the last time at or before `now` that the crontab expression names (UTC)."""
    start = now.replace(microsecond=0) + timedelta(seconds=1)
    return croniter(expression, start).get_prev(datetime).astimezone(UTC)


def next_slot(expression: str, now: datetime) -> datetime:
    """Return the first time after `now` that the crontab expression names (UTC)."""
    return croniter(expression, now).get_next(datetime).astimezone(UTC)


async def enqueue_slot(declared: JobType, slot: datetime) -> bool:
    """Enqueue the run for a slot unless that slot, or a later one, was enqueued before."""
    async with pool().acquire() as raw:
        async with transaction(raw, platform(declared.service)) as tx:
            # True: the row is new. False: moved on to this slot. None: another scheduler was faster.
            is_new: bool | None = await tx.value(_CLAIM_SLOT, declared.kind, slot)
            if is_new is False:
                jobs.enqueue_as(tx, declared, CronSlot(at=slot), dedupe="cron")
        await tx.committed()
    return is_new is False


class Scheduler:
    """Watches the periodic jobs of a set of services."""

    def __init__(self, services: tuple[str, ...]) -> None:
        self._services = services
        self._seen: dict[str, datetime] = {}
        self.loops = (Loop("scheduler", self.step),)

    def start(self) -> None:
        for loop in self.loops:
            loop.start()

    async def stop(self) -> None:
        for loop in self.loops:
            await loop.stop(grace_s=2.0)

    async def step(self) -> float:
        """Enqueue every slot that has come; of several missed ones only the latest. Return how long to rest."""
        now = datetime.now(UTC)
        rest_s = _LONGEST_REST_S
        for declared in jobs.job_types(self._services):
            if declared.cron is None:
                continue
            slot = latest_slot(declared.cron, now)
            if self._seen.get(declared.kind) != slot:
                await enqueue_slot(declared, slot)
                self._seen[declared.kind] = slot
            rest_s = min(rest_s, (next_slot(declared.cron, now) - now).total_seconds())
        return max(rest_s, 0.1)
