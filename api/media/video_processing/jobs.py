"""Durable work that needs no encoder: tidying up, and finding films that nobody works on. Transcoding is in `actors`."""

from datetime import UTC, datetime

from api.media.media.contract import MediaCalls
from api.media.video_processing import logic
from api.media.video_processing.contract import ReleaseUpload, RemoveFilmObjects
from cluster.calls import client
from cluster.job_runs import JobRun
from cluster.jobs import cron, perform
from cluster.objects import bucket

_BATCH = 1000


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


@cron("video_processing.rescue", "*/5 * * * *")
async def rescue(run: JobRun) -> None:
    """Queue films again whose coordinator has vanished for good."""
    await logic.rescue(datetime.now(UTC))
