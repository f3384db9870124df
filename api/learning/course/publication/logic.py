"""Use cases of publication: freeze the working copy into a revision, schedule that, bring an old revision back."""

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from api.learning.content.contract import ContentCalls, Frozen, FrozenId
from api.learning.course import store as courses
from api.learning.course.contract import (
    CourseArchivedAlready,
    CourseId,
    CourseNotFound,
    CoursePublished,
    CourseUpdated,
    NothingToPublish,
    NotReadyToPublish,
    PublishAt,
    RevisionForgotten,
    RevisionNotFound,
)
from api.learning.course.following.logic import tell_followers
from api.learning.course.forgetting.logic import let_go
from api.learning.course.forgetting.store import find_is_let_go
from api.learning.course.logic import refuse_archived, tell_state
from api.learning.course.publication import store
from api.learning.course.publication.store import Revision
from api.learning.course.store import DETAILS, Course, find_course
from cluster.base.principal import Principal
from cluster.base.problems import Invalid, Unavailable
from cluster.data import Transaction, read, write
from cluster.events import emit
from cluster.jobs import cancel_jobs, enqueue
from cluster.people.access import permitted
from cluster.people.calls import client


async def publish(
    caller: Principal, course_id: CourseId, note: str = "", *, scheduled_at: datetime | None = None
) -> Course:
    """Freeze the outline and make it and the working copy the next revision.

    An outline that was changed and changed back is published already: it only shows no draft changes any more.
    With `scheduled_at` it does nothing once the schedule was moved or taken back.

    Raises:
        NotReadyToPublish: lists what is missing.
        NothingToPublish: nothing changed, or a newer state was published at the same time.
    """
    course = await permitted(caller, "course:publish", find_course, course_id, missing=CourseNotFound)
    if scheduled_at not in (None, course.publish_at):
        return course
    refuse_archived(course)
    frozen = await _freeze(course_id)
    async with write(caller, result=course_id) as tx:
        published = await store.update_published(
            tx,
            course_id,
            frozen_id=frozen.frozen_id,
            outline_version=frozen.outline_version,
            scheduled_at=scheduled_at,
        )
        if published is None:
            current = await courses.get_course(tx, course_id)
            if scheduled_at not in (None, current.publish_at):
                return current
            refuse_archived(current)
            same = await store.update_same_outline(tx, course_id, frozen.frozen_id, frozen.outline_version)
            if same is None or scheduled_at is not None:
                raise NothingToPublish("change the course or its outline first")
            return same
        if await find_is_let_go(tx, course_id, frozen.frozen_id):
            raise Unavailable("the revisions with this outline were forgotten in this moment; repeat it")
        await _commit_revision(tx, published, frozen.frozen_id, _details(published), note=note)
    return published


async def roll_back(caller: Principal, course_id: CourseId, revision: int) -> Course:
    """Publish an old revision's content again as a new revision. The working copy stays as it is.

    Raises:
        RevisionNotFound, RevisionForgotten
    """
    course = await permitted(caller, "course:publish", find_course, course_id, missing=CourseNotFound)
    refuse_archived(course)
    newest = course.published_revision
    if newest is None:
        raise RevisionNotFound("nothing was published yet")
    if not 1 <= revision <= newest:
        raise RevisionNotFound(f"this course has the revisions 1 to {newest}")
    async with read() as db:
        old = await store.get_revision(db, course_id, revision)
    async with write(caller, result=course_id) as tx:
        published = await store.update_rolled_back(tx, course_id, old.frozen_id)
        if published is None:
            raise CourseArchivedAlready
        # Read again, now that the course is held: nothing is forgotten meanwhile.
        if (await store.get_revision(tx, course_id, revision)).forgotten_at is not None:
            raise RevisionForgotten("restore another; a forgotten revision does not come back")
        await _commit_revision(tx, published, old.frozen_id, old.details, restored=revision)
    return published


async def list_revisions(caller: Principal, course_id: CourseId, *, before: int | None, limit: int) -> list[Revision]:
    await permitted(caller, "course:read", find_course, course_id, missing=CourseNotFound)
    async with read() as db:
        return await store.list_revisions(db, course_id, before=before, limit=limit)


