"""Durable work of progress: write what was watched, find who has finished, tell of scores, and compute totals."""

from datetime import UTC, datetime
from functools import partial

from api.learning.enrollment.contract import EnrollmentId
from api.learning.progress import logic
from api.learning.progress.bulk.logic import WORK
from api.learning.progress.contract import (
    Assess,
    BeginTotals,
    BulkScore,
    ComputeTotals,
    Flush,
    LineItemId,
    PassDue,
    Reassess,
    ReleaseScores,
)
from api.learning.progress.line_item import logic as line_items
from api.learning.progress.score import posting
from api.learning.progress.totals import logic as totals
from api.learning.progress.watching import logic as watching
from cluster.jobs import JobRun, bulk, cron, in_batches, perform


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


@perform(ReleaseScores)
async def release_scores(run: JobRun, args: ReleaseScores) -> None:
    while await posting.release(run.principal, LineItemId(args.line_item_id)):
        await run.extend()


@perform(BulkScore)
async def bulk_score(run: JobRun, args: BulkScore) -> None:
    await bulk.advance(run, args.operation_id, WORK)


@perform(ComputeTotals)
async def compute_totals(run: JobRun, args: ComputeTotals) -> None:
    if not args.of_all:
        while await totals.compute_stale(run.principal, args.run_id):
            await run.extend()
        return
    after = await totals.compute_next(run.principal, args.run_id, None)
    while after is not None:
        await run.extend()
        after = await totals.compute_next(run.principal, args.run_id, after)


@perform(BeginTotals)
async def begin_totals(run: JobRun, args: BeginTotals) -> None:
    await totals.begin(run.principal, EnrollmentId(args.enrollment_id))


@perform(PassDue)
async def pass_due(run: JobRun, args: PassDue) -> None:
    await totals.pass_due(run.principal, args.run_id)


@cron("progress.purge", "41 3 * * *", lane="bulk")
async def purge(run: JobRun) -> None:
    """Delete line items for good that were deleted 30 days ago."""
    await in_batches(run, partial(line_items.purge, run.principal))
