"""Ends grants whose time is over."""

from functools import partial

from api.core.rbac import logic
from cluster.jobs import JobRun, cron, in_batches


@cron("rbac.end_expired", "* * * * *")
async def end_expired(run: JobRun) -> None:
    """Tell of what expired; it stopped counting by itself."""
    await in_batches(run, partial(logic.end_expired, run.principal), limit=500)
