"""Use cases of the working copy: create, change, publish, roll back, schedule, archive, and who teaches.

Each one: permit, calls if any, one transaction (rules, store, emit).
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from api.core.rbac.contract import RbacCalls
from api.learning.content.contract import ContentCalls, Frozen, FrozenId
from api.learning.course import rules, store
from api.learning.course.contract import (
    CourseArchived,
    CourseArchivedAlready,
    CourseCreated,
    CourseId,
    CourseNotFound,
    CoursePublished,
    CourseRestored,
    CourseStaffChanged,
    CourseUpdated,
    NothingToPublish,
    NotReadyToPublish,
    PublishAt,
    RevisionNotFound,
    RunCreated,
    RunId,
    SlugTaken,
    Visibility,
)
from api.learning.course.store import Course, Revision, StaffMember
from cluster.access import permit, reach_of, within
from cluster.calls import client
from cluster.events import emit
from cluster.ids import OrgId, UserId, new_id
from cluster.jobs import cancel_jobs, enqueue
from cluster.postgres import Transaction, read, write
from cluster.principal import Principal
from cluster.problems import Invalid, Stale

PUBLISHED_FIELDS = ("slug", "title", "summary", "language", "categories", "tags", "visibility")


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What an author says of a course."""

    title: str
    summary: str = ""
    language: str = "en"
    slug: str | None = None
    categories: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    visibility: Visibility = "public"


async def create_course(
    caller: Principal,
    org_id: OrgId,
    details: Details,
    *,
    course_id: CourseId | None = None,
    run_id: RunId | None = None,
    source: CourseId | None = None,
) -> Course:
    """Create a course with an empty outline and a first run, self-paced and open; the caller teaches it.

    Raises:
        SlugTaken: the slug was chosen and is another course's.
    """
    await permit(caller, "course:create", within(org_id=org_id))
    author = caller.person()
    course_id = course_id or CourseId(new_id())
    run_id = run_id or RunId(new_id())
    # The dependent side first: an outline and a grant of a course that never comes to be are seen by nobody.
    if source is None:
        await client(ContentCalls).create_outline(course_id, org_id)
    await client(RbacCalls).grant(author, "instructor", "course", course_id, org_id)
    async with write(caller, result=course_id, status=201) as tx:
        course = await store.insert_course(
            tx,
            course_id=course_id,
            org_id=org_id,
            run_id=run_id,
            slug=details.slug or rules.slug_of(details.title),
            slug_is_chosen=details.slug is not None,
            title=details.title,
            summary=details.summary,
            language=details.language,
            categories=list(details.categories),
            tags=list(details.tags),
            visibility=details.visibility,
            source_course_id=source,
            created_by=author,
        )
        if course is None:
            raise SlugTaken("choose another slug, or leave it out and get one made of the title", pointer="/slug")
        emit(
            tx,
            CourseCreated(course_id=course.id, org_id=org_id, default_run_id=run_id, source_course_id=source),
            version=course.version,
        )
        emit(
            tx,
            RunCreated(
                run_id=run_id, course_id=course.id, org_id=org_id, starts_at=None, ends_at=None, pinned_revision=None
            ),
            version=1,
        )
    return course


async def get_course(caller: Principal, course_id: CourseId) -> Course:
    async with read() as db:
        guarded = await store.find_course(db, course_id)
    return await permit(caller, "course:read", guarded, missing=CourseNotFound)


async def list_courses(
    caller: Principal,
    *,
    org_id: OrgId | None,
    ids: list[CourseId] | None,
    archived: bool,
    before: CourseId | None,
    limit: int,
) -> list[Course]:
    """List the working copies that the caller may see, newest first; one more than `limit` when there is a next page."""
    reach = await reach_of(caller, "course:read")
    async with read() as db:
        return await store.list_courses(
            db, reach, org_id=org_id, ids=ids, archived=archived, before=before, limit=limit + 1
        )


