"""The SQL of the grade book."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from api.learning.enrollment.contract import EnrollmentId
from api.learning.progress.contract import LineItemId, ResultState, ScoreId
from api.learning.progress.score.rules import result_of
from cluster.base.ids import UserId
from cluster.data import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A learner of the run."""

    enrollment_id: EnrollmentId
    user_id: UserId
    learns: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A line item of the window."""

    id: LineItemId
    score_maximum: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What a learner has for a line item."""

    line_item_id: LineItemId
    score_id: ScoreId
    state: ResultState
    result_score: Decimal | None


LIST_ROWS = """
SELECT enrollment_id, user_id, learns FROM progress.learners
WHERE run_id = $run_id AND ($ids::uuid[] IS NULL OR enrollment_id = ANY($ids))
  AND ($before::uuid IS NULL OR enrollment_id < $before)
ORDER BY enrollment_id DESC LIMIT $limit
"""


async def list_rows(
    db: Connection, run_id: UUID, *, ids: list[EnrollmentId] | None, before: EnrollmentId | None, limit: int
) -> list[Row]:
    """List the learners of a run, newest enrolment first."""
    return await db.all(Row, LIST_ROWS, run_id=run_id, ids=ids, before=before, limit=limit)


LIST_COLUMNS = """
SELECT id, score_maximum FROM progress.line_items
WHERE run_id = $run_id AND deleted_at IS NULL AND ($ids::uuid[] IS NULL OR id = ANY($ids)) ORDER BY id LIMIT $limit
"""


async def list_columns(db: Connection, run_id: UUID, ids: list[LineItemId] | None, limit: int) -> list[Column]:
    """List the line items of the window, oldest first."""
    return await db.all(Column, LIST_COLUMNS, run_id=run_id, ids=ids, limit=limit)


LIST_CELLS = """
SELECT enrollment_id, line_item_id, score_id, state, score_given, score_maximum FROM progress.results
WHERE enrollment_id = ANY($enrollment_ids::uuid[]) AND line_item_id = ANY($line_item_ids::uuid[])
ORDER BY enrollment_id, line_item_id LIMIT 100000
"""


async def list_cells(
    db: Connection, enrollment_ids: Sequence[EnrollmentId], columns: Sequence[Column]
) -> dict[EnrollmentId, list[Cell]]:
    """Return the cells of learners in the window; each of the learners is a key."""
    maxima = {each.id: each.score_maximum for each in columns}
    found: dict[EnrollmentId, list[Cell]] = {each: [] for each in enrollment_ids}
    for row in await db.rows(LIST_CELLS, enrollment_ids=enrollment_ids, line_item_ids=list(maxima)):
        cell = Cell(
            line_item_id=row["line_item_id"],
            score_id=row["score_id"],
            state=row["state"],
            result_score=result_of(row["score_given"], row["score_maximum"], maxima[row["line_item_id"]]),
        )
        found[row["enrollment_id"]].append(cell)
    return found
