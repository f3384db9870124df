"""Use cases of the working copy: create, change, publish, roll back, schedule and archive.

Each one: permit, calls if any, one transaction (rules, store, emit).
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from api.core.rbac.contract import RbacCalls
from api.learning.content.contract import ContentCalls, Frozen, FrozenId
from api.learning.course import rules, store
from api.learning.course.catalog import store as catalog
from api.learning.course.contract import (
    CategoryUnknown,
    CourseArchived,
    CourseArchivedAlready,
    CourseCreated,
    CourseId,
    CourseNotFound,
    CoursePublished,
    CourseRestored,
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
from api.learning.course.store import Course, Revision
from cluster.base.ids import OrgId, UserId, new_id
from cluster.base.principal import Principal
from cluster.base.problems import FieldError, Invalid, Problem, Stale
from cluster.data import Transaction, read, write
from cluster.data.idempotency import Replayed
from cluster.events import emit
from cluster.jobs import cancel_jobs, enqueue
from cluster.people.access import permit, reach_of, within
from cluster.people.calls import client

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
        CategoryUnknown
    """
    await permit(caller, "course:create", within(org_id=org_id))
    author = caller.person()
    await _check_categories(details.categories)
    course_id = course_id or CourseId(new_id())
    run_id = run_id or RunId(new_id())
    # The dependent side first, the visible fact last.
    if source is None:
        await client(ContentCalls).create_outline(course_id, org_id)
    await client(RbacCalls).grant(author, "instructor", "course", course_id, org_id)
    try:
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
                    run_id=run_id,
                    course_id=course.id,
                    org_id=org_id,
                    starts_at=None,
                    ends_at=None,
                    pinned_revision=None,
                ),
                version=1,
            )
    except (Problem, Replayed):
        await take_back_grant(author, course_id, org_id)
        raise
    return course


async def take_back_grant(author: UserId, course_id: CourseId, org_id: OrgId) -> None:
    """End the author's grant on a course that was refused; one that came to be keeps it."""
    async with read() as db:
        if await store.find_course(db, course_id) is not None:
            return
    await client(RbacCalls).revoke(author, "instructor", "course", course_id, org_id)


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
        CategoryUnknown
    """
    course = await _permitted(caller, "course:edit", course_id)
    _refuse_archived(course)
    await _check_categories(changes.get("categories", ()))
    async with _slug_is_free(), write(caller, result=course_id) as tx:
        changed = await store.update_course(
            tx,
            course_id,
            expected_version=expected_version,
            **{field: changes.get(field) for field in PUBLISHED_FIELDS},
        )
        if changed is None:
            raise Stale((await store.get_course(tx, course_id)).view_version)
        emit(
            tx,
            CourseUpdated(course_id=course_id, org_id=course.org_id, fields=tuple(sorted(changes))),
            version=changed.version,
        )
    return changed


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
    course = await _permitted(caller, "course:publish", course_id)
    if scheduled_at not in (None, course.publish_at):
        return course
    _refuse_archived(course)
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
            current = await store.get_course(tx, course_id)
            if scheduled_at not in (None, current.publish_at):
                return current
            _refuse_archived(current)
            same = await store.update_same_outline(tx, course_id, frozen.frozen_id, frozen.outline_version)
            if same is None or scheduled_at is not None:
                raise NothingToPublish("change the course or its outline first")
            return same
        await _commit_revision(tx, published, frozen.frozen_id, _details(published), note=note)
    return published


async def roll_back(caller: Principal, course_id: CourseId, revision: int) -> Course:
    """Publish an old revision's content again as a new revision. The working copy stays as it is."""
    course = await _permitted(caller, "course:publish", course_id)
    _refuse_archived(course)
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
        cancel_jobs(tx, PublishAt, PublishAt.dedupe(course_id))
        enqueue(
            tx, PublishAt(course_id=course_id, publish_at=publish_at), at=publish_at, dedupe=PublishAt.dedupe(course_id)
        )
        emit(
            tx,
            CourseUpdated(course_id=course_id, org_id=course.org_id, fields=("publish_at",)),
            version=scheduled.version,
        )
    return scheduled


async def end_schedule(caller: Principal, course_id: CourseId, publish_at: datetime, reason: str) -> None:
    """Say on the course why it did not publish itself, unless its schedule was moved meanwhile."""
    async with write(caller) as tx:
        course = await store.update_schedule_failed(tx, course_id, publish_at=publish_at, error=reason)
        if course is not None:
            fields = ("publish_at", "publish_error")
            emit(tx, CourseUpdated(course_id=course_id, org_id=course.org_id, fields=fields), version=course.version)


async def unschedule(caller: Principal, course_id: CourseId) -> Course:
    """Take back a scheduled publication."""
    course = await _permitted(caller, "course:publish", course_id)
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
    return changed


async def archive(caller: Principal, course_id: CourseId) -> Course:
    """Take the course out of the catalogue; its learners keep what they have. Archiving twice is the same as once."""
    course = await _permitted(caller, "course:publish", course_id)
    async with write(caller, result=course_id) as tx:
        changed = await store.update_archived(tx, course_id, archived=True)
        if changed is not None:
            cancel_jobs(tx, PublishAt, PublishAt.dedupe(course_id))
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


async def _permitted(caller: Principal, permission: str, course_id: CourseId) -> Course:
    async with read() as db:
        guarded = await store.find_course(db, course_id)
    return await permit(caller, permission, guarded, missing=CourseNotFound)


async def _check_categories(categories: Sequence[str]) -> None:
    if not categories:
        return
    async with read() as db:
        unknown = await catalog.list_unknown_categories(db, categories)
    if unknown:
        raise CategoryUnknown(
            errors=tuple(
                FieldError(
                    f"/categories/{categories.index(each)}",
                    "category-unknown",
                    "choose one of GET /v1/catalog/-/categories",
                    {"category": each},
                )
                for each in unknown
            )
        )


async def _freeze(course_id: CourseId) -> Frozen:
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


@asynccontextmanager
async def _slug_is_free() -> AsyncGenerator[None]:
    try:
        yield
    except asyncpg.UniqueViolationError as error:
        raise SlugTaken("choose another slug", pointer="/slug") from error
