"""Durable work that needs no encoder: tidying up, and finding films that nobody works on. Transcoding is in `actors`."""

from datetime import UTC, datetime, timedelta

from api.media.media.contract import MediaCalls
from api.media.video_processing import logic
from api.media.video_processing.contract import ReleaseUpload, RemoveFilmObjects
from cluster.data.objects import bucket
from cluster.jobs import JobRun, cron, perform
from cluster.people.calls import client

_BATCH = 1000
_STILL_RUNNING = timedelta(days=1)
"""No piece runs longer: what is older and belongs to no take that counts is nobody's."""


@perform(RemoveFilmObjects)
async def remove_objects(run: JobRun, args: RemoveFilmObjects) -> None:
    """Delete everything whose key begins with the prefix."""
    films = bucket(logic.BUCKET)
    batch: list[str] = []
    async for stored in films.list(args.prefix):
        batch.append(stored.key)
        if len(batch) == _BATCH:
            await films.delete(batch)
            await run.extend()
            batch = []
    await films.delete(batch)


@perform(ReleaseUpload)
async def release_upload(run: JobRun, args: ReleaseUpload) -> None:
    await client(MediaCalls).release_asset(args.asset_id, logic.CLAIMANT)


@cron("video_processing.sweep", "11 4 * * *", timeout_s=3600, lane="bulk")
async def sweep(run: JobRun) -> None:
    """Delete what killed and overtaken attempts left behind, whatever became of the jobs that should have."""
    before = datetime.now(UTC) - _STILL_RUNNING
    await bucket(logic.BUCKET).abort_stale_multiparts(before)
    await logic.remove_stale_takes(before, beat=run.extend)


@cron("video_processing.rescue", "*/5 * * * *")
async def rescue(run: JobRun) -> None:
    """Queue films again whose coordinator has vanished for good."""
    await logic.rescue(datetime.now(UTC))
