"""What the function of a job sees: one start of it, under a lease."""

import asyncio
from dataclasses import dataclass
from uuid import UUID

from cluster.base.away import is_away
from cluster.base.principal import Principal
from cluster.data import Connection, read
from cluster.events import Actor


class GiveUp(Exception):
    """Raised by a job that knows that no repetition will help: it is dead at once."""


class LeaseLost(Exception):
    """Somebody else has this job now, or an operator cancelled it."""


@dataclass(slots=True)
class JobRun:
    """One start of a job, as its function sees it."""

    id: UUID
    kind: str
    principal: Principal
    """The platform, acting through the job's service."""
    actor: Actor
    """Who enqueued it, for the record: it says nothing about rights."""
    caller: Principal | None
    """In whose name it acts (`enqueue(as_=)`), as they were then: pass it to `permit` and `write`."""
    attempt: int
    """1 for the first. Starts that ended with the worker's death do not count, `starts` has them, nor do outages."""
    max_attempts: int
    starts: int
    """Starts since the last recorded end: above 1, a worker died or lost the lease."""
    _lease: UUID
    _timeout_s: float
    _deadline: asyncio.Timeout | None = None

    @property
    def last(self) -> bool:
        """Tell whether the job is dead if this attempt fails by a fault; `is_final` knows outages too."""
        return self.attempt >= self.max_attempts

    def is_away(self, error: BaseException) -> bool:
        """Tell whether this start is no attempt when it ends with `error`: a server is away, and time was left."""
        late = self._deadline is not None and self._deadline.expired()
        return not late and not isinstance(error, GiveUp) and is_away(error)

    def is_final(self, error: BaseException) -> bool:
        """Tell whether the job is dead when this start ends with `error`."""
        return isinstance(error, GiveUp) or (self.last and not self.is_away(error))

    def deadline(self) -> asyncio.Timeout:
        """Make the limit under which this start runs."""
        self._deadline = asyncio.timeout(self._timeout_s)
        return self._deadline

    async def extend(self) -> None:
        """Start the deadline over: the work goes on.

        Raises:
            LeaseLost: somebody else goes on with it.
        """
        async with read() as db:
            await self.still_mine(db)
        if self._deadline is not None:
            self._deadline.reschedule(asyncio.get_running_loop().time() + self._timeout_s)

    async def still_mine(self, db: Connection) -> None:
        """Return while the lease holds. In a transaction nobody can take the job over before its end.

        Raises:
            LeaseLost: somebody else has it.
        """
        sql = "SELECT 1 FROM hub.jobs WHERE id = $1 AND lease = $2 AND state = 'running' FOR SHARE"
        if await db.value(sql, self.id, self._lease) is None:
            raise LeaseLost(f"job {self.id} ({self.kind}) runs elsewhere")
