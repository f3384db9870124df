"""Periodic work of content."""

from datetime import UTC, datetime
from functools import partial

from api.learning.content.block import logic as blocks
from api.learning.content.outline import logic as outlines
from cluster.jobs import JobRun, cron, in_batches


@cron("content.purge", "23 3 * * *", lane="bulk")
async def purge(run: JobRun) -> None:
    """Delete for good what can no longer be restored."""
    await in_batches(run, partial(blocks.purge_deleted, run.principal))


@cron("content.expire", "37 * * * *", lane="bulk")
async def expire(run: JobRun) -> None:
    """Delete outlines that were made for courses which never came to be."""
    after = await outlines.expire_outlines(datetime.now(UTC))
    while after is not None:
        await run.extend()
        after = await outlines.expire_outlines(datetime.now(UTC), after)
