"""The SQL of bulk."""

from collections.abc import Sequence
from uuid import UUID

from api.learning.enrollment.contract import EnrollmentId
from api.learning.progress.contract import LineItemId, ScoreId
from api.learning.progress.score.store import Result, Score
from cluster.base.ids import UserId
from cluster.data import Connection, Transaction

LIST_LEARNING = """
SELECT enrollment_id, user_id FROM progress.learners
WHERE enrollment_id = ANY($ids::uuid[]) AND run_id = $run_id AND learns LIMIT 1000
"""


async def list_learning(db: Connection, run_id: UUID, ids: Sequence[EnrollmentId]) -> dict[EnrollmentId, UserId]:
    """Return those of these enrolments by which somebody learns in the run."""
    rows = await db.rows(LIST_LEARNING, run_id=run_id, ids=ids)
    return {row["enrollment_id"]: row["user_id"] for row in rows}


LOCK_RESULTS = """
SELECT r.id, r.line_item_id, r.enrollment_id, r.org_id, r.course_id, r.run_id, r.user_id, r.score_id, r.state,
    r.score_given, r.score_maximum, r.scored_at, r.version
FROM unnest($line_item_ids::uuid[], $enrollment_ids::uuid[]) AS w (line_item_id, enrollment_id)
JOIN progress.results r ON r.line_item_id = w.line_item_id AND r.enrollment_id = w.enrollment_id
ORDER BY r.line_item_id, r.enrollment_id LIMIT 1000 FOR UPDATE OF r
"""
Key = tuple[LineItemId, EnrollmentId]


async def lock_results(tx: Transaction, keys: Sequence[Key]) -> dict[Key, Result]:
    """Hold what counts of these line items and learners."""
    found = await tx.all(
        Result,
        LOCK_RESULTS,
        line_item_ids=[line_item_id for line_item_id, _ in keys],
        enrollment_ids=[enrollment_id for _, enrollment_id in keys],
    )
    return {(each.line_item_id, each.enrollment_id): each for each in found}


LIST_SCORES = """
SELECT id, line_item_id, enrollment_id, org_id, course_id, run_id, user_id, cause, service, source_id, activity_progress,
    grading_progress, score_given, score_maximum, comment, posted_by, scored_at, recorded_at
FROM progress.scores WHERE id = ANY($ids::uuid[]) LIMIT 1000
"""


async def list_scores(db: Connection, ids: Sequence[ScoreId]) -> dict[ScoreId, Score]:
    """Return rows of the history."""
    return {each.id: each for each in await db.all(Score, LIST_SCORES, ids=ids)}
