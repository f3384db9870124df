"""Who brings documents into the index, and looks after the indexes."""

from functools import partial

from api.analytics.search.contract import BuildGeneration, FollowSource, IndexMarked
from api.analytics.search.indexing import following, process
from api.analytics.search.statistic import logic as statistic
from cluster.jobs import JobRun, cron, in_batches, perform


@perform(IndexMarked)
async def index_marked(run: JobRun, args: IndexMarked) -> None:
    await process.index_marked(run)


@perform(BuildGeneration)
async def build(run: JobRun, args: BuildGeneration) -> None:
    await process.build(run, args)


@perform(FollowSource)
async def follow(run: JobRun, args: FollowSource) -> None:
    await following.follow(run, args)


@cron("search.look", "* * * * *", lane="bulk")
async def look(run: JobRun) -> None:
    """Read what sources have of which no event tells."""
    await following.look(run)


@cron("search.expire", "11 4 * * *", lane="bulk")
async def expire(run: JobRun) -> None:
    """Take out what is too old to be found, and look for what came late."""
    await following.expire(run)


@cron("search.keep", "* * * * *", lane="quick")
async def keep(run: JobRun) -> None:
    """Begin what is missing, and go on with what stands still."""
    await process.keep(run)


@cron("search.drop", "23 * * * *", lane="bulk")
async def drop(run: JobRun) -> None:
    """Delete indexes that were replaced a day ago."""
    await process.drop_retired(run)


@cron("search.forget", "41 2 * * *", lane="bulk")
async def forget(run: JobRun) -> None:
    """Delete what was counted of questions 90 days ago, and the keys of people that are over."""
    await in_batches(run, partial(statistic.delete_old, run.principal))
