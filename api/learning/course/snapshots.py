"""The present state of courses as events, for listeners that join late (an index, a restored projection)."""

from uuid import UUID

from api.learning.content.contract import FrozenId
from api.learning.course.contract import CourseArchived, CourseId, CoursePublished, RunUpdated
from cluster.base.ids import OrgId
from cluster.data import Connection
from cluster.events import Envelope, Snapshot, envelope_of


async def snapshot(db: Connection, after: UUID | None, limit: int) -> Snapshot:
    """Return one page of published courses with all their runs, by course id."""
    courses = await db.rows(
        """SELECT c.id, c.org_id, c.published_revision, c.published_frozen_id, c.version, k.visibility, k.hidden
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
    envelopes: list[Envelope] = []
    for course in courses:
        id, org_id, version = CourseId(course["id"]), OrgId(course["org_id"]), course["version"]
        published = CoursePublished(
            course_id=id,
            org_id=org_id,
            revision=course["published_revision"],
            frozen_id=FrozenId(course["published_frozen_id"]),
            visibility=course["visibility"],
        )
        # Archiving came after publishing and counted the version up: the one before it was the course's too.
        envelopes.append(envelope_of(published, version=version - 1 if course["hidden"] else version))
        if course["hidden"]:
            envelopes.append(envelope_of(CourseArchived(course_id=id, org_id=org_id), version=version))
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
