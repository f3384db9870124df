"""The SQL of working copies. Publication, runs, staff and the catalogue have stores of their own."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from api.learning.course.contract import CourseChanged, CourseId, RunId, Visibility
from cluster.base.ids import OrgId, UserId
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded, Reach


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What an author says of a course."""

    title: str
    summary: str = ""
    language: str | None = None
    """None: as the organization's setting says."""
    slug: str | None = None
    categories: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    visibility: Visibility | None = None
    """None: as the organization's setting says."""


DETAILS = tuple(Details.__dataclass_fields__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """The working copy."""

    id: CourseId
    org_id: OrgId
    slug: str
    title: str
    summary: str
    language: str
    categories: list[str]
    tags: list[str]
    visibility: Visibility
    default_run_id: RunId
    source_course_id: CourseId | None
    published_revision: int | None
    has_draft_changes: bool
    publish_at: datetime | None
    publish_error: str | None
    archived_at: datetime | None
    moderation_state: Literal["locked", "removed"] | None
    """What a moderator decided of it."""
    version: int
    """Counts every change, as events tell it."""
    view_version: int
    """Counts the changes of what is here: all but those of its staff."""
    live_seq: int
    """Counts every change that followers are told of: of its fields, its staff and its outline."""
    created_at: datetime
    updated_at: datetime


COURSE = """id, org_id, slug, title, summary, language, categories, tags, visibility, default_run_id, source_course_id,
    published_revision, published_revision IS NOT NULL
        AND (details_changed OR outline_version > published_outline_version) AS has_draft_changes,
    publish_at, publish_error, archived_at, moderation_state, version, version - staff_changes AS view_version,
    version + outline_version AS live_seq, created_at, updated_at"""

FIND_COURSE = (
    "SELECT "
    + COURSE
    + """, (SELECT visibility FROM course.catalog WHERE course_id = courses.id AND NOT hidden) AS shown_to
    FROM course.courses WHERE id = $course_id"""
)


async def find_course(db: Connection, course_id: CourseId) -> Guarded[Course] | None:
    """Find a course. Everybody may know that it exists while the catalogue shows it to everybody."""
    rows = await db.rows(FIND_COURSE, course_id=course_id)
    if not rows:
        return None
    fields = dict(rows[0])
    see = "catalog:read" if fields.pop("shown_to") in ("public", "unlisted") else None
    course = Course(**fields)
    return Guarded(course, org_id=course.org_id, course_id=course.id, see=see)


GET_COURSE = "SELECT " + COURSE + " FROM course.courses WHERE id = $course_id"


async def get_course(db: Connection, course_id: CourseId) -> Course:
    return await db.one(Course, GET_COURSE, course_id=course_id)


_STATE = """SELECT c.id AS course_id, c.org_id, c.published_revision AS revision, c.published_frozen_id AS frozen_id,
        k.visibility, k.language, c.archived_at IS NOT NULL AS archived, c.version
    FROM course.courses c LEFT JOIN course.catalog k ON k.course_id = c.id
    WHERE """
GET_COURSE_STATE = _STATE + "c.id = $course_id"


async def get_course_state(db: Connection, course_id: CourseId) -> tuple[CourseChanged, int]:
    """Return what others project of a course, with its version."""
    [row] = await db.rows(GET_COURSE_STATE, course_id=course_id)
    return _state(row)


LIST_COURSE_STATES = _STATE + "c.id > $after ORDER BY c.id LIMIT $limit"


async def list_course_states(db: Connection, after: UUID, limit: int) -> list[tuple[CourseChanged, int]]:
    return [_state(row) for row in await db.rows(LIST_COURSE_STATES, after=after, limit=limit)]


def _state(row: Any) -> tuple[CourseChanged, int]:
    fields = dict(row)
    version = fields.pop("version")
    return CourseChanged(**fields), version


LIST_COURSES = (
    "SELECT "
    + COURSE
    + """ FROM course.courses
    WHERE ($everywhere OR org_id = ANY($org_ids::uuid[]) OR id = ANY($course_ids::uuid[]))
      AND ($org_id::uuid IS NULL OR org_id = $org_id)
      AND ($ids::uuid[] IS NULL OR id = ANY($ids))
      AND (archived_at IS NOT NULL) = $archived
      AND ($before::uuid IS NULL OR id < $before)
    ORDER BY id DESC LIMIT $limit"""
)


async def list_courses(
    db: Connection,
    reach: Reach,
    *,
    org_id: OrgId | None,
    ids: list[CourseId] | None,
    archived: bool,
    before: CourseId | None,
    limit: int,
) -> list[Course]:
    """List working copies within reach, newest first."""
    return await db.all(
        Course, LIST_COURSES, reach, org_id=org_id, ids=ids, archived=archived, before=before, limit=limit
    )


INSERT_COURSE = (
    """WITH taken AS (
        SELECT EXISTS (SELECT 1 FROM course.courses WHERE org_id = $org_id AND slug = $slug) AS yes
    ), course AS (
        INSERT INTO course.courses (id, org_id, default_run_id, slug, title, summary, language, categories, tags,
                                    visibility, source_course_id, created_by, created_at, updated_at)
        SELECT $course_id, $org_id, $run_id,
               CASE WHEN taken.yes AND NOT $slug_is_chosen
                    THEN left($slug, 66) || '-' || right($course_id::uuid::text, 12) ELSE $slug END,
               $title, $summary, $language, $categories, $tags, $visibility, $source, $author, $now, $now
        FROM taken
        ON CONFLICT (org_id, slug) DO NOTHING
        RETURNING """
    + COURSE
    + """
    ), run AS (
        INSERT INTO course.runs (id, course_id, org_id, title, pace, is_default, created_at)
        SELECT $run_id, id, org_id, title, 'self', true, created_at FROM course
    ), staff AS (
        INSERT INTO course.staff (course_id, user_id, org_id, role, added_at)
        SELECT id, $author, org_id, 'instructor', created_at FROM course
    )
    SELECT * FROM course"""
)


async def insert_course(
    tx: Transaction,
    details: Details,
    *,
    course_id: CourseId,
    org_id: OrgId,
    run_id: RunId,
    slug: str,
    source: CourseId | None,
    author: UserId,
) -> Course | None:
    """Insert a course, its first run and its first instructor. A slug that nobody chose is made unique by its id.

    Returns None when the chosen slug is taken.
    """

    async def insert() -> Course | None:
        return await tx.maybe(
            Course,
            INSERT_COURSE,
            details,
            course_id=course_id,
            org_id=org_id,
            run_id=run_id,
            slug=slug,
            slug_is_chosen=details.slug is not None,
            source=source,
            author=author,
        )

    course = await insert()
    if course is None and details.slug is None:
        # A concurrent transaction took the slug after this statement began; the next statement sees it.
        course = await insert()
    return course


UPDATE_COURSE = (
    """UPDATE course.courses
    SET slug = coalesce($slug, slug), title = coalesce($title, title), summary = coalesce($summary, summary),
        language = coalesce($language, language), categories = coalesce($categories, categories),
        tags = coalesce($tags, tags), visibility = coalesce($visibility, visibility),
        version = version + 1, updated_at = $now,
        details_changed = details_changed OR
            (slug, title, summary, language, categories, tags, visibility) IS DISTINCT FROM
            (coalesce($slug, slug), coalesce($title, title), coalesce($summary, summary), coalesce($language, language),
             coalesce($categories, categories), coalesce($tags, tags), coalesce($visibility, visibility))
    WHERE id = $course_id AND version - staff_changes = $expected_version
    RETURNING """
    + COURSE
)


async def update_course(
    tx: Transaction, course_id: CourseId, changes: Mapping[str, Any], *, expected_version: int
) -> Course | None:
    """Change the details that `changes` names; return None when the version is another.

    Raises:
        asyncpg.UniqueViolationError: the slug is taken.
    """
    details = {field: changes.get(field) for field in DETAILS}
    return await tx.maybe(Course, UPDATE_COURSE, course_id=course_id, expected_version=expected_version, **details)


UPDATE_ARCHIVED = (
    """WITH course AS (
        UPDATE course.courses
        SET archived_at = CASE WHEN $archived THEN $now::timestamptz END, publish_at = NULL,
            version = version + 1, updated_at = $now
        WHERE id = $course_id AND (archived_at IS NOT NULL) <> $archived
        RETURNING """
    + COURSE
    + """
    ), shown AS (
        UPDATE course.catalog SET hidden = $archived WHERE course_id IN (SELECT id FROM course)
    )
    SELECT * FROM course"""
)


async def update_archived(tx: Transaction, course_id: CourseId, *, archived: bool) -> Course | None:
    """Archive or restore, and hide or show it in the catalogue. None when it already is so."""
    return await tx.maybe(Course, UPDATE_ARCHIVED, course_id=course_id, archived=archived)


UPDATE_OUTLINE_VERSION = """
UPDATE course.courses SET outline_version = $outline_version WHERE id = $course_id AND outline_version < $outline_version
"""


async def update_outline_version(tx: Transaction, course_id: CourseId, outline_version: int) -> bool:
    """Remember the newest outline heard of, and tell whether it is news; events may come late and twice.

    The version stays: an author's edit of the course's own fields is not stale because a block was added.
    """
    return await tx.run(UPDATE_OUTLINE_VERSION, course_id=course_id, outline_version=outline_version) == 1


LIST_EXISTING = "SELECT id FROM course.courses WHERE id = ANY($ids::uuid[]) LIMIT 1000"


async def list_existing(db: Connection, course_ids: list[UUID]) -> list[UUID]:
    """List those of up to 1,000 courses that exist."""
    return [row["id"] for row in await db.rows(LIST_EXISTING, ids=course_ids)]


LIST_PENDING = """
SELECT course_id FROM course.reruns WHERE course_id = ANY($ids::uuid[]) AND state IN ('copying', 'creating') LIMIT 1000
"""


async def list_pending(db: Connection, course_ids: list[UUID]) -> list[UUID]:
    """List those of up to 1,000 courses that a rerun is making."""
    return [row["course_id"] for row in await db.rows(LIST_PENDING, ids=course_ids)]
