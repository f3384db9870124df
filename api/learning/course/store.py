"""The SQL of course: working copies and revisions. Runs, staff and the catalogue have stores of their own."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from api.learning.content.contract import FrozenId
from api.learning.course.contract import CourseId, RunId, Visibility
from cluster.base.ids import OrgId, UserId
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded, Reach


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
    version: int
    """Counts every change, as events tell it."""
    view_version: int
    """Counts the changes of what is here: all but those of its staff."""
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """One published state. `details` are the course's fields as they were."""

    course_id: CourseId
    revision: int
    frozen_id: FrozenId
    details: dict[str, Any]
    restored_revision: int | None
    note: str
    published_by: UserId | None
    published_at: datetime


_COURSE = """id, org_id, slug, title, summary, language, categories, tags, visibility, default_run_id, source_course_id,
    published_revision, published_revision IS NOT NULL
        AND (details_changed OR outline_version > published_outline_version) AS has_draft_changes,
    publish_at, publish_error, archived_at, version, version - staff_changes AS view_version, created_at, updated_at"""


async def find_course(db: Connection, course_id: CourseId) -> Guarded[Course] | None:
    """Find a course. Its existence is public while the catalogue shows it to everybody, whatever its draft says."""
    rows = await db.rows(
        "SELECT "
        + _COURSE
        + """, EXISTS (SELECT 1 FROM course.catalog WHERE course_id = courses.id AND NOT hidden
                         AND catalog.visibility <> 'organization') AS public
           FROM course.courses WHERE id = $1""",
        course_id,
    )
    if not rows:
        return None
    fields = dict(rows[0])
    public = fields.pop("public")
    course = Course(**fields)
    return Guarded(course, org_id=course.org_id, course_id=course.id, public=public)


async def get_course(db: Connection, course_id: CourseId) -> Course:
    return await db.one(Course, "SELECT " + _COURSE + " FROM course.courses WHERE id = $1", course_id)


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
        Course,
        """SELECT """
        + _COURSE
        + """
           FROM course.courses
           WHERE ($1 OR org_id = ANY($2::uuid[]) OR id = ANY($3::uuid[]))
             AND ($4::uuid IS NULL OR org_id = $4)
             AND ($5::uuid[] IS NULL OR id = ANY($5))
             AND (archived_at IS NOT NULL) = $6
             AND ($7::uuid IS NULL OR id < $7)
           ORDER BY id DESC LIMIT $8""",
        reach.everywhere,
        reach.org_ids,
        reach.course_ids,
        org_id,
        ids,
        archived,
        before,
        limit,
    )


_INSERT_COURSE = (
    """WITH taken AS (
               SELECT EXISTS (SELECT 1 FROM course.courses WHERE org_id = $2 AND slug = $4) AS yes
           ), course AS (
               INSERT INTO course.courses (id, org_id, default_run_id, slug, title, summary, language, categories, tags,
                                           visibility, source_course_id, created_by, created_at, updated_at)
               SELECT $1, $2, $3, CASE WHEN taken.yes AND NOT $5 THEN left($4, 66) || '-' || right($1::uuid::text, 12) ELSE $4 END,
                      $6, $7, $8, $9, $10, $11, $12, $13, $14, $14
               FROM taken
               ON CONFLICT (org_id, slug) DO NOTHING
               RETURNING """
    + _COURSE
    + """
           ), run AS (
               INSERT INTO course.runs (id, course_id, org_id, title, pace, is_default, created_at)
               SELECT $3, id, org_id, title, 'self', true, created_at FROM course
           ), staff AS (
               INSERT INTO course.staff (course_id, user_id, org_id, role, added_at)
               SELECT id, $13, org_id, 'instructor', created_at FROM course
           )
           SELECT * FROM course"""
)


async def insert_course(
    tx: Transaction,
    *,
    course_id: CourseId,
    org_id: OrgId,
    run_id: RunId,
    slug: str,
    slug_is_chosen: bool,
    title: str,
    summary: str,
    language: str,
    categories: list[str],
    tags: list[str],
    visibility: Visibility,
    source_course_id: CourseId | None,
    created_by: UserId,
) -> Course | None:
    """Insert a course, its first run and its first instructor. A slug that nobody chose is made unique by its id.

    Returns None when the chosen slug is taken.
    """
    args = (
        course_id,
        org_id,
        run_id,
        slug,
        slug_is_chosen,
        title,
        summary,
        language,
        categories,
        tags,
        visibility,
        source_course_id,
        created_by,
        tx.now,
    )
    course = await tx.maybe(Course, _INSERT_COURSE, *args)
    if course is None and not slug_is_chosen:
        # A twin took the slug at this moment; from here on it is seen.
        course = await tx.maybe(Course, _INSERT_COURSE, *args)
    return course


