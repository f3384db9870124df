"""Durable work of progress: write what was watched, and find the learners who have finished."""

from datetime import UTC, datetime

from api.learning.enrollment.contract import EnrollmentId
from api.learning.progress import logic
from api.learning.progress.contract import Assess, Flush, Reassess
from api.learning.progress.watching import logic as watching
from cluster.jobs import JobRun, cron, perform


@perform(Flush)
async def flush(run: JobRun, args: Flush) -> None:
    while await watching.flush(run.principal, args.shard, datetime.now(UTC)):
        await run.extend()


@cron("progress.sweep", "* * * * *", timeout_s=60)
async def sweep(run: JobRun) -> None:
    """Plan the writing of shards whose plan was lost with a process."""
    await watching.plan_lost(run.principal, datetime.now(UTC))


@perform(Assess)
async def assess(run: JobRun, args: Assess) -> None:
    await logic.assess(run.principal, EnrollmentId(args.enrollment_id))


@perform(Reassess)
async def reassess(run: JobRun, args: Reassess) -> None:
    for each in await logic.runs_to_reassess(args.course_id, args.revision):
        after: EnrollmentId | None = None
        while True:
            finished, after = await logic.find_finished(each.id, after)
            for learner in finished:
                await logic.assess(run.principal, learner.enrollment_id)
            await run.extend()
            if after is None:
                break
