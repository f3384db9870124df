"""The SQL of forgetting revisions.

Order of locks: the course's row, then revisions by number. Publishing holds the course's row, pinning a run the revision's.
"""

from collections.abc import Collection
from datetime import datetime

from api.learning.content.contract import FrozenId
from api.learning.course.contract import CourseId, RunId
from api.learning.course.publication.store import REVISION, Revision
from api.learning.course.store import COURSE, Course
from cluster.data import Connection, Transaction

LOCK_COURSE = "SELECT " + COURSE + " FROM course.courses WHERE id = $course_id FOR NO KEY UPDATE"


async def lock_course(tx: Transaction, course_id: CourseId) -> Course:
    """Hold a course, so that nothing is published until the transaction ends, and return it."""
    return await tx.one(Course, LOCK_COURSE, course_id=course_id)


LOCK_REVISIONS = (
    "SELECT "
    + REVISION
    + """ FROM course.revisions WHERE course_id = $course_id AND revision = ANY($revisions::bigint[])
    ORDER BY revision FOR NO KEY UPDATE"""
)


async def lock_revisions(tx: Transaction, course_id: CourseId, revisions: Collection[int]) -> dict[int, Revision]:
    """Hold those revisions that exist, so that none is forgotten or pinned until the transaction ends, and return them."""
    locked = await tx.all(Revision, LOCK_REVISIONS, course_id=course_id, revisions=list(revisions))
    return {each.revision: each for each in locked}


LIST_PINNING_RUNS = """
SELECT id FROM course.runs
WHERE course_id = $course_id AND pinned_revision = $revision::bigint AND ended_at IS NULL
  AND (ends_at IS NULL OR ends_at > $now)
ORDER BY id LIMIT 20
"""


async def list_pinning_runs(tx: Transaction, course_id: CourseId, revision: int) -> list[RunId]:
    """List the runs that pin a revision and have not ended."""
    return [row["id"] for row in await tx.rows(LIST_PINNING_RUNS, course_id=course_id, revision=revision)]


UPDATE_UNPINNED = """
UPDATE course.revisions SET unpinned_at = $now WHERE course_id = $course_id AND revision = $revision::bigint
"""


async def update_unpinned(tx: Transaction, course_id: CourseId, revision: int) -> None:
    """Remember that a run stopped pinning a revision now."""
    await tx.run(UPDATE_UNPINNED, course_id=course_id, revision=revision)


# Counted like a change of staff: no author's edit is stale by it.
UPDATE_FORGOTTEN = """
WITH course AS (
    UPDATE course.courses SET version = version + 1, staff_changes = staff_changes + 1 WHERE id = $course_id RETURNING version
)
UPDATE course.revisions SET forgotten_at = $now FROM course
WHERE course_id = $course_id AND revision = $revision::bigint
RETURNING course.version
"""


async def update_forgotten(tx: Transaction, course_id: CourseId, revision: int) -> int:
    """Mark a revision as forgotten, and return the version of its course."""
    return await tx.value(UPDATE_FORGOTTEN, course_id=course_id, revision=revision)


# Forgotten under one number, an outline may still be shown under another: it was restored, or the details alone changed.
FIND_IS_LET_GO = """
SELECT count(*) > 0 AND bool_and(forgotten_at IS NOT NULL) FROM course.revisions
WHERE course_id = $course_id AND frozen_id = $frozen_id
"""


async def find_is_let_go(db: Connection, course_id: CourseId, frozen_id: FrozenId) -> bool:
    """Tell whether all revisions with this outline are forgotten; False for one that was never published."""
    return await db.value(FIND_IS_LET_GO, course_id=course_id, frozen_id=frozen_id)


# A revision was superseded when the next was published. A run that ended with it stopped needing it then.
_UNREACHABLE = """
FROM course.revisions v JOIN course.courses c ON c.id = v.course_id
WHERE v.forgotten_at IS NULL AND v.published_at < $until AND coalesce(v.unpinned_at, v.published_at) < $until
  AND v.revision <= c.published_revision - $kept::int
  AND EXISTS (SELECT FROM course.revisions n
              WHERE n.course_id = v.course_id AND n.revision = v.revision + 1 AND n.published_at < $until)
  AND NOT EXISTS (SELECT FROM course.runs r
                  WHERE r.course_id = v.course_id AND r.pinned_revision = v.revision
                    AND coalesce(least(r.ended_at, r.ends_at), 'infinity') >= $until)
"""
LIST_UNREACHABLE = "SELECT v.course_id, v.revision" + _UNREACHABLE + "ORDER BY v.published_at LIMIT $limit"
FIND_UNREACHABLE = (
    "SELECT EXISTS (SELECT" + _UNREACHABLE + " AND v.course_id = $course_id AND v.revision = $revision::bigint)"
)


async def list_unreachable(db: Connection, *, until: datetime, kept: int, limit: int) -> list[tuple[CourseId, int]]:
    """List revisions that nobody could reach since then, but the newest `kept` of each course, the oldest first."""
    rows = await db.rows(LIST_UNREACHABLE, until=until, kept=kept, limit=limit)
    return [(row["course_id"], row["revision"]) for row in rows]


async def find_unreachable(tx: Transaction, course_id: CourseId, revision: int, *, until: datetime, kept: int) -> bool:
    """Tell whether `list_unreachable` names this revision now."""
    return await tx.value(FIND_UNREACHABLE, course_id=course_id, revision=revision, until=until, kept=kept)
