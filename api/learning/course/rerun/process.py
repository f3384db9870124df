"""The rerun: a new course of an old one, as a process of steps that each commit.

    copying -> creating -> done
        '---------'------> failed (the grant on the course that never came is taken back)

A crash between steps repeats the step: each is idempotent, because the new course's ids are chosen at the start.
"""

from datetime import timedelta
from uuid import UUID

from api.learning.content.contract import ContentCalls
from api.learning.course import logic
from api.learning.course.contract import CourseId, CourseNotFound, Rerun, RunId
from api.learning.course.rerun import store
from api.learning.course.rerun.store import RerunRow, State
from api.learning.course.store import Course, Details, find_course
from cluster.base.ids import new_id
from cluster.base.principal import Principal, platform
from cluster.base.problems import Forbidden, Problem, Unavailable
from cluster.data import read, write
from cluster.jobs import JobRun, enqueue, operations
from cluster.jobs.operations import Operation
from cluster.people.access import permit, permitted, within
from cluster.people.calls import client

_PLATFORM = platform("course")
_KEPT = timedelta(days=30)


async def start(caller: Principal, source_id: CourseId, *, title: str | None, slug: str | None) -> UUID:
    """Begin a rerun and return the id of its operation, which leads to the new course."""
    source = await permitted(caller, "course:edit", find_course, source_id, missing=CourseNotFound)
    await permit(caller, "course:create", within(org_id=source.org_id))
    rerun_id = new_id()
    async with write(caller, result=rerun_id, status=202) as tx:
        await store.insert_rerun(
            tx,
            RerunRow(
                id=rerun_id,
                org_id=source.org_id,
                source_course_id=source_id,
                course_id=CourseId(new_id()),
                run_id=RunId(new_id()),
                started_by=caller.person(),
                state="copying",
                title=title or source.title,
                slug=slug,
            ),
        )
        await operations.start(tx, "course.rerun", owner_id=caller.id, org_id=source.org_id, total=2, id=rerun_id)
        enqueue(tx, Rerun(rerun_id=rerun_id), as_=caller)
    return rerun_id


async def advance(run: JobRun, rerun_id: UUID) -> None:
    """Take a rerun from the state it is in to its end, with the rights of its caller.

    A fault that a repetition may mend is raised; at the end of its attempts the rerun fails, and its operation says so.
    """
    async with read() as db:
        rerun = await store.get_rerun(db, rerun_id)
    if rerun.state in ("done", "failed"):
        return
    try:
        if run.caller is None:
            raise Forbidden("an earlier release started this and kept no caller; start it again")
        source = await permitted(run.caller, "course:edit", find_course, rerun.source_course_id, missing=CourseNotFound)
        if rerun.state == "copying":
            await client(ContentCalls).copy_outline(rerun.source_course_id, rerun.course_id, rerun.org_id)
            await _commit(rerun, "copying", "creating", done=1)
        await _create(run.caller, rerun, source)
        await _commit(rerun, "creating", "done", done=2)
    except Exception as error:
        problem = error if isinstance(error, Problem) else Unavailable("something broke on our side; start it again")
        if problem.status >= 500 and not run.is_final(error):
            raise
        if await _exists(rerun.course_id):
            # Another attempt was here first, and its course is what stands in the way.
            return await _commit(rerun, "creating", "done", done=2)
        await logic.take_back_grant(rerun.started_by, rerun.course_id, rerun.org_id)
        async with write(_PLATFORM) as tx:
            if await store.update_state(tx, rerun.id, ("copying", "creating"), "failed"):
                await operations.fail(tx, rerun.id, problem)
        if error is not problem:
            raise


async def _create(caller: Principal, rerun: RerunRow, source: Course) -> None:
    if await _exists(rerun.course_id):
        return
    await logic.create_course(
        caller,
        rerun.org_id,
        Details(
            title=rerun.title,
            summary=source.summary,
            language=source.language,
            slug=rerun.slug,
            categories=tuple(source.categories),
            tags=tuple(source.tags),
            visibility=source.visibility,
        ),
        course_id=rerun.course_id,
        run_id=rerun.run_id,
        source=rerun.source_course_id,
    )


async def _exists(course_id: CourseId) -> bool:
    async with read() as db:
        return await find_course(db, course_id) is not None


async def _commit(rerun: RerunRow, before: State, after: State, *, done: int) -> None:
    async with write(_PLATFORM) as tx:
        if not await store.update_state(tx, rerun.id, (before,), after):
            return
        if after == "done":
            await operations.succeed(tx, rerun.id, result_url=f"/v1/courses/{rerun.course_id}")
        else:
            await operations.progress(tx, rerun.id, done)


async def operation_of(caller: Principal, rerun_id: UUID) -> Operation:
    """Return the operation of a rerun that the caller started."""
    async with read() as db:
        owned = await operations.find_operation(db, rerun_id)
    if owned is None or owned.owner_id != caller.id:
        raise CourseNotFound
    return owned.operation


async def purge(caller: Principal, limit: int) -> int:
    """Delete up to `limit` reruns that began 30 days ago and ended, and return how many."""
    async with write(caller) as tx:
        return await store.delete_ended(tx, tx.now - _KEPT, limit)
