"""Which score counts, and what a score may be.

Source: 1EdTech LTI Assignment and Grade Services 2.0, score publish service.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from api.learning.progress.contract import Cause, GradingProgress, LineItem, NewScore, ResultState, ScoreId
from api.learning.progress.line_item.rules import LARGEST, shown, stored
from cluster.base.problems import FieldError

VISIBLE: tuple[ResultState, ...] = ("scored", "excused")
"""What learners see of a released line item."""
MOST_AT_ONCE = 500


def state_of(cause: Cause, score_given: Decimal | None, grading_progress: GradingProgress) -> ResultState:
    """Return what a score makes of a result: only what is fully graded counts."""
    match cause:
        case "excused" | "withdrawn":
            return cause
        case "entered" | "corrected" | "posted":
            return "scored" if score_given is not None and grading_progress == "FullyGraded" else "pending"


def result_of(score_given: Decimal | None, score_maximum: Decimal | None, maximum: Decimal) -> Decimal | None:
    """Return a score on the scale of its line item."""
    if score_given is None or score_maximum is None:
        return None
    return stored(score_given * maximum / score_maximum)


def fault_of(score_given: Decimal | None, score_maximum: Decimal | None, item: LineItem) -> str | None:
    """Return what is wrong with a score of a line item; None: nothing."""
    if score_maximum is not None and score_given is None:
        return "score_maximum goes with score_given: send both or none"
    if score_given is None:
        return None
    maximum = item.score_maximum if score_maximum is None else score_maximum
    if not score_given.is_finite() or not 0 <= score_given <= LARGEST:
        return f"send a number from 0 to {LARGEST}"
    if not maximum.is_finite() or maximum > LARGEST or stored(maximum) <= 0:
        return f"score_maximum is a number above 0 and at most {LARGEST}"
    if stored(score_given) > stored(maximum) and not item.extra_credit:
        return f"at most {shown(maximum)}: only a line item with extra_credit takes more"
    return None


def faults(scores: Iterable[tuple[NewScore, LineItem | None]]) -> tuple[FieldError, ...]:
    """Return what is wrong with a batch, by row."""
    found: list[FieldError] = []
    for row, (score, item) in enumerate(scores):
        fault = None if item is None else fault_of(score.score_given, score.score_maximum, item)
        if fault is not None:
            found.append(FieldError(f"/scores/{row}/score_given", "score-invalid", fault, {"row": row}))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Dated:
    """A new score, as far as it decides which one counts."""

    id: ScoreId
    line_item_id: UUID
    enrollment_id: UUID
    scored_at: datetime


def newest(scores: Iterable[Dated]) -> set[ScoreId]:
    """Return of each learner and line item the score with the latest time; of equal times the last one."""
    best: dict[tuple[UUID, UUID], Dated] = {}
    for each in scores:
        key = each.line_item_id, each.enrollment_id
        if key not in best or best[key].scored_at <= each.scored_at:
            best[key] = each
    return {each.id for each in best.values()}