async def update_course(
    tx: Transaction,
    course_id: CourseId,
    *,
    expected_version: int,
    slug: str | None,
    title: str | None,
    summary: str | None,
    language: str | None,
    categories: list[str] | None,
    tags: list[str] | None,
    visibility: Visibility | None,
) -> Course | None:
    """Change what is not None; return None when the version moved on.

    Raises:
        asyncpg.UniqueViolationError: the slug is taken.
    """
    return await tx.maybe(
        Course,
        """UPDATE course.courses
           SET slug = coalesce($3, slug), title = coalesce($4, title), summary = coalesce($5, summary),
               language = coalesce($6, language), categories = coalesce($7, categories), tags = coalesce($8, tags),
               visibility = coalesce($9, visibility), version = version + 1, updated_at = $10,
               details_changed = details_changed OR
                   (slug, title, summary, language, categories, tags, visibility) IS DISTINCT FROM
                   (coalesce($3, slug), coalesce($4, title), coalesce($5, summary), coalesce($6, language),
                    coalesce($7, categories), coalesce($8, tags), coalesce($9, visibility))
           WHERE id = $1 AND version - staff_changes = $2
           RETURNING """
        + _COURSE,
        course_id,
        expected_version,
        slug,
        title,
        summary,
        language,
        categories,
        tags,
        visibility,
        tx.now,
    )


async def update_published(
    tx: Transaction,
    course_id: CourseId,
    *,
    frozen_id: FrozenId,
    outline_version: int,
    scheduled_at: datetime | None,
) -> Course | None:
    """Move the working copy to its next revision; with `scheduled_at` only while it is scheduled for then.

    Returns None when it is archived, when nothing changed since the last revision, or when a newer outline was published
    meanwhile.
    """
    return await tx.maybe(
        Course,
        """UPDATE course.courses
           SET published_revision = coalesce(published_revision, 0) + 1, published_frozen_id = $2,
               published_outline_version = $3, details_changed = false, publish_at = NULL, publish_error = NULL,
               version = version + 1, updated_at = $4
           WHERE id = $1 AND archived_at IS NULL AND $3 >= published_outline_version
             AND (published_revision IS NULL OR details_changed OR published_frozen_id <> $2)
             AND ($5::timestamptz IS NULL OR publish_at = $5)
           RETURNING """
        + _COURSE,
        course_id,
        frozen_id,
        outline_version,
        tx.now,
        scheduled_at,
    )


async def update_same_outline(
    tx: Transaction, course_id: CourseId, frozen_id: FrozenId, outline_version: int
) -> Course | None:
    """Note that an outline of a newer version is what is published. None when that is known, or it is another.

    The version stays, as it does when the outline changes.
    """
    return await tx.maybe(
        Course,
        """UPDATE course.courses SET published_outline_version = $3
           WHERE id = $1 AND published_frozen_id = $2 AND published_outline_version < $3
           RETURNING """
        + _COURSE,
        course_id,
        frozen_id,
        outline_version,
    )


async def update_rolled_back(tx: Transaction, course_id: CourseId, frozen_id: FrozenId) -> Course | None:
    """Count up the revision for old content that comes back; the working copy keeps its own text. None when archived."""
    return await tx.maybe(
        Course,
        """UPDATE course.courses
           SET published_revision = published_revision + 1, published_frozen_id = $2, details_changed = true,
               version = version + 1, updated_at = $3
           WHERE id = $1 AND archived_at IS NULL AND published_revision IS NOT NULL
           RETURNING """
        + _COURSE,
        course_id,
        frozen_id,
        tx.now,
    )


