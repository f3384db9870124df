"""The SQL of what is watched."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec

from api.learning.content.contract import BlockId
from api.learning.enrollment.contract import EnrollmentId
from api.learning.progress.watching.rules import Ranges, Watched
from cluster.base.ids import OrgId, UserId
from cluster.data import Connection, Transaction


@dataclass(frozen=True, slots=True)
class Total:
    """How much of a film a learner has watched by now, and whether its block is done."""

    enrollment_id: EnrollmentId
    block_id: BlockId
    video_id: UUID
    watched_ms: int
    completed: bool


_WATCHED = """enrollment_id, block_id, video_id, org_id, course_id, run_id, user_id, block_version, min_ratio, duration_ms,
    ARRAY(SELECT ARRAY[lower(r), upper(r)] FROM unnest(ranges) AS r) AS ranges, position_ms, credit_ms, heard_at"""

FIND_WATCHED = (
    "SELECT "
    + _WATCHED
    + """ FROM progress.watched
    WHERE enrollment_id = $enrollment_id AND block_id = $block_id AND video_id = $video_id"""
)


async def find_watched(
    db: Connection, enrollment_id: EnrollmentId, block_id: BlockId, video_id: UUID
) -> Watched | None:
    rows = await db.rows(FIND_WATCHED, enrollment_id=enrollment_id, block_id=block_id, video_id=video_id)
    return _watched(rows[0]) if rows else None


LIST_WATCHED = (
    "SELECT "
    + _WATCHED
    + """ FROM progress.watched WHERE enrollment_id = $enrollment_id
    ORDER BY block_id, video_id LIMIT 10000"""
)


async def list_watched(db: Connection, enrollment_id: EnrollmentId) -> list[Watched]:
    return [_watched(row) for row in await db.rows(LIST_WATCHED, enrollment_id=enrollment_id)]


# Rows are locked in one order: two writes of the same films wait for each other instead of deadlocking.
UPSERT_WATCHED = """
INSERT INTO progress.watched AS kept (enrollment_id, block_id, video_id, org_id, course_id, run_id, user_id, block_version,
                                      min_ratio, duration_ms, ranges, position_ms, credit_ms, heard_at)
SELECT enrollment_id, block_id, video_id, org_id, course_id, run_id, user_id, block_version, min_ratio, duration_ms,
       ranges::int8multirange, position_ms, credit_ms, heard_at
FROM jsonb_to_recordset($watched) AS heard (
    enrollment_id uuid, block_id uuid, video_id uuid, org_id uuid, course_id uuid, run_id uuid, user_id uuid, block_version int,
    min_ratio float8, duration_ms bigint, ranges text, position_ms bigint, credit_ms bigint, heard_at timestamptz)
ORDER BY enrollment_id, block_id, video_id
ON CONFLICT (enrollment_id, block_id, video_id) DO UPDATE SET
    ranges = kept.ranges + excluded.ranges,
    block_version = greatest(kept.block_version, excluded.block_version),
    min_ratio = excluded.min_ratio,
    duration_ms = excluded.duration_ms,
    position_ms = CASE WHEN excluded.heard_at >= kept.heard_at THEN excluded.position_ms ELSE kept.position_ms END,
    credit_ms = CASE WHEN excluded.heard_at >= kept.heard_at THEN excluded.credit_ms ELSE kept.credit_ms END,
    heard_at = greatest(kept.heard_at, excluded.heard_at)
RETURNING enrollment_id, block_id, video_id,
    (SELECT coalesce(sum(upper(r) - lower(r)), 0)::bigint FROM unnest(kept.ranges) AS r) AS watched_ms,
    (SELECT true FROM progress.completions AS done
     WHERE done.enrollment_id = kept.enrollment_id AND done.block_id = kept.block_id
       AND done.block_version = kept.block_version LIMIT 1) IS TRUE AS completed
"""


LIST_ENROLLMENTS = """
SELECT enrollment_id FROM progress.learners WHERE user_id = $user_id AND ($org_id::uuid IS NULL OR org_id = $org_id)
UNION SELECT enrollment_id FROM progress.watched WHERE user_id = $user_id AND ($org_id::uuid IS NULL OR org_id = $org_id)
LIMIT 10000
"""


async def list_enrollments(db: Connection, user_id: UserId, org_id: OrgId | None) -> list[EnrollmentId]:
    """List the enrolments of a person that progress knows, in one organization or in all."""
    return [row["enrollment_id"] for row in await db.rows(LIST_ENROLLMENTS, user_id=user_id, org_id=org_id)]


async def upsert_watched(tx: Transaction, watched: Sequence[Watched]) -> list[Total]:
    """Unite films' ranges with what stands there; of everything else the newest counts."""
    rows = [{**msgspec.to_builtins(each), "ranges": _multirange(each.ranges)} for each in watched]
    return await tx.all(Total, UPSERT_WATCHED, watched=rows)


def _multirange(ranges: Ranges) -> str:
    return "{" + ",".join(f"[{start},{end})" for start, end in ranges) + "}"


def _watched(row: Any) -> Watched:
    fields: dict[str, Any] = dict(row)
    fields["ranges"] = tuple((start, end) for start, end in fields["ranges"])
    return Watched(**fields)
