"""The SQL of publication: revisions, and the schedule of the next one. Forgetting has a store of its own."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from api.learning.content.contract import FrozenId
from api.learning.course.contract import CourseId, CourseOutline
from api.learning.course.store import COURSE, Course
from cluster.base.ids import UserId
from cluster.data import Connection, Transaction


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
    forgotten_at: datetime | None


UPDATE_PUBLISHED = (
    """UPDATE course.courses
    SET published_revision = coalesce(published_revision, 0) + 1, published_frozen_id = $frozen_id,
        published_outline_version = $outline_version, details_changed = false, publish_at = NULL, publish_error = NULL,
        version = version + 1, updated_at = $now
    WHERE id = $course_id AND archived_at IS NULL AND $outline_version >= published_outline_version
      AND (published_revision IS NULL OR details_changed OR published_frozen_id <> $frozen_id)
      AND ($scheduled_at::timestamptz IS NULL OR publish_at = $scheduled_at)
    RETURNING """
    + COURSE
)


async def update_published(
    tx: Transaction, course_id: CourseId, *, frozen_id: FrozenId, outline_version: int, scheduled_at: datetime | None
) -> Course | None:
    """Move the working copy to its next revision; with `scheduled_at` only while it is scheduled for then.

    Returns None when it is archived, when nothing changed since the last revision, or when a newer outline was published
    meanwhile.
    """
    return await tx.maybe(
        Course,
        UPDATE_PUBLISHED,
        course_id=course_id,
        frozen_id=frozen_id,
        outline_version=outline_version,
        scheduled_at=scheduled_at,
    )


UPDATE_SAME_OUTLINE = (
    """UPDATE course.courses SET published_outline_version = $outline_version
    WHERE id = $course_id AND published_frozen_id = $frozen_id AND published_outline_version < $outline_version
    RETURNING """
    + COURSE
)


async def update_same_outline(
    tx: Transaction, course_id: CourseId, frozen_id: FrozenId, outline_version: int
) -> Course | None:
    """Record that an outline of a newer version equals the published one. None when that is known, or it differs.

    The version stays, as it does when the outline changes.
    """
    return await tx.maybe(
        Course, UPDATE_SAME_OUTLINE, course_id=course_id, frozen_id=frozen_id, outline_version=outline_version
    )


UPDATE_ROLLED_BACK = (
    """UPDATE course.courses
    SET published_revision = published_revision + 1, published_frozen_id = $frozen_id, details_changed = true,
        version = version + 1, updated_at = $now
    WHERE id = $course_id AND archived_at IS NULL AND published_revision IS NOT NULL
    RETURNING """
    + COURSE
)


async def update_rolled_back(tx: Transaction, course_id: CourseId, frozen_id: FrozenId) -> Course | None:
    """Count up the revision for old content that comes back; the working copy keeps its own text. None when archived."""
    return await tx.maybe(Course, UPDATE_ROLLED_BACK, course_id=course_id, frozen_id=frozen_id)


INSERT_REVISION = """
WITH revision AS (
    INSERT INTO course.revisions (course_id, revision, org_id, frozen_id, details, restored_revision, note, published_by,
                                  published_at)
    VALUES ($id, $published_revision, $org_id, $frozen_id, $details, $restored_revision, $note, $published_by, $now)
)
INSERT INTO course.catalog (course_id, org_id, revision, slug, title, summary, language, categories, tags, visibility,
                            published_at)
SELECT $id, $org_id, $published_revision, d.slug, d.title, d.summary, d.language, d.categories, d.tags, d.visibility, $now
FROM jsonb_to_record($details) AS d (slug text, title text, summary text, language text, categories text[], tags text[],
                                     visibility text)
ON CONFLICT (course_id) DO UPDATE
SET revision = excluded.revision, slug = excluded.slug, title = excluded.title, summary = excluded.summary,
    language = excluded.language, categories = excluded.categories, tags = excluded.tags,
    visibility = excluded.visibility, hidden = false, published_at = excluded.published_at
"""


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
        INSERT_REVISION,
        course,
        frozen_id=frozen_id,
        details=details,
        restored_revision=restored_revision,
        note=note,
        published_by=tx.principal.id,
    )


REVISION = "course_id, revision, frozen_id, details, restored_revision, note, published_by, published_at, forgotten_at"
FIND_REVISION = (
    "SELECT " + REVISION + " FROM course.revisions WHERE course_id = $course_id AND revision = $revision::bigint"
)


async def get_revision(db: Connection, course_id: CourseId, revision: int) -> Revision:
    return await db.one(Revision, FIND_REVISION, course_id=course_id, revision=revision)


async def find_revision(db: Connection, course_id: CourseId, revision: int) -> Revision | None:
    return await db.maybe(Revision, FIND_REVISION, course_id=course_id, revision=revision)


LIST_REVISIONS = (
    "SELECT "
    + REVISION
    + """ FROM course.revisions
    WHERE course_id = $course_id AND ($before::bigint IS NULL OR revision < $before)
    ORDER BY revision DESC LIMIT $limit"""
)


async def list_revisions(db: Connection, course_id: CourseId, *, before: int | None, limit: int) -> list[Revision]:
    """List the revisions of a course, newest first."""
    return await db.all(Revision, LIST_REVISIONS, course_id=course_id, before=before, limit=limit)


LIST_OUTLINES_WITH_REVISIONS = """
SELECT o.frozen_id FROM unnest($frozen_ids::uuid[], $course_ids::uuid[]) AS o (frozen_id, course_id)
WHERE EXISTS (SELECT FROM course.revisions v WHERE v.course_id = o.course_id AND v.frozen_id = o.frozen_id) LIMIT 1000
"""


async def list_outlines_with_revisions(db: Connection, outlines: list[CourseOutline]) -> list[UUID]:
    """List those of up to 1,000 outlines that a revision of their course names."""
    named = await db.rows(
        LIST_OUTLINES_WITH_REVISIONS,
        frozen_ids=[outline.frozen_id for outline in outlines],
        course_ids=[outline.course_id for outline in outlines],
    )
    return [row["frozen_id"] for row in named]


UPDATE_SCHEDULE = (
    """UPDATE course.courses SET publish_at = $publish_at, publish_error = NULL, version = version + 1, updated_at = $now
    WHERE id = $course_id AND archived_at IS NULL
    RETURNING """
    + COURSE
)


async def update_schedule(tx: Transaction, course_id: CourseId, publish_at: datetime | None) -> Course | None:
    """Set or clear when the course publishes itself. None when it is archived."""
    return await tx.maybe(Course, UPDATE_SCHEDULE, course_id=course_id, publish_at=publish_at)


UPDATE_SCHEDULE_FAILED = (
    """UPDATE course.courses SET publish_at = NULL, publish_error = $error, version = version + 1, updated_at = $now
    WHERE id = $course_id AND publish_at = $publish_at
    RETURNING """
    + COURSE
)


async def update_schedule_failed(
    tx: Transaction, course_id: CourseId, *, publish_at: datetime, error: str
) -> Course | None:
    """End a schedule and say why the course did not publish itself. None when it was moved meanwhile."""
    return await tx.maybe(Course, UPDATE_SCHEDULE_FAILED, course_id=course_id, publish_at=publish_at, error=error)
