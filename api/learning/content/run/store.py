"""The SQL of what course says of its courses and runs."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from api.learning.content.contract import BlockId, FrozenId
from api.learning.course.contract import CourseChanged, RunChanged
from cluster.base.ids import OrgId
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """A run and the revision that its learners are shown now; both None before the first publishing."""

    run_id: UUID
    course_id: UUID
    org_id: OrgId
    starts_at: datetime | None
    revision: int | None
    frozen_id: FrozenId | None
    archived: bool
    visibility: str
    hidden: list[BlockId] = field(default_factory=list[BlockId])
    """Blocks of the course that a moderator removed."""


_RUN = """
SELECT r.run_id, r.course_id, r.org_id, r.starts_at, coalesce(r.pinned_revision, c.revision) AS revision,
       coalesce(r.pinned_frozen_id, c.frozen_id) AS frozen_id, coalesce(c.archived, false) AS archived,
       coalesce(c.visibility, 'public') AS visibility,
       ARRAY(SELECT block_id FROM content.moderated_blocks WHERE course_id = r.course_id AND state = 'removed') AS hidden
FROM content.runs r LEFT JOIN content.courses c USING (course_id)"""

FIND_RUN = _RUN + " WHERE r.run_id = $run_id"


async def find_run(db: Connection, run_id: UUID) -> Guarded[RunState] | None:
    """Find a run. Its existence is no secret while its course is published, unless only for its organization."""
    run = await db.maybe(RunState, FIND_RUN, run_id=run_id)
    if run is None:
        return None
    is_shown = run.frozen_id is not None and not run.archived and run.visibility != "organization"
    see = "catalog:read" if is_shown else None
    return Guarded(run, org_id=run.org_id, course_id=run.course_id, run_id=run.run_id, see=see)


LIST_PUBLISHED_RUNS = (
    _RUN
    + " WHERE r.run_id = ANY($run_ids::uuid[]) AND coalesce(r.pinned_frozen_id, c.frozen_id) IS NOT NULL LIMIT 10000"
)


async def list_published_runs(db: Connection, run_ids: list[UUID]) -> list[RunState]:
    """List those of these runs that show something."""
    return await db.all(RunState, LIST_PUBLISHED_RUNS, run_ids=run_ids)


UPSERT_COURSE = """
INSERT INTO content.courses (course_id, org_id, revision, frozen_id, visibility, archived, language, version)
VALUES ($course_id, $org_id, $revision, $frozen_id, coalesce($visibility, 'public'), $archived, $language, $version)
ON CONFLICT (course_id) DO UPDATE
SET revision = excluded.revision, frozen_id = excluded.frozen_id, visibility = excluded.visibility,
    archived = excluded.archived, language = excluded.language, version = excluded.version
WHERE courses.version < excluded.version
"""


async def upsert_course(tx: Transaction, course: CourseChanged, version: int) -> None:
    """Remember a course's newest revision, and whether it is archived; older events change nothing."""
    await tx.run(UPSERT_COURSE, course, version=version)


UPSERT_RUN = """
INSERT INTO content.runs (run_id, course_id, org_id, starts_at, ends_at, pinned_revision, pinned_frozen_id, version)
VALUES ($run_id, $course_id, $org_id, $starts_at, $ends_at, $pinned_revision, $pinned_frozen_id, $version)
ON CONFLICT (run_id) DO UPDATE
SET starts_at = excluded.starts_at, ends_at = excluded.ends_at, pinned_revision = excluded.pinned_revision,
    pinned_frozen_id = excluded.pinned_frozen_id, version = excluded.version
WHERE runs.version < excluded.version
"""


async def upsert_run(tx: Transaction, run: RunChanged, version: int) -> None:
    """Remember a run; older events change nothing."""
    await tx.run(UPSERT_RUN, run, version=version)