async def get_revision(caller: Principal, course_id: CourseId, number: int) -> Revision:
    """Return a revision.

    Raises:
        RevisionNotFound, RevisionForgotten
    """
    await permitted(caller, "course:read", find_course, course_id, missing=CourseNotFound)
    async with read() as db:
        revision = await store.find_revision(db, course_id, number)
    if revision is None:
        raise RevisionNotFound("GET /v1/courses/{id}/revisions lists those of this course")
    if revision.forgotten_at is not None:
        raise RevisionForgotten(
            "its number stays taken, its content is gone", forgotten_at=revision.forgotten_at.isoformat()
        )
    return revision


async def schedule(caller: Principal, course_id: CourseId, publish_at: datetime, now: datetime) -> Course:
    """Let the course publish itself at a time to come; a second call moves it.

    Raises:
        Invalid: the time is past, or more than two years away.
    """
    course = await permitted(caller, "course:publish", find_course, course_id, missing=CourseNotFound)
    refuse_archived(course)
    if not now < publish_at < now + timedelta(days=731):
        raise Invalid("choose a time between now and two years from now", pointer="/publish_at")
    async with write(caller, result=course_id) as tx:
        scheduled = await store.update_schedule(tx, course_id, publish_at)
        if scheduled is None:
            raise CourseArchivedAlready
        enqueue(
            tx,
            PublishAt(course_id=course_id, publish_at=publish_at),
            at=publish_at,
            dedupe=PublishAt.dedupe(course_id),
            replace=True,
        )
        emit(
            tx,
            CourseUpdated(course_id=course_id, org_id=course.org_id, fields=("publish_at",)),
            version=scheduled.version,
        )
        await tell_followers(tx, course_id)
    return scheduled


async def end_schedule(caller: Principal, course_id: CourseId, publish_at: datetime, reason: str) -> None:
    """Say on the course why it did not publish itself, unless its schedule was moved meanwhile."""
    async with write(caller) as tx:
        course = await store.update_schedule_failed(tx, course_id, publish_at=publish_at, error=reason)
        if course is not None:
            fields = ("publish_at", "publish_error")
            emit(tx, CourseUpdated(course_id=course_id, org_id=course.org_id, fields=fields), version=course.version)
            await tell_followers(tx, course_id)


async def unschedule(caller: Principal, course_id: CourseId) -> Course:
    """Cancel a scheduled publication."""
    course = await permitted(caller, "course:publish", find_course, course_id, missing=CourseNotFound)
    async with write(caller, result=course_id) as tx:
        changed = await store.update_schedule(tx, course_id, None)
        if changed is None:
            raise CourseArchivedAlready
        cancel_jobs(tx, PublishAt, PublishAt.dedupe(course_id))
        emit(
            tx,
            CourseUpdated(course_id=course_id, org_id=course.org_id, fields=("publish_at",)),
            version=changed.version,
        )
        await tell_followers(tx, course_id)
    return changed


async def _freeze(course_id: CourseId) -> Frozen:
    frozen = await _freeze_complete(course_id)
    async with read() as db:
        is_let_go = await find_is_let_go(db, course_id, frozen.frozen_id)
    if is_let_go:
        # content was not asked yet to let go of it. When it did, the same outline is frozen under a new id.
        await let_go(frozen.frozen_id)
        frozen = await _freeze_complete(course_id)
    return frozen


async def _freeze_complete(course_id: CourseId) -> Frozen:
    frozen = await client(ContentCalls).freeze(course_id)
    if frozen.missing:
        raise NotReadyToPublish(
            "mend what is missing, then publish again: " + "; ".join(each.detail for each in frozen.missing[:10]),
            missing=[asdict(each) for each in frozen.missing],
        )
    return frozen


async def _commit_revision(
    tx: Transaction,
    course: Course,
    frozen_id: FrozenId,
    details: dict[str, Any],
    *,
    restored: int | None = None,
    note: str = "",
) -> None:
    revision = course.published_revision
    if revision is None:
        raise RuntimeError("a revision is committed after it was counted")
    await store.insert_revision(tx, course, frozen_id=frozen_id, details=details, restored_revision=restored, note=note)
    await tell_state(tx, course.id)
    emit(
        tx,
        CoursePublished(
            course_id=course.id,
            org_id=course.org_id,
            revision=revision,
            frozen_id=frozen_id,
            visibility=details["visibility"],
            restored_revision=restored,
        ),
        version=course.version,
    )


def _details(course: Course) -> dict[str, Any]:
    return {field: getattr(course, field) for field in DETAILS}
