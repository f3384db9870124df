"""HTTP of the grade book, and of a learner's own totals."""

from typing import Annotated
from uuid import UUID

from pydantic import AliasPath, Field

from api.learning.enrollment.contract import EnrollmentId
from api.learning.progress.contract import CategoryId, LineItemId, ProgressNotFound, ResultState, RunUnknown, ScoreId
from api.learning.progress.grade_book import logic
from api.learning.progress.line_item.routes import Number
from api.learning.progress.totals import logic as totals
from cluster.base.ids import UserId
from cluster.http import Caller, Page, Paging, Router, Several, View

router = Router("progress")


class TotalView(View):
    """What the scores of a learner make of a category."""

    category_id: CategoryId
    percent: Number | None
    """Of all scores; null: nothing counts, or the caller is the learner."""
    released_percent: Number | None
    """Of the scores that the learner sees."""


class GradesView(View):
    """The totals of a learner."""

    enrollment_id: EnrollmentId
    run_id: UUID
    percent: Annotated[Number | None, Field(validation_alias=AliasPath("whole", "percent"))] = None
    """Of all scores; null: nothing counts, or the caller is the learner."""
    released_percent: Annotated[Number | None, Field(validation_alias=AliasPath("whole", "released_percent"))] = None
    """Of the scores that the learner sees."""
    is_stale: bool
    """Scores or categories changed since; it is computed again shortly."""
    categories: list[TotalView]


class CellView(View):
    """What a learner has for a line item."""

    line_item_id: LineItemId
    score_id: ScoreId
    state: ResultState
    result_score: Number | None
    """On the scale of the line item."""


class BookRowView(View):
    """A learner in the grade book."""

    enrollment_id: EnrollmentId
    user_id: UserId
    learns: Annotated[bool, Field(validation_alias=AliasPath("row", "learns"))]
    """Not cancelled and not suspended."""
    grades: GradesView
    cells: list[CellView]
    """Those of the window that are not empty."""


@router.get("/v1/grade-books/{run_id}/rows", raises=(RunUnknown,))
async def list_rows(
    caller: Caller,
    paging: Paging,
    run_id: UUID,
    line_item_id: Several[LineItemId] = None,
    id: Several[EnrollmentId] = None,
) -> Page[BookRowView]:
    """List the learners of a run with totals and scores for its staff, newest enrolment first.

    `line_item_id` names the columns, at most 100; without it they are the 20 oldest. `id` names enrolments.
    """
    after = paging.after(run=run_id, line_item=line_item_id, id=id)
    rows = await logic.list_rows(
        caller,
        run_id,
        line_item_ids=line_item_id,
        ids=id,
        before=EnrollmentId(after[0]) if after else None,
        limit=paging.rows,
    )
    return paging.page(rows, key=lambda each: each.enrollment_id, render=BookRowView.of)


@router.get("/v1/progress/{enrollment_id}/grades", raises=(ProgressNotFound,))
async def get_grades(caller: Caller, enrollment_id: EnrollmentId) -> GradesView:
    """Return the totals of a learner. They themselves see what released scores make."""
    grades, is_staff = await totals.get_grades(caller, enrollment_id)
    view = GradesView.of(grades)
    if is_staff:
        return view
    hidden = [each.model_copy(update={"percent": None}) for each in view.categories]
    return view.model_copy(update={"percent": None, "categories": hidden})
