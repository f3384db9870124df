"""Durable work that needs no encoder: delete objects, and queue abandoned films again. Transcoding is in `actors`."""

from datetime import UTC, datetime, timedelta

from api.media.video_processing import logic
from api.media.video_processing.contract import PurgeVideo, RemoveFilmObjects, VideoId
from cluster.data.objects import bucket
from cluster.jobs import JobRun, cron, perform

_MAX_RUN_OF_PIECES = timedelta(days=1)
"""No piece runs longer: an older object that belongs to no present take is not used."""


@perform(RemoveFilmObjects)
async def remove_objects(run: JobRun, args: RemoveFilmObjects) -> None:
    """Delete everything whose key begins with the prefix."""
    await logic.remove_objects(args.prefix, beat=run.extend)


@perform(PurgeVideo)
async def purge_video(run: JobRun, args: PurgeVideo) -> None:
    await logic.purge(VideoId(args.id), beat=run.extend)


@cron("video_processing.sweep", "11 4 * * *", timeout_s=3600, lane="bulk")
async def sweep(run: JobRun) -> None:
    """Delete objects that killed and overtaken attempts left behind."""
    before = datetime.now(UTC) - _MAX_RUN_OF_PIECES
    await bucket(logic.BUCKET).abort_stale_multiparts(before)
    await logic.remove_stale_takes(before, beat=run.extend)


@cron("video_processing.rescue", "*/5 * * * *")
async def rescue(run: JobRun) -> None:
    """Queue films again whose coordinator is gone."""
    await logic.rescue(datetime.now(UTC))
