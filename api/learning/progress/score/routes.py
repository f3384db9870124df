"""HTTP of scores."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from fastapi import Response
from pydantic import AliasPath, ConfigDict, Field

from api.learning.enrollment.contract import EnrollmentId
from api.learning.progress.contract import (
    ActivityProgress,
    Cause,
    GradingProgress,
    LearnerUnknown,
    LineItemId,
    LineItemNotFound,
    ScoreId,
    ScoreInvalid,
    ScoreIsNotCurrent,
    ScoreNotFound,
)
from api.learning.progress.line_item.routes import Number
from api.learning.progress.line_item.rules import LARGEST
from api.learning.progress.score import logic
from api.learning.progress.score.logic import Entry
from cluster.base.ids import OrgId, UserId
from cluster.http import Answer, Body, Caller, Page, Paging, Router, Several, View

router = Router("progress")

_Given = Annotated[
    Decimal | None, Field(ge=0, le=LARGEST, description="Kept with four decimal places, rounded half up")
]
_Comment = Annotated[str | None, Field(max_length=2000, description="The learner reads it")]


class NewScore(Body):
    """A score of a learner, or that they are excused. Another one for the same learner corrects it."""

    line_item_id: LineItemId
    enrollment_id: EnrollmentId
    excused: Annotated[bool, Field(description="The line item does not count for this learner")] = False
    score_given: _Given = None
    score_maximum: Annotated[
        Decimal | None, Field(gt=0, le=LARGEST, description="What `score_given` is of; null: the line item's maximum")
    ] = None
    activity_progress: ActivityProgress = "Completed"
    grading_progress: GradingProgress = "FullyGraded"
    comment: _Comment = None

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "line_item_id": "0192f0c1-2f5b-7c3a-9d5e-1a2b3c4d5e6f",
                    "enrollment_id": "0192f0c1-2f5b-7c3a-9d5e-1a2b3c4d5e70",
                    "score_given": 17.5,
                }
            ]
        }
    )


class Withdrawal(Body):
    """Why a score is withdrawn."""

    comment: _Comment = None

    model_config = ConfigDict(json_schema_extra={"examples": [{"comment": "Entered for somebody else"}]})


def _score(field: str) -> Any:
    return Field(validation_alias=AliasPath("score", field))


class ScoreView(View):
    """A score as it was entered, corrected, posted or withdrawn; the newest counts."""

    id: Annotated[ScoreId, _score("id")]
    organization_id: Annotated[OrgId, _score("org_id")]
    course_id: Annotated[UUID, _score("course_id")]
    run_id: Annotated[UUID, _score("run_id")]
    line_item_id: Annotated[LineItemId, _score("line_item_id")]
    label: str
    enrollment_id: Annotated[EnrollmentId, _score("enrollment_id")]
    user_id: Annotated[UserId, _score("user_id")]
    cause: Annotated[Cause, _score("cause")]
    activity_progress: Annotated[ActivityProgress, _score("activity_progress")]
    grading_progress: Annotated[GradingProgress, _score("grading_progress")]
    score_given: Annotated[Number | None, _score("score_given")]
    score_maximum: Annotated[Number | None, _score("score_maximum")]
    result_score: Number | None
    """The score on the scale of the line item."""
    result_maximum: Annotated[Number, Field(validation_alias="item_maximum")]
    comment: Annotated[str | None, _score("comment")]
    is_current: bool
    """It is the newest of its learner and line item."""
    scored_at: Annotated[datetime, _score("scored_at")]
    recorded_at: Annotated[datetime, _score("recorded_at")]


class ScoreRowView(ScoreView):
    """A score with who gave it."""

    service: Annotated[str | None, _score("service")]
    """The service that posted it; null: staff entered it."""
    source_id: Annotated[UUID | None, _score("source_id")]
    posted_by: Annotated[UserId | None, _score("posted_by")]
    """For the staff alone."""


class ExplanationView(View):
    """Where a score comes from."""

    score: ScoreView
    rows: list[ScoreRowView]
    """All rows of its learner and line item, newest first and 100 at most; for the learner that row alone."""


SCORE = Answer(get=logic.get_score, view=ScoreView, path="/v1/scores/{id}")


@router.post("/v1/scores", status_code=201, raises=(LineItemNotFound, LearnerUnknown, ScoreInvalid))
async def enter_score(caller: Caller, new: NewScore, response: Response) -> ScoreView:
    """Enter or correct the score of a learner, or excuse them. What was there before stays in the history."""
    return await SCORE.created(response, caller, logic.enter(caller, Entry(**new.model_dump())))


@router.get("/v1/scores")
async def list_scores(caller: Caller, paging: Paging, run_id: UUID, id: Several[ScoreId] = None) -> Page[ScoreView]:
    """List the caller's own scores of a run that are released and count, newest first."""
    after = paging.after(run=run_id, id=id)
    found = await logic.list_own(caller, run_id, ids=id, before=ScoreId(after[0]) if after else None, limit=paging.rows)
    return paging.page(found, render=ScoreView.of)


@router.get("/v1/line-items/{line_item_id}/scores", raises=(LineItemNotFound,))
async def list_history(
    caller: Caller,
    paging: Paging,
    line_item_id: LineItemId,
    enrollment_id: EnrollmentId | None = None,
    id: Several[ScoreId] = None,
) -> Page[ScoreRowView]:
    """List every score of a line item for the staff of its run, newest first."""
    after = paging.after(line_item=line_item_id, enrollment=enrollment_id, id=id)
    found = await logic.list_history(
        caller,
        line_item_id,
        enrollment_id=enrollment_id,
        ids=id,
        before=ScoreId(after[0]) if after else None,
        limit=paging.rows,
    )
    return paging.page(found, render=ScoreRowView.of)


@router.get("/v1/scores/{score_id}", raises=(ScoreNotFound,))
async def get_score(caller: Caller, score_id: ScoreId, response: Response) -> ScoreView:
    """Return a score to the staff of its run, and to its learner while it counts and is released."""
    return SCORE.show(response, await logic.get_score(caller, score_id))


@router.get("/v1/scores/{score_id}/explain", raises=(ScoreNotFound,))
async def explain_score(caller: Caller, score_id: ScoreId) -> ExplanationView:
    """Return who gave a score, when and why, and which rows came before and after it."""
    found = await logic.explain(caller, score_id)
    rows = [ScoreRowView.of(each) for each in found.rows]
    if not found.names_graders:
        rows = [row.model_copy(update={"posted_by": None}) for row in rows]
    return ExplanationView(score=ScoreView.of(found.shown), rows=rows)


@router.post("/v1/scores/{score_id}/withdraw", raises=(ScoreNotFound, ScoreIsNotCurrent))
async def withdraw_score(caller: Caller, score_id: ScoreId, wanted: Withdrawal, response: Response) -> ScoreView:
    """Withdraw the score that counts: its learner has none then. Returns the withdrawal, which stays in the history."""
    return await SCORE.once(response, caller, logic.withdraw(caller, score_id, wanted.comment))
