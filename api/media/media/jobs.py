"""Durable work of media: check uploads, and delete files and objects that nothing uses."""

from datetime import UTC, datetime
from functools import partial

from api.media.media import checking, logic
from api.media.media.contract import AssetId, CheckAsset, PurgeAsset, RemoveObjects, RemoveUnused
from cluster.data.objects import bucket
from cluster.jobs import JobRun, cron, in_batches, perform

_MAX_TRIES_FOR_MISSING_PARTS = 5
"""A part that the file store does not find so often is lost."""


@perform(CheckAsset)
async def check_asset(run: JobRun, args: CheckAsset) -> None:
    await checking.check(
        run.principal, args.asset_id, beat=run.extend, last=run.attempt >= _MAX_TRIES_FOR_MISSING_PARTS
    )


@perform(RemoveObjects)
async def remove_objects(run: JobRun, args: RemoveObjects) -> None:
    await logic.remove_unreferenced(bucket("media"), f"{args.asset_id}/", before=None)


@perform(RemoveUnused)
async def remove_unused(run: JobRun, args: RemoveUnused) -> None:
    await logic.remove_unused(AssetId(args.id))


@perform(PurgeAsset)
async def purge_asset(run: JobRun, args: PurgeAsset) -> None:
    await logic.purge(AssetId(args.id))


@cron("media.expire", "*/10 * * * *", lane="bulk")
async def expire(run: JobRun) -> None:
    """Delete uploads that were not finished in time."""
    await in_batches(run, partial(logic.expire, datetime.now(UTC)), limit=100)


@cron("media.sweep", "41 4 * * *", timeout_s=3600, lane="bulk")
async def sweep(run: JobRun) -> None:
    """Delete objects that killed or overtaken requests left behind."""
    before = logic.older_than_a_day(datetime.now(UTC))
    await bucket("media").abort_stale_multiparts(before)
    await logic.remove_unreferenced(bucket("media"), "", before=before, beat=run.extend)
