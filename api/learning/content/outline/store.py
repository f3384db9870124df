"""The SQL of frozen outlines, and of what course says of its runs and revisions."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from api.learning.content.contract import FrozenId
from cluster.base.ids import OrgId
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenRow:
    id: FrozenId
    course_id: UUID
    org_id: OrgId
    blocks: list[dict[str, Any]]


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


async def find_frozen_id(db: Connection, course_id: UUID, sha256: bytes) -> FrozenId | None:
    return await db.value(
        "SELECT id FROM content.frozen_outlines WHERE course_id = $1 AND sha256 = $2", course_id, sha256
    )


async def insert_frozen(tx: Transaction, frozen: FrozenRow, sha256: bytes) -> FrozenId | None:
    """Keep an outline for ever; None when somebody kept the same one first."""
    return await tx.value(
        """INSERT INTO content.frozen_outlines (id, course_id, org_id, sha256, blocks, frozen_at)
           VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (course_id, sha256) DO NOTHING RETURNING id""",
        frozen.id,
        frozen.course_id,
        frozen.org_id,
        sha256,
        frozen.blocks,
        tx.now,
    )


async def find_frozen(db: Connection, frozen_id: FrozenId) -> FrozenRow | None:
    return await db.maybe(
        FrozenRow, "SELECT id, course_id, org_id, blocks FROM content.frozen_outlines WHERE id = $1", frozen_id
    )


async def find_run(db: Connection, run_id: UUID) -> Guarded[RunState] | None:
    """Find a run. Its existence is no secret while its course is published, unless only for its organization."""
    run = await db.maybe(
        RunState,
        """SELECT r.run_id, r.course_id, r.org_id, r.starts_at, coalesce(r.pinned_revision, c.revision) AS revision,
                  coalesce(r.pinned_frozen_id, c.frozen_id) AS frozen_id, coalesce(c.archived, false) AS archived,
                  coalesce(c.visibility, 'public') AS visibility
           FROM content.runs r LEFT JOIN content.courses c USING (course_id) WHERE r.run_id = $1""",
        run_id,
    )
    if run is None:
        return None
    public = run.frozen_id is not None and not run.archived and run.visibility != "organization"
    return Guarded(run, org_id=run.org_id, course_id=run.course_id, run_id=run.run_id, public=public)


async def upsert_course(
    tx: Transaction,
    course_id: UUID,
    org_id: OrgId,
    *,
    revision: int | None,
    frozen_id: FrozenId | None,
    visibility: str | None,
    archived: bool,
    version: int,
) -> None:
    """Remember a course's newest revision, and whether it is archived; older events change nothing."""
    await tx.run(
        """INSERT INTO content.courses (course_id, org_id, revision, frozen_id, visibility, archived, version)
           VALUES ($1, $2, $3, $4, coalesce($5, 'public'), $6, $7)
           ON CONFLICT (course_id) DO UPDATE
           SET revision = excluded.revision, frozen_id = excluded.frozen_id, visibility = excluded.visibility,
               archived = excluded.archived, version = excluded.version
           WHERE courses.version < excluded.version""",
        course_id,
        org_id,
        revision,
        frozen_id,
        visibility,
        archived,
        version,
    )


async def upsert_run(
    tx: Transaction,
    *,
    run_id: UUID,
    course_id: UUID,
    org_id: OrgId,
    starts_at: datetime | None,
    ends_at: datetime | None,
    pinned_revision: int | None,
    pinned_frozen_id: FrozenId | None,
    version: int,
) -> None:
    """Remember a run; older events change nothing."""
    await tx.run(
        """INSERT INTO content.runs (run_id, course_id, org_id, starts_at, ends_at, pinned_revision, pinned_frozen_id,
                                     version)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
           ON CONFLICT (run_id) DO UPDATE
           SET starts_at = excluded.starts_at, ends_at = excluded.ends_at, pinned_revision = excluded.pinned_revision,
               pinned_frozen_id = excluded.pinned_frozen_id, version = excluded.version
           WHERE runs.version < excluded.version""",
        run_id,
        course_id,
        org_id,
        starts_at,
        ends_at,
        pinned_revision,
        pinned_frozen_id,
        version,
    )
