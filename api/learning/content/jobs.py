"""Periodic work of content."""

from functools import partial

from api.learning.content import logic
from cluster.jobs import JobRun, cron, in_batches


@cron("content.purge", "23 3 * * *", lane="bulk")
async def purge(run: JobRun) -> None:
    """Delete for good what can no longer be restored."""
    await in_batches(run, partial(logic.purge_deleted, run.principal))
