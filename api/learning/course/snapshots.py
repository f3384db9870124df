"""The present state of courses as events, for listeners that join late (an index, a restored projection)."""

from uuid import UUID

from api.learning.content.contract import FrozenId
from api.learning.course.contract import CourseId, CoursePublished, RunUpdated
from cluster.events import Snapshot, envelope_of
from cluster.ids import OrgId
from cluster.postgres import Connection


async def snapshot(db: Connection, after: UUID | None, limit: int) -> Snapshot:
    """Return one page of published courses with all their runs, by course id."""
    courses = await db.rows(
        """SELECT c.id, c.org_id, c.published_revision, c.published_frozen_id, c.version, k.visibility
           FROM course.courses c JOIN course.catalog k ON k.course_id = c.id
           WHERE $1::uuid IS NULL OR c.id > $1 ORDER BY c.id LIMIT $2""",
        after,
        limit,
    )
    runs = await db.rows(
        """SELECT r.id, r.course_id, r.org_id, r.starts_at, r.ends_at, r.pinned_revision, v.frozen_id, r.version
           FROM course.runs r
           LEFT JOIN course.revisions v ON v.course_id = r.course_id AND v.revision = r.pinned_revision
           WHERE r.course_id = ANY($1::uuid[]) ORDER BY r.id LIMIT 10000""",
        [course["id"] for course in courses],
    )
    envelopes = [
        envelope_of(
            CoursePublished(
                course_id=CourseId(course["id"]),
                org_id=OrgId(course["org_id"]),
                revision=course["published_revision"],
                frozen_id=FrozenId(course["published_frozen_id"]),
                visibility=course["visibility"],
            ),
            version=course["version"],
        )
        for course in courses
    ]
    envelopes += [
        envelope_of(
            RunUpdated(
                run_id=run["id"],
                course_id=CourseId(run["course_id"]),
                org_id=OrgId(run["org_id"]),
                starts_at=run["starts_at"],
                ends_at=run["ends_at"],
                pinned_revision=run["pinned_revision"],
                pinned_frozen_id=run["frozen_id"],
            ),
            version=run["version"],
        )
        for run in runs
    ]
    return Snapshot(envelopes, courses[-1]["id"] if len(courses) == limit else None)