async def change_course(
    caller: Principal, course_id: CourseId, changes: dict[str, Any], expected_version: int
) -> Course:
    """Change the working copy; the catalogue shows it from the next publishing on.

    Raises:
        Stale: somebody changed it since.
        SlugTaken: another course of the organization has the slug.
    """
    course = await _permitted(caller, "course:edit", course_id)
    _refuse_archived(course)
    async with _slug_is_free(), write(caller, result=course_id) as tx:
        changed = await store.update_course(
            tx,
            course_id,
            expected_version=expected_version,
            **{field: changes.get(field) for field in PUBLISHED_FIELDS},
        )
        if changed is None:
            raise Stale(await store.version_of_course(tx, course_id))
        emit(
            tx,
            CourseUpdated(course_id=course_id, org_id=course.org_id, fields=tuple(sorted(changes))),
            version=changed.version,
        )
    return changed


async def publish(caller: Principal, course_id: CourseId, note: str = "") -> Course:
    """Freeze the outline and make it and the working copy the next revision.

    Raises:
        NotReadyToPublish: lists what is missing.
        NothingToPublish: nothing changed, or a newer state was published at the same time.
    """
    course = await _permitted(caller, "course:publish", course_id)
    _refuse_archived(course)
    frozen = await _freeze(course_id)
    async with write(caller, result=course_id) as tx:
        published = await store.update_published(
            tx, course_id, frozen_id=frozen.frozen_id, outline_version=frozen.outline_version
        )
        if published is None:
            raise NothingToPublish("change the course or its outline first")
        await _commit_revision(tx, published, frozen.frozen_id, _details(published), note=note)
    return published


async def roll_back(caller: Principal, course_id: CourseId, revision: int) -> Course:
    """Publish an old revision's content again as a new revision. The working copy stays as it is."""
    course = await _permitted(caller, "course:publish", course_id)
    _refuse_archived(course)
    async with read() as db:
        old = await store.find_revision(db, course_id, revision)
    if old is None:
        raise RevisionNotFound(f"this course has the revisions 1 to {course.published_revision or 0}")
    async with write(caller, result=course_id) as tx:
        published = await store.update_rolled_back(tx, course_id, old.frozen_id)
        if published is None:
            raise CourseArchivedAlready
        await _commit_revision(tx, published, old.frozen_id, old.details, restored=revision)
    return published


async def list_revisions(caller: Principal, course_id: CourseId, *, before: int | None, limit: int) -> list[Revision]:
    await _permitted(caller, "course:read", course_id)
    async with read() as db:
        return await store.list_revisions(db, course_id, before=before, limit=limit + 1)


async def schedule(caller: Principal, course_id: CourseId, publish_at: datetime, now: datetime) -> Course:
    """Let the course publish itself at a time to come; a second call moves it.

    Raises:
        Invalid: the time is past, or more than two years away.
    """
    course = await _permitted(caller, "course:publish", course_id)
    _refuse_archived(course)
    if not now < publish_at < now + timedelta(days=731):
        raise Invalid("choose a time between now and two years from now", pointer="/publish_at")
    async with write(caller, result=course_id) as tx:
        scheduled = await store.update_schedule(tx, course_id, publish_at)
        if scheduled is None:
            raise CourseArchivedAlready
        cancel_jobs(tx, PublishAt.dedupe(course_id))
        enqueue(
            tx, PublishAt(course_id=course_id, publish_at=publish_at), at=publish_at, dedupe=PublishAt.dedupe(course_id)
        )
        emit(
            tx,
            CourseUpdated(course_id=course_id, org_id=course.org_id, fields=("publish_at",)),
            version=scheduled.version,
        )
    return scheduled


async def unschedule(caller: Principal, course_id: CourseId) -> Course:
    """Take back a scheduled publication."""
    course = await _permitted(caller, "course:publish", course_id)
    async with write(caller, result=course_id) as tx:
        changed = await store.update_schedule(tx, course_id, None)
        if changed is None:
            raise CourseArchivedAlready
        cancel_jobs(tx, PublishAt.dedupe(course_id))
        emit(
            tx,
            CourseUpdated(course_id=course_id, org_id=course.org_id, fields=("publish_at",)),
            version=changed.version,
        )
    return changed


