"""Durable work of course: publishing at a time to come, and reruns."""

from api.learning.course import logic, process, store
from api.learning.course.contract import CourseArchivedAlready, NothingToPublish, NotReadyToPublish, PublishAt, Rerun
from cluster.job_runs import JobRun
from cluster.jobs import GiveUp, perform
from cluster.postgres import write


@perform(PublishAt)
async def publish_at(run: JobRun, args: PublishAt) -> None:
    """Publish, unless the schedule was moved or taken back meanwhile. What is missing is shown on the course."""
    course = await logic.get_course(run.principal, args.course_id)
    if course.publish_at != args.publish_at:
        return
    try:
        await logic.publish(run.principal, args.course_id)
    except (CourseArchivedAlready, NothingToPublish):
        return
    except NotReadyToPublish as problem:
        async with write(run.principal) as tx:
            await store.update_schedule_failed(tx, args.course_id, publish_at=args.publish_at, error=problem.detail)
        raise GiveUp(problem.detail) from problem


@perform(Rerun)
async def rerun(run: JobRun, args: Rerun) -> None:
    await process.advance(args.rerun_id, last=run.last)
