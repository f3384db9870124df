"""The sweep of things: enqueues the jobs of their owners when nothing uses a thing, and when a removed one is to be purged."""

from cluster.base.principal import PLATFORM
from cluster.base.registry import offers
from cluster.data import write
from cluster.data.uses import ThingKind
from cluster.jobs.queue import enqueue

BATCH = 500

# What is in use is not idle. A use that ends meanwhile sets a newer `idle_since`, and the row is not due any more.
STILL_USED = """
UPDATE hub.things SET idle_since = NULL WHERE kind = $1 AND id = ANY(ARRAY(
    SELECT id FROM hub.things WHERE kind = $1 AND state <> 'deleted' AND idle_since <= now() - $2::interval
        AND EXISTS (SELECT FROM hub.uses WHERE uses.kind = things.kind AND uses.id = things.id)
    ORDER BY idle_since LIMIT $3 FOR UPDATE SKIP LOCKED
))
"""
UNUSED = """
UPDATE hub.things SET swept_at = now() WHERE kind = $1 AND id = ANY(ARRAY(
    SELECT id FROM hub.things WHERE kind = $1 AND state <> 'deleted' AND idle_since <= now() - $2::interval
        AND (swept_at IS NULL OR swept_at < now() - interval '1 day')
        AND NOT EXISTS (SELECT FROM hub.uses WHERE uses.kind = things.kind AND uses.id = things.id)
    ORDER BY idle_since LIMIT $3 FOR UPDATE SKIP LOCKED
)) RETURNING id
"""
REMOVED = """
UPDATE hub.things SET swept_at = now() WHERE kind = $1 AND id = ANY(ARRAY(
    SELECT id FROM hub.things WHERE kind = $1 AND state = 'deleted' AND NOT held AND purge_at <= now()
        AND (swept_at IS NULL OR swept_at < now() - interval '1 day')
    ORDER BY purge_at LIMIT $2 FOR UPDATE SKIP LOCKED
)) RETURNING id
"""


async def sweep() -> int:
    """Enqueue the jobs of up to `BATCH` things of each kind that are due, and return how many. Two sweeps at once do no harm."""
    return sum([await _sweep_kind(kind) for kind in offers(ThingKind)])


async def _sweep_kind(kind: ThingKind) -> int:
    count = 0
    async with write(PLATFORM) as tx:
        if kind.unused is not None and kind.idle_for is not None:
            await tx.run(STILL_USED, kind.name, kind.idle_for, BATCH)
            for row in await tx.rows(UNUSED, kind.name, kind.idle_for, BATCH):
                enqueue(tx, kind.unused(id=row["id"]), dedupe=f"unused:{row['id']}")
                count += 1
        for row in await tx.rows(REMOVED, kind.name, BATCH):
            enqueue(tx, kind.purge(id=row["id"]), dedupe=f"purge:{row['id']}")
            count += 1
    return count