async def insert_revision(
    tx: Transaction,
    course: Course,
    *,
    frozen_id: FrozenId,
    details: dict[str, Any],
    restored_revision: int | None,
    note: str,
) -> None:
    """Write the revision and what the catalogue shows of it, in one statement."""
    await tx.run(
        """WITH revision AS (
               INSERT INTO course.revisions (course_id, revision, org_id, frozen_id, details, restored_revision, note,
                                             published_by, published_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
           )
           INSERT INTO course.catalog (course_id, org_id, revision, slug, title, summary, language, categories, tags,
                                       visibility, published_at)
           SELECT $1, $3, $2, d.slug, d.title, d.summary, d.language, d.categories, d.tags, d.visibility, $9
           FROM jsonb_to_record($5) AS d (slug text, title text, summary text, language text, categories text[],
                                          tags text[], visibility text)
           ON CONFLICT (course_id) DO UPDATE
           SET revision = excluded.revision, slug = excluded.slug, title = excluded.title, summary = excluded.summary,
               language = excluded.language, categories = excluded.categories, tags = excluded.tags,
               visibility = excluded.visibility, hidden = false, published_at = excluded.published_at""",
        course.id,
        course.published_revision,
        course.org_id,
        frozen_id,
        details,
        restored_revision,
        note,
        tx.principal.id,
        tx.now,
    )


_FIND_REVISION = """SELECT course_id, revision, frozen_id, details, restored_revision, note, published_by, published_at
    FROM course.revisions WHERE course_id = $1 AND revision = $2"""


async def get_revision(db: Connection, course_id: CourseId, revision: int) -> Revision:
    return await db.one(Revision, _FIND_REVISION, course_id, revision)


async def find_revision(db: Connection, course_id: CourseId, revision: int) -> Revision | None:
    return await db.maybe(Revision, _FIND_REVISION, course_id, revision)


async def list_revisions(db: Connection, course_id: CourseId, *, before: int | None, limit: int) -> list[Revision]:
    """List the revisions of a course, newest first."""
    return await db.all(
        Revision,
        """SELECT course_id, revision, frozen_id, details, restored_revision, note, published_by, published_at
           FROM course.revisions WHERE course_id = $1 AND ($2::bigint IS NULL OR revision < $2)
           ORDER BY revision DESC LIMIT $3""",
        course_id,
        before,
        limit,
    )


async def update_archived(tx: Transaction, course_id: CourseId, *, archived: bool) -> Course | None:
    """Archive or restore, and hide or show it in the catalogue. None when it already is so."""
    return await tx.maybe(
        Course,
        """WITH course AS (
               UPDATE course.courses
               SET archived_at = CASE WHEN $2 THEN $3::timestamptz END, publish_at = NULL,
                   version = version + 1, updated_at = $3
               WHERE id = $1 AND (archived_at IS NOT NULL) <> $2
               RETURNING """
        + _COURSE
        + """
           ), shown AS (
               UPDATE course.catalog SET hidden = $2 WHERE course_id IN (SELECT id FROM course)
           )
           SELECT * FROM course""",
        course_id,
        archived,
        tx.now,
    )


async def update_schedule(tx: Transaction, course_id: CourseId, publish_at: datetime | None) -> Course | None:
    """Set or clear when the course publishes itself. None when it is archived."""
    return await tx.maybe(
        Course,
        """UPDATE course.courses SET publish_at = $2, publish_error = NULL, version = version + 1, updated_at = $3
           WHERE id = $1 AND archived_at IS NULL
           RETURNING """
        + _COURSE,
        course_id,
        publish_at,
        tx.now,
    )


async def update_schedule_failed(
    tx: Transaction, course_id: CourseId, *, publish_at: datetime, error: str
) -> Course | None:
    """End a schedule and say why the course did not publish itself. None when it was moved meanwhile."""
    return await tx.maybe(
        Course,
        """UPDATE course.courses SET publish_at = NULL, publish_error = $3, version = version + 1, updated_at = $4
           WHERE id = $1 AND publish_at = $2
           RETURNING """
        + _COURSE,
        course_id,
        publish_at,
        error,
        tx.now,
    )


async def update_outline_version(tx: Transaction, course_id: CourseId, outline_version: int) -> None:
    """Remember the newest outline heard of; events may come late and twice.

    The version stays: nobody's edit of the course's own fields is stale because a block was added.
    """
    await tx.run(
        "UPDATE course.courses SET outline_version = $2 WHERE id = $1 AND outline_version < $2",
        course_id,
        outline_version,
    )
