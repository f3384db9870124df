"""Ends grants whose time is over."""

from api.core.rbac import logic
from cluster.base.principal import platform
from cluster.jobs import JobRun, cron


@cron("rbac.end_expired", "* * * * *")
async def end_expired(run: JobRun) -> None:
    """Tell of what expired; it stopped counting by itself."""
    while await logic.end_expired(platform("rbac")):
        await run.extend()
