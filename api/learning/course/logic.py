"""Use cases of the working copy: create, change, archive and restore.

Each one: permit, calls if any, one transaction (rules, store, emit).
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import asyncpg

from api.core.rbac.contract import RbacCalls
from api.learning.content.contract import ContentCalls
from api.learning.course import rules, store
from api.learning.course.catalog import kept
from api.learning.course.catalog import store as catalog
from api.learning.course.contract import (
    CategoryUnknown,
    CourseArchived,
    CourseArchivedAlready,
    CourseChanged,
    CourseCreated,
    CourseId,
    CourseModerated,
    CourseNotFound,
    CourseRestored,
    CourseUpdated,
    PublishAt,
    RunChanged,
    RunCreated,
    RunId,
    SlugTaken,
)
from api.learning.course.following.logic import tell_followers
from api.learning.course.offers import LANGUAGE, VISIBILITY
from api.learning.course.rules import MODERATED_FIELDS, MODERATED_KIND, TOPIC
from api.learning.course.store import Course, Details
from api.platform.moderation.contract import Place, look_later, screened
from cluster.base.ids import OrgId, UserId, new_id
from cluster.base.principal import Principal
from cluster.base.problems import FieldError, Problem, Stale
from cluster.data import Transaction, read, write
from cluster.data.idempotency import Replayed
from cluster.events import emit
from cluster.jobs import cancel_jobs
from cluster.people.access import permit_until, permitted, reach_of, within
from cluster.people.calls import client
from cluster.people.org_settings import setting
from cluster.signals.rooms import tell


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
        CategoryUnknown, TextRefused, AuthorMuted
    """
    # A right to create that ends gives no right to teach that does not.
    ends_at = await permit_until(caller, "course:create", within(org_id=org_id))
    author = caller.person()
    await _check_categories(details.categories)
    details = await _with_defaults(details, org_id)
    texts = {f"/{field}": getattr(details, field) for field in MODERATED_FIELDS}
    doubtful = await screened(texts, author, Place(kind=MODERATED_KIND, org_id=org_id, language=details.language))
    course_id = course_id or CourseId(new_id())
    run_id = run_id or RunId(new_id())
    # The dependent side first, the visible fact last.
    if source is None:
        await client(ContentCalls).create_outline(course_id, org_id)
    await client(RbacCalls).grant(author, "instructor", "course", course_id, org_id, expires_at=ends_at)
    try:
        async with write(caller, result=course_id, status=201) as tx:
            course = await store.insert_course(
                tx,
                details,
                course_id=course_id,
                org_id=org_id,
                run_id=run_id,
                slug=details.slug or rules.slug_of(details.title),
                source=source,
                author=author,
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
            emit(tx, CourseChanged(course_id=course.id, org_id=org_id), version=course.version)
            emit(tx, RunChanged(run_id=run_id, course_id=course.id, org_id=org_id), version=1)
            if doubtful:
                look_later(tx, MODERATED_KIND, course_id)
    except (Problem, Replayed):
        await take_back_grant(author, course_id, org_id)
        raise
    return course


async def _with_defaults(details: Details, org_id: OrgId) -> Details:
    """Fill in what the author did not say, as the organization's settings have it."""
    return replace(
        details,
        language=details.language or await setting(LANGUAGE, org_id),
        visibility=details.visibility or await setting(VISIBILITY, org_id),
    )


async def take_back_grant(author: UserId, course_id: CourseId, org_id: OrgId) -> None:
    """End the author's grant on a course that was refused; one that came to be keeps it."""
    async with read() as db:
        if await store.find_course(db, course_id) is not None:
            return
    await client(RbacCalls).revoke(author, "instructor", "course", course_id, org_id)


async def get_course(caller: Principal, course_id: CourseId) -> Course:
    return await permitted(caller, "course:read", store.find_course, course_id, missing=CourseNotFound)


async def list_courses(
    caller: Principal,
    *,
    org_id: OrgId | None,
    ids: list[CourseId] | None,
    archived: bool,
    before: CourseId | None,
    limit: int,
) -> list[Course]:
    """List the working copies that the caller may see, newest first."""
    reach = await reach_of(caller, "course:read")
    async with read() as db:
        return await store.list_courses(
            db, reach, org_id=org_id, ids=ids, archived=archived, before=before, limit=limit
        )


async def change_course(
    caller: Principal, course_id: CourseId, changes: dict[str, Any], expected_version: int
) -> Course:
    """Change the working copy; the catalogue shows it from the next publishing on.

    Raises:
        Stale: somebody changed it since.
        SlugTaken: another course of the organization has the slug.
        CategoryUnknown, TextRefused, AuthorMuted, CourseModerated
    """
    course = await permitted(caller, "course:edit", store.find_course, course_id, missing=CourseNotFound)
    refuse_archived(course)
    await _check_categories(changes.get("categories", ()))
    texts = {f"/{field}": changes[field] for field in MODERATED_FIELDS if field in changes}
    place = Place(kind=MODERATED_KIND, org_id=course.org_id, language=changes.get("language", course.language))
    doubtful = await screened(texts, caller.id, place)
    async with _slug_is_free(), write(caller, result=course_id) as tx:
        changed = await store.update_course(tx, course_id, changes, expected_version=expected_version)
        if changed is None:
            raise Stale((await store.get_course(tx, course_id)).view_version)
        emit(
            tx,
            CourseUpdated(course_id=course_id, org_id=course.org_id, fields=tuple(sorted(changes))),
            version=changed.version,
        )
        tell(tx, TOPIC, course_id, changed.live_seq)
        if doubtful:
            look_later(tx, MODERATED_KIND, course_id)
    return changed


async def archive(caller: Principal, course_id: CourseId) -> Course:
    """Take the course out of the catalogue; its learners keep what they have. Archiving twice is the same as once."""
    course = await permitted(caller, "course:publish", store.find_course, course_id, missing=CourseNotFound)
    async with write(caller, result=course_id) as tx:
        changed = await store.update_archived(tx, course_id, archived=True)
        if changed is not None:
            cancel_jobs(tx, PublishAt, PublishAt.dedupe(course_id))
            await tell_state(tx, course_id)
            emit(tx, CourseArchived(course_id=course_id, org_id=course.org_id), version=changed.version)
    return changed or await get_course(caller, course_id)


async def restore(caller: Principal, course_id: CourseId) -> Course:
    """Bring an archived course back, into the catalogue too if it was published.

    Raises:
        CourseModerated
    """
    course = await permitted(caller, "course:publish", store.find_course, course_id, missing=CourseNotFound)
    refuse_moderated(course)
    async with write(caller, result=course_id) as tx:
        changed = await store.update_archived(tx, course_id, archived=False)
        if changed is not None:
            await tell_state(tx, course_id)
            emit(tx, CourseRestored(course_id=course_id, org_id=course.org_id), version=changed.version)
    return changed or await get_course(caller, course_id)


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


async def tell_state(tx: Transaction, course_id: CourseId) -> None:
    """Emit what others project of a course, after a change of it, and let the catalogue be read again."""
    kept.drop(tx)
    state, version = await store.get_course_state(tx, course_id)
    emit(tx, state, version=version)
    await tell_followers(tx, course_id)


def refuse_moderated(course: Course) -> None:
    """Refuse a change of a course that a moderator locked or removed.

    Raises:
        CourseModerated
    """
    if course.moderation_state is not None:
        raise CourseModerated("GET /v1/moderation-decisions lists the decisions about it; its author may appeal")


def refuse_archived(course: Course) -> None:
    """Refuse a change of an archived course, and of one that a moderator locked.

    Raises:
        CourseArchivedAlready, CourseModerated
    """
    refuse_moderated(course)
    if course.archived_at is not None:
        raise CourseArchivedAlready(f"POST /v1/courses/{course.id}/restore brings it back")


@asynccontextmanager
async def _slug_is_free() -> AsyncGenerator[None]:
    try:
        yield
    except asyncpg.UniqueViolationError as error:
        raise SlugTaken("choose another slug", pointer="/slug") from error
