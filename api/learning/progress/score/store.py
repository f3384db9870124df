"""The SQL of scores and of the results that they make."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from api.learning.enrollment.contract import EnrollmentId
from api.learning.progress.contract import (
    ActivityProgress,
    Cause,
    GradingProgress,
    LineItem,
    LineItemId,
    ResultState,
    ScoreId,
)
from api.learning.progress.score.rules import VISIBLE, result_of
from cluster.base.ids import OrgId, UserId
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded, Reach


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A row of the history."""

    id: ScoreId
    line_item_id: LineItemId
    enrollment_id: EnrollmentId
    org_id: OrgId
    course_id: UUID
    run_id: UUID
    user_id: UserId
    cause: Cause
    service: str | None
    source_id: UUID | None
    activity_progress: ActivityProgress
    grading_progress: GradingProgress
    score_given: Decimal | None
    score_maximum: Decimal | None
    comment: str | None
    posted_by: UserId | None
    scored_at: datetime
    recorded_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A score with what it makes of its line item, and whether it is the one that counts."""

    score: Score
    label: str
    item_maximum: Decimal
    released: bool
    is_current: bool
    state: ResultState

    @property
    def id(self) -> ScoreId:
        return self.score.id

    @property
    def result_score(self) -> Decimal | None:
        """The score on the scale of its line item."""
        return result_of(self.score.score_given, self.score.score_maximum, self.item_maximum)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The score that counts of a learner and a line item."""

    id: UUID
    line_item_id: LineItemId
    enrollment_id: EnrollmentId
    org_id: OrgId
    course_id: UUID
    run_id: UUID
    user_id: UserId
    score_id: ScoreId
    state: ResultState
    score_given: Decimal | None
    score_maximum: Decimal | None
    scored_at: datetime
    version: int


LIST_ITEMS = """
SELECT i.id, i.org_id, i.course_id, i.run_id, i.label, i.score_maximum, i.due_at, i.released, i.category_id, i.weight,
    i.service, i.resource_id, i.version, i.created_at, i.updated_at,
    i.extra_credit OR coalesce((SELECT c.extra_credit FROM progress.categories c WHERE c.id = i.category_id LIMIT 1), false)
      AS extra_credit
FROM progress.line_items i WHERE i.id = ANY($ids::uuid[]) AND i.deleted_at IS NULL ORDER BY i.id LIMIT 500
"""


async def list_items(db: Connection, ids: Sequence[LineItemId]) -> dict[LineItemId, LineItem]:
    """Find line items; one in a category of extra credit takes as much as one of extra credit."""
    return {each.id: each for each in await db.all(LineItem, LIST_ITEMS, ids=ids)}


LOCK_ITEMS = LIST_ITEMS + "FOR SHARE OF i"


async def lock_items(tx: Transaction, ids: Sequence[LineItemId]) -> dict[LineItemId, LineItem]:
    """Hold line items as they are, so that none is deleted, changed or released meanwhile."""
    return {each.id: each for each in await tx.all(LineItem, LOCK_ITEMS, ids=ids)}


LIST_OF_SOURCES = """
SELECT id, source_id FROM progress.scores WHERE service = $service AND source_id = ANY($source_ids::uuid[]) LIMIT 500
"""


async def list_of_sources(db: Connection, service: str, source_ids: Sequence[UUID]) -> dict[UUID, ScoreId]:
    """Return the scores that were made of these before."""
    rows = await db.rows(LIST_OF_SOURCES, service=service, source_ids=source_ids)
    return {row["source_id"]: row["id"] for row in rows}


LIST_LEARNING = """
SELECT DISTINCT ON (l.run_id, l.user_id) l.run_id, l.user_id, l.enrollment_id
FROM unnest($run_ids::uuid[], $user_ids::uuid[]) AS w (run_id, user_id)
JOIN progress.learners l ON l.user_id = w.user_id AND l.run_id = w.run_id
WHERE l.learns ORDER BY l.run_id, l.user_id, l.enrollment_id LIMIT 500
"""


async def list_learning(
    db: Connection, people: Sequence[tuple[UUID, UserId]]
) -> dict[tuple[UUID, UserId], EnrollmentId]:
    """Return the enrolments of people who learn in a run, by run and person."""
    rows = await db.rows(LIST_LEARNING, run_ids=[run for run, _ in people], user_ids=[user for _, user in people])
    return {(row["run_id"], row["user_id"]): row["enrollment_id"] for row in rows}