async def archive(caller: Principal, course_id: CourseId) -> Course:
    """Take the course out of the catalogue; its learners keep what they have. Archiving twice is the same as once."""
    course = await _permitted(caller, "course:publish", course_id)
    async with write(caller, result=course_id) as tx:
        changed = await store.update_archived(tx, course_id, archived=True)
        if changed is not None:
            cancel_jobs(tx, PublishAt.dedupe(course_id))
            emit(tx, CourseArchived(course_id=course_id, org_id=course.org_id), version=changed.version)
    return changed or await get_course(caller, course_id)


async def restore(caller: Principal, course_id: CourseId) -> Course:
    """Bring an archived course back, into the catalogue too if it was published."""
    course = await _permitted(caller, "course:publish", course_id)
    async with write(caller, result=course_id) as tx:
        changed = await store.update_archived(tx, course_id, archived=False)
        if changed is not None:
            emit(tx, CourseRestored(course_id=course_id, org_id=course.org_id), version=changed.version)
    return changed or await get_course(caller, course_id)


async def list_staff(caller: Principal, course_id: CourseId) -> list[StaffMember]:
    await _permitted(caller, "course:read", course_id)
    async with read() as db:
        return await store.list_staff(db, course_id)


async def appoint(caller: Principal, course_id: CourseId, user_id: UserId, role: str) -> list[StaffMember]:
    """Put somebody on the staff, or change their role. The grant comes first, the visible row last."""
    course = await _permitted(caller, "course:staff", course_id)
    await client(RbacCalls).grant(user_id, role, "course", course_id, course.org_id, caller.id)
    for other in {"instructor", "assistant"} - {role}:
        await client(RbacCalls).revoke(user_id, other, "course", course_id, course.org_id, caller.id)
    async with write(caller, result=course_id) as tx:
        version = await store.upsert_staff(tx, course, user_id, role)
        emit(tx, _staff_changed(course, user_id, role, added=True), version=version)
    return await list_staff(caller, course_id)


async def dismiss(caller: Principal, course_id: CourseId, user_id: UserId) -> None:
    """Take somebody off the staff: first what they may do, then that they are seen."""
    course = await _permitted(caller, "course:staff", course_id)
    for role in ("instructor", "assistant"):
        await client(RbacCalls).revoke(user_id, role, "course", course_id, course.org_id, caller.id)
    async with write(caller, result=course_id, status=204) as tx:
        version = await store.delete_staff(tx, course_id, user_id)
        if version is not None:
            emit(tx, _staff_changed(course, user_id, "", added=False), version=version)


async def _permitted(caller: Principal, permission: str, course_id: CourseId) -> Course:
    async with read() as db:
        guarded = await store.find_course(db, course_id)
    return await permit(caller, permission, guarded, missing=CourseNotFound)


async def _freeze(course_id: CourseId) -> Frozen:
    frozen = await client(ContentCalls).freeze(course_id)
    if frozen.missing:
        raise NotReadyToPublish(
            "mend what `missing` lists, then publish again",
            missing=[asdict(missing) for missing in frozen.missing],
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
    return {field: getattr(course, field) for field in PUBLISHED_FIELDS}


def _refuse_archived(course: Course) -> None:
    if course.archived_at is not None:
        raise CourseArchivedAlready(f"POST /v1/courses/{course.id}/restore brings it back")


def _staff_changed(course: Course, user_id: UserId, role: str, *, added: bool) -> CourseStaffChanged:
    return CourseStaffChanged(course_id=course.id, org_id=course.org_id, user_id=user_id, role=role, added=added)


@asynccontextmanager
async def _slug_is_free() -> AsyncGenerator[None]:
    try:
        yield
    except asyncpg.UniqueViolationError as error:
        raise SlugTaken("choose another slug", pointer="/slug") from error
