"""Durable work of course: publishing at a time to come, reruns, and forgetting revisions."""

from datetime import UTC, datetime
from functools import partial

from api.learning.course.contract import LetGo, PublishAt, Rerun
from api.learning.course.forgetting import logic as forgetting
from api.learning.course.publication import logic
from api.learning.course.rerun import process
from api.learning.course.run import logic as runs
from cluster.base.problems import Problem
from cluster.jobs import JobRun, cron, in_batches, perform


@perform(PublishAt)
async def publish_at(run: JobRun, args: PublishAt) -> None:
    """Publish, unless the schedule was moved or taken back meanwhile. What stands in the way is shown on the course."""
    try:
        await logic.publish(run.principal, args.course_id, scheduled_at=args.publish_at)
    except Exception as error:
        problem = error if isinstance(error, Problem) else None
        refused = problem is not None and problem.status < 500
        if refused or run.is_final(error):
            reason = "something broke on our side; publish it yourself" if problem is None else str(problem)
            await logic.end_schedule(run.principal, args.course_id, args.publish_at, reason)
        if not refused:
            raise


@perform(Rerun)
async def rerun(run: JobRun, args: Rerun) -> None:
    await process.advance(run, args.rerun_id)


@perform(LetGo)
async def let_go(run: JobRun, args: LetGo) -> None:
    await forgetting.let_go(args.frozen_id)


@cron("course.forget", "41 4 * * *", lane="bulk")
async def forget(run: JobRun) -> None:
    """Forget revisions that nobody could reach for 180 days."""
    await in_batches(run, partial(forgetting.forget_unreachable, run.principal, datetime.now(UTC)), limit=100)


@cron("course.remind", "*/10 * * * *")
async def remind(run: JobRun) -> None:
    """Tell of runs that begin within a day."""
    await in_batches(run, partial(runs.remind, run.principal), limit=100)


@cron("course.purge", "17 3 * * *", lane="bulk")
async def purge(run: JobRun) -> None:
    """Forget reruns that ended long ago: their course, or why there is none, was told."""
    await in_batches(run, partial(process.purge, run.principal))
