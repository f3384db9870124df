"""Periodic work of feature_flag."""

from functools import partial

from api.platform.feature_flag.contract import FlagNotFound, ReportKill
from api.platform.feature_flag.experiment import logic as experiments
from api.platform.feature_flag.flag import logic
from api.platform.feature_flag.report import logic as reports
from cluster.jobs import JobRun, cron, in_batches, perform


@cron("feature_flag.declare", "*/10 * * * *")
async def declare(run: JobRun) -> None:
    """Store what services of this release declare of their flags, so that operators find them."""
    await logic.store_declared()


@cron("feature_flag.guard", "7,37 * * * *")
async def guard(run: JobRun) -> None:
    """Stop experiments that hurt one of their guardrails."""
    await experiments.guard(run.principal)


@perform(ReportKill)
async def report_kill(run: JobRun, args: ReportKill) -> None:
    """Have those told who answer for a killed flag."""
    try:
        await reports.report_kill(run.principal, args.flag_id, args.version, args.killed_by)
    except FlagNotFound:
        return


@cron("feature_flag.purge", "23 4 * * *", lane="bulk")
async def purge(run: JobRun) -> None:
    """Delete what was measured of experiments that were decided long ago, and who was told of kills."""
    await in_batches(run, partial(experiments.purge, run.principal))
    await in_batches(run, partial(reports.purge, run.principal))