INSERT_SCORES = """
INSERT INTO progress.scores (id, line_item_id, enrollment_id, org_id, course_id, run_id, user_id, cause, service, source_id,
    activity_progress, grading_progress, score_given, score_maximum, comment, posted_by, scored_at, recorded_at)
SELECT id, line_item_id, enrollment_id, org_id, course_id, run_id, user_id, cause, service, source_id,
    activity_progress, grading_progress, score_given, score_maximum, comment, posted_by, scored_at, $now
FROM unnest($id::uuid[], $line_item_id::uuid[], $enrollment_id::uuid[], $org_id::uuid[], $course_id::uuid[],
    $run_id::uuid[], $user_id::uuid[], $cause::text[], $service::text[], $source_id::uuid[], $activity_progress::text[],
    $grading_progress::text[], $score_given::numeric[], $score_maximum::numeric[], $comment::text[], $posted_by::uuid[],
    $scored_at::timestamptz[])
  AS new (id, line_item_id, enrollment_id, org_id, course_id, run_id, user_id, cause, service, source_id, activity_progress,
    grading_progress, score_given, score_maximum, comment, posted_by, scored_at)
ON CONFLICT (service, source_id) DO NOTHING
RETURNING id
"""
_COLUMNS = tuple(name for name in Score.__dataclass_fields__ if name != "recorded_at")


async def insert_scores(tx: Transaction, scores: Sequence[Score]) -> set[ScoreId]:
    """Add rows to the history and return which are new: of a source there is one."""
    # In one order everywhere, so that two batches with the same sources wait for each other and not in a circle.
    ordered = sorted(scores, key=lambda each: (str(each.source_id), each.id))
    arrays: dict[str, Any] = {name: [getattr(each, name) for each in ordered] for name in _COLUMNS}
    return {row["id"] for row in await tx.rows(INSERT_SCORES, **arrays)}


_RESULT = """id, line_item_id, enrollment_id, org_id, course_id, run_id, user_id, score_id, state, score_given,
    score_maximum, scored_at, version"""

UPSERT_RESULTS = (
    """
INSERT INTO progress.results AS r (id, line_item_id, enrollment_id, org_id, course_id, run_id, user_id, score_id, state,
    score_given, score_maximum, scored_at, told_score_id)
SELECT gen_random_uuid(), line_item_id, enrollment_id, org_id, course_id, run_id, user_id, score_id, state, score_given,
    score_maximum, scored_at, CASE WHEN told THEN score_id END
FROM unnest($line_item_id::uuid[], $enrollment_id::uuid[], $org_id::uuid[], $course_id::uuid[], $run_id::uuid[],
    $user_id::uuid[], $id::uuid[], $state::text[], $score_given::numeric[], $score_maximum::numeric[],
    $scored_at::timestamptz[], $told::boolean[])
  AS new (line_item_id, enrollment_id, org_id, course_id, run_id, user_id, score_id, state, score_given, score_maximum,
    scored_at, told)
ON CONFLICT (line_item_id, enrollment_id) DO UPDATE
SET score_id = excluded.score_id, state = excluded.state, score_given = excluded.score_given,
    score_maximum = excluded.score_maximum, scored_at = excluded.scored_at, version = r.version + 1,
    told_score_id = coalesce(excluded.told_score_id, r.told_score_id)
WHERE r.scored_at <= excluded.scored_at
RETURNING """
    + _RESULT
)
_OF_RESULT = (
    *("line_item_id", "enrollment_id", "org_id", "course_id", "run_id", "user_id", "id", "score_given"),
    *("score_maximum", "scored_at"),
)


async def upsert_results(tx: Transaction, scores: Sequence[tuple[Score, ResultState, bool]]) -> list[Result]:
    """Let scores count unless a later one does, and return what counts now. The flag: the learner is told.

    At most one score of each learner and line item.
    """
    ordered = sorted(scores, key=lambda each: (each[0].line_item_id, each[0].enrollment_id))
    arrays: dict[str, Any] = {name: [getattr(each, name) for each, _, _ in ordered] for name in _OF_RESULT}
    states, told = [state for _, state, _ in ordered], [told for _, _, told in ordered]
    return await tx.all(Result, UPSERT_RESULTS, **arrays, state=states, told=told)


LOCK_RESULT = (
    "SELECT "
    + _RESULT
    + """ FROM progress.results WHERE line_item_id = $line_item_id AND enrollment_id = $enrollment_id FOR UPDATE"""
)


async def lock_result(tx: Transaction, line_item_id: LineItemId, enrollment_id: EnrollmentId) -> Result | None:
    return await tx.maybe(Result, LOCK_RESULT, line_item_id=line_item_id, enrollment_id=enrollment_id)


UPDATE_TOLD = (
    """UPDATE progress.results SET told_score_id = score_id WHERE (line_item_id, enrollment_id) IN (
        SELECT line_item_id, enrollment_id FROM progress.results
        WHERE line_item_id = $line_item_id AND state IN ('scored', 'excused') AND told_score_id IS DISTINCT FROM score_id
        ORDER BY enrollment_id LIMIT $limit FOR UPDATE)
    RETURNING """
    + _RESULT
)


