"""Periodic work of content."""

from api.learning.content import store
from api.learning.content.logic import UNDO
from cluster.job_runs import JobRun
from cluster.jobs import cron
from cluster.postgres import write

_BATCH = 1_000


@cron("content.purge", "23 3 * * *")
async def purge(run: JobRun) -> None:
    """Delete for good what can no longer be restored."""
    deleted = _BATCH
    while deleted == _BATCH:
        async with write(run.principal) as tx:
            deleted = await store.delete_purged(tx, tx.now - UNDO, _BATCH)
