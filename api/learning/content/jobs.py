"""Periodic work of content."""

from api.learning.content import logic
from cluster.jobs import JobRun, cron


@cron("content.purge", "23 3 * * *", lane="bulk")
async def purge(run: JobRun) -> None:
    """Delete for good what can no longer be restored."""
    while await logic.purge_deleted(run.principal):
        await run.extend()
