"""Use cases of forgetting revisions.

A forgotten revision keeps its number. Its outline lets go of films and files when no other revision shows the same outline:
content does it, asked right after the commit, and by a job in case that this process dies before.

    forget:    course's row, revision's row -> forgotten_at, job -> commit -> content lets go
    publish:   course's row -> refuses an outline that is let go -> commit
    pin:       revision's row -> refuses a forgotten one -> commit
"""

from datetime import datetime, timedelta

from api.learning.content.contract import ContentCalls, FrozenId
from api.learning.course.contract import (
    CourseId,
    CourseNotFound,
    CourseRevisionForgotten,
    LetGo,
    RevisionInUse,
    RevisionNotFound,
)
from api.learning.course.forgetting import store
from api.learning.course.publication.store import Revision, get_revision
from api.learning.course.store import Course, find_course
from cluster.base.away import is_away
from cluster.base.principal import Principal
from cluster.data import Transaction, read, write
from cluster.events import emit
from cluster.jobs import enqueue
from cluster.people.access import permitted
from cluster.people.calls import client

UNREACHABLE_FOR = timedelta(days=180)
"""How long nobody could reach a revision before it is forgotten by itself."""
KEPT_REVISIONS = 10
"""So many newest revisions of each course are not forgotten by themselves."""


async def forget(caller: Principal, course_id: CourseId, number: int) -> Revision:
    """Forget a superseded revision: nobody can show, pin or restore it any more. Forgetting twice is the same as once.

    Raises:
        RevisionNotFound
        RevisionInUse: it is the newest, or a run that has not ended pins it.
    """
    await permitted(caller, "course:publish", find_course, course_id, missing=CourseNotFound)
    async with write(caller, result=course_id) as tx:
        course, revision = await _lock(tx, course_id, number)
        if revision.forgotten_at is None:
            await _refuse_shown(tx, course, number)
            await _forget(tx, course, revision)
        is_let_go = await store.find_is_let_go(tx, course_id, revision.frozen_id)
    if is_let_go:
        await _let_go_now(revision.frozen_id)
    async with read() as db:
        return await get_revision(db, course_id, number)


async def forget_unreachable(caller: Principal, now: datetime, limit: int) -> int:
    """Forget up to `limit` revisions that nobody could reach for 180 days, each in a transaction; return how many there were."""
    until = now - UNREACHABLE_FOR
    async with read() as db:
        found = await store.list_unreachable(db, until=until, kept=KEPT_REVISIONS, limit=limit)
    for course_id, number in found:
        async with write(caller) as tx:
            course, revision = await _lock(tx, course_id, number)
            if await store.find_unreachable(tx, course_id, number, until=until, kept=KEPT_REVISIONS):
                await _forget(tx, course, revision)
    return len(found)


async def _lock(tx: Transaction, course_id: CourseId, number: int) -> tuple[Course, Revision]:
    course = await store.lock_course(tx, course_id)
    revision = (await store.lock_revisions(tx, course_id, [number])).get(number)
    if revision is None:
        raise RevisionNotFound(f"this course has the revisions 1 to {course.published_revision or 0}")
    return course, revision


async def _refuse_shown(tx: Transaction, course: Course, number: int) -> None:
    if number == course.published_revision:
        raise RevisionInUse("it is the newest: publish another state of the course first", run_ids=[])
    pinning = await store.list_pinning_runs(tx, course.id, number)
    if pinning:
        raise RevisionInUse(
            "pin another revision in the runs that pin it, or end them", run_ids=[str(each) for each in pinning]
        )


async def _forget(tx: Transaction, course: Course, revision: Revision) -> None:
    version = await store.update_forgotten(tx, course.id, revision.revision)
    emit(
        tx,
        CourseRevisionForgotten(course_id=course.id, org_id=course.org_id, revision=revision.revision),
        version=version,
    )
    if await store.find_is_let_go(tx, course.id, revision.frozen_id):
        enqueue(tx, LetGo(frozen_id=revision.frozen_id), dedupe=LetGo.dedupe(revision.frozen_id))


async def _let_go_now(frozen_id: FrozenId) -> None:
    """Have content let go at once, so that the films can be deleted when the request is answered."""
    try:
        await let_go(frozen_id)
    except Exception as error:
        # The job does it when content answers again.
        if not is_away(error):
            raise


async def let_go(frozen_id: FrozenId) -> None:
    """Have content let go of the outline of forgotten revisions. Safe to repeat."""
    await client(ContentCalls).let_go(frozen_id)
