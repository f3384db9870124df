"""Join late.

Run the present state of a service through a listener's handlers, as if it had listened from the beginning.
"""

from typing import Protocol
from uuid import UUID

from cluster.base.principal import platform
from cluster.data.postgres import pool, transaction
from cluster.events import Snapshot, inbox


class Snapshots(Protocol):
    """What a service answers whose state others project: `snapshot` in its contract."""

    async def snapshot(self, after: UUID | None, limit: int) -> Snapshot: ...


async def resync(listener: str, source: Snapshots, *, page: int = 200) -> int:
    """Run every page of the snapshot through the handlers of `listener`, a transaction each; return the number of events.

    The inbox is not asked: a snapshot is not an event. A projection keeps what is newer by `WHERE version < $n`, so
    this may run beside live events and be broken off and repeated at any time.
    """
    count = 0
    after: UUID | None = None
    while True:
        snapshot = await source.snapshot(after, page)
        async with pool().acquire() as raw:
            async with transaction(raw, platform(listener)) as tx:
                for envelope in snapshot.envelopes:
                    await inbox.run_handlers(tx, listener, envelope)
            await tx.committed()
        count += len(snapshot.envelopes)
        after = snapshot.next
        if after is None:
            return count
