"""Who brings documents into the index, and looks after the indexes."""

from api.analytics.search.contract import BuildGeneration, IndexMarked
from api.analytics.search.indexing import process
from cluster.jobs import JobRun, cron, perform


@perform(IndexMarked)
async def index_marked(run: JobRun, args: IndexMarked) -> None:
    await process.index_marked(run)


@perform(BuildGeneration)
async def build(run: JobRun, args: BuildGeneration) -> None:
    await process.build(run, args)


@cron("search.keep", "* * * * *", lane="quick")
async def keep(run: JobRun) -> None:
    """Begin what is missing, and go on with what stands still."""
    await process.keep(run)


@cron("search.drop", "23 * * * *", lane="bulk")
async def drop(run: JobRun) -> None:
    """Delete indexes that were replaced a day ago."""
    await process.drop_retired(run)
