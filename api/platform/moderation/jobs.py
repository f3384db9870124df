"""Durable work of moderation: screening later, and forgetting."""

from datetime import timedelta
from functools import partial

from api.platform.moderation.case import logic
from api.platform.moderation.case import store as cases
from api.platform.moderation.contract import ScreenLater
from api.platform.moderation.exposure import store as exposures
from api.platform.moderation.report import store as reports
from cluster.base.principal import Principal
from cluster.data import write
from cluster.jobs import JobRun, cron, in_batches, perform

_TEXTS_KEPT = timedelta(days=365)
"""After a decision: appeals are filed within half a year, and heard."""
_EXPOSURES_KEPT = timedelta(days=30)
_REPORTS_KEPT = timedelta(days=730)


@perform(ScreenLater)
async def screen_later(run: JobRun, args: ScreenLater) -> None:
    await logic.look_at(run.principal, args.kind, args.thing_id)


@cron("moderation.purge", "23 3 * * *", lane="bulk")
async def purge(run: JobRun) -> None:
    """Delete what things said a year after their case was decided, reports after two years, exposures after 30 days."""
    await in_batches(run, partial(_purge_contents, run.principal))
    await in_batches(run, partial(_purge_reports, run.principal))
    await in_batches(run, partial(_purge_exposures, run.principal))


async def _purge_contents(caller: Principal, limit: int) -> int:
    async with write(caller) as tx:
        return await cases.delete_contents(tx, tx.now - _TEXTS_KEPT, limit)


async def _purge_exposures(caller: Principal, limit: int) -> int:
    async with write(caller) as tx:
        return await exposures.delete_old(tx, (tx.now - _EXPOSURES_KEPT).date(), limit)


async def _purge_reports(caller: Principal, limit: int) -> int:
    async with write(caller) as tx:
        return await reports.delete_old(tx, tx.now - _REPORTS_KEPT, limit)