async def update_told(tx: Transaction, line_item_id: LineItemId, limit: int) -> list[Result]:
    """Note that learners are told of their scores, and return which of them were not told before."""
    return await tx.all(Result, UPDATE_TOLD, line_item_id=line_item_id, limit=limit)


_SCORE = """s.id, s.line_item_id, s.enrollment_id, s.org_id, s.course_id, s.run_id, s.user_id, s.cause, s.service, s.source_id,
    s.activity_progress, s.grading_progress, s.score_given, s.score_maximum, s.comment, s.posted_by, s.scored_at,
    s.recorded_at"""
_SHOWN = (
    "SELECT "
    + _SCORE
    + """, i.label, i.score_maximum AS item_maximum, i.released, r.score_id = s.id AS is_current, r.state
    FROM progress.scores s
    JOIN progress.line_items i ON i.id = s.line_item_id AND i.deleted_at IS NULL
    JOIN progress.results r ON r.line_item_id = s.line_item_id AND r.enrollment_id = s.enrollment_id """
)


def _shown(row: Any) -> Shown:
    fields = dict(row)
    about = {name: fields.pop(name) for name in ("label", "item_maximum", "released", "is_current", "state")}
    return Shown(score=Score(**fields), **about)


FIND_SCORE = _SHOWN + "WHERE s.id = $score_id"


async def find_score(db: Connection, score_id: ScoreId) -> Guarded[Shown] | None:
    """Find a score; its learner knows of it while it counts and is released."""
    rows = await db.rows(FIND_SCORE, score_id=score_id)
    if not rows:
        return None
    shown = _shown(rows[0])
    score = shown.score
    visible = shown.released and shown.is_current and shown.state in VISIBLE
    return Guarded(
        shown,
        org_id=score.org_id,
        course_id=score.course_id,
        run_id=score.run_id,
        owner_id=score.user_id if visible else None,
        see="score:read",
    )


def place(shown: Shown) -> Guarded[Shown]:
    """Name where a score stands, without its learner."""
    return Guarded(shown, org_id=shown.score.org_id, course_id=shown.score.course_id, run_id=shown.score.run_id)


LIST_OWN = (
    _SHOWN
    + """WHERE r.user_id = $own AND r.run_id = $run_id AND s.id = r.score_id AND i.released
      AND r.state IN ('scored', 'excused')
      AND ($ids::uuid[] IS NULL OR r.score_id = ANY($ids)) AND ($before::uuid IS NULL OR r.score_id < $before)
    ORDER BY r.score_id DESC LIMIT $limit"""
)


async def list_own(
    db: Connection, reach: Reach, run_id: UUID, *, ids: list[ScoreId] | None, before: ScoreId | None, limit: int
) -> list[Shown]:
    """List a learner's own scores of a run that are released and count, newest first."""
    rows = await db.rows(LIST_OWN, own=reach.own, run_id=run_id, ids=ids, before=before, limit=limit)
    return [_shown(row) for row in rows]


LIST_OF_ITEM = (
    _SHOWN
    + """WHERE s.line_item_id = $line_item_id
      AND ($enrollment_id::uuid IS NULL OR s.enrollment_id = $enrollment_id)
      AND ($ids::uuid[] IS NULL OR s.id = ANY($ids)) AND ($before::uuid IS NULL OR s.id < $before)
    ORDER BY s.id DESC LIMIT $limit"""
)


async def list_of_item(
    db: Connection,
    line_item_id: LineItemId,
    *,
    enrollment_id: EnrollmentId | None,
    ids: list[ScoreId] | None,
    before: ScoreId | None,
    limit: int,
) -> list[Shown]:
    """List the history of a line item, newest first."""
    rows = await db.rows(
        LIST_OF_ITEM, line_item_id=line_item_id, enrollment_id=enrollment_id, ids=ids, before=before, limit=limit
    )
    return [_shown(row) for row in rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldOf:
    """What a learner is told of: that there is a score, never which."""

    org_id: OrgId
    course_id: UUID
    run_id: UUID
    user_id: UserId
    label: str


FIND_TOLD = """
SELECT r.org_id, r.course_id, r.run_id, r.user_id, i.label FROM progress.results r
JOIN progress.line_items i ON i.id = r.line_item_id AND i.deleted_at IS NULL AND i.released
WHERE r.id = $result_id AND r.state IN ('scored', 'excused')
"""


async def find_told(db: Connection, result_id: UUID) -> ToldOf | None:
    """Find what a learner may see of a result; None: nothing."""
    return await db.maybe(ToldOf, FIND_TOLD, result_id=result_id)
