"""Durable work of rbac: end grants whose time is over, and grants on courses that were not created."""

from datetime import UTC, datetime
from functools import partial

from api.core.rbac.grant import logic
from api.core.rbac.place.logic import end_unconfirmed as end_batch
from cluster.jobs import JobRun, cron, in_batches


@cron("rbac.end_expired", "* * * * *")
async def end_expired(run: JobRun) -> None:
    """End expired grants, so that events tell of it. They stopped counting at their time."""
    await in_batches(run, partial(logic.end_expired, run.principal), limit=500)


@cron("rbac.end_unconfirmed", "43 * * * *", lane="bulk")
async def end_unconfirmed(run: JobRun) -> None:
    """End grants on courses that were not created."""
    after = await end_batch(run.principal, datetime.now(UTC))
    while after is not None:
        await run.extend()
        after = await end_batch(run.principal, datetime.now(UTC), after)
