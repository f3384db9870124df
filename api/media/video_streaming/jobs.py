"""Periodic work of video_streaming."""

from datetime import UTC, datetime
from functools import partial

from api.media.video_streaming import logic
from cluster.jobs import JobRun, cron, in_batches


@cron("video_streaming.purge", "41 3 * * *", lane="bulk")
async def purge(run: JobRun) -> None:
    """Delete playbacks that have expired and whose progress cannot be told any more."""
    await in_batches(run, partial(logic.purge_expired, run.principal, datetime.now(UTC)))
