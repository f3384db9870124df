"""Ends grants whose time is over, or whose course never came to be."""

from datetime import UTC, datetime
from functools import partial

from api.core.rbac import logic
from cluster.jobs import JobRun, cron, in_batches


@cron("rbac.end_expired", "* * * * *")
async def end_expired(run: JobRun) -> None:
    """Tell of what expired; it stopped counting by itself."""
    await in_batches(run, partial(logic.end_expired, run.principal), limit=500)


@cron("rbac.end_unconfirmed", "43 * * * *", lane="bulk")
async def end_unconfirmed(run: JobRun) -> None:
    """End grants on courses that never came to be."""
    after = await logic.end_unconfirmed(run.principal, datetime.now(UTC))
    while after is not None:
        await run.extend()
        after = await logic.end_unconfirmed(run.principal, datetime.now(UTC), after)
