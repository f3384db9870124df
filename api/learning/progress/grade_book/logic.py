"""Use cases of the grade book: a page of learners in a window of line items."""

from dataclasses import dataclass
from uuid import UUID

from api.learning.enrollment.contract import EnrollmentId
from api.learning.progress.contract import LineItemId
from api.learning.progress.grade_book import store
from api.learning.progress.grade_book.store import Cell, Row
from api.learning.progress.line_item.logic import permitted_place
from api.learning.progress.totals import store as totals
from api.learning.progress.totals.logic import Grades, grades_of
from cluster.base.ids import UserId
from cluster.base.principal import Principal
from cluster.data import read

WINDOW = 20
"""Line items of a page that names none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BookRow:
    """A learner with their totals and what they have in the window."""

    row: Row
    grades: Grades
    cells: list[Cell]

    @property
    def enrollment_id(self) -> EnrollmentId:
        return self.row.enrollment_id

    @property
    def user_id(self) -> UserId:
        return self.row.user_id


async def list_rows(
    caller: Principal,
    run_id: UUID,
    *,
    line_item_ids: list[LineItemId] | None,
    ids: list[EnrollmentId] | None,
    before: EnrollmentId | None,
    limit: int,
) -> list[BookRow]:
    """List the learners of a run with their scores, newest enrolment first. `line_item_ids`: the window, else the oldest.

    Raises:
        RunUnknown, Forbidden
    """
    await permitted_place(caller, "line_item:read", run_id)
    async with read() as db:
        rows = await store.list_rows(db, run_id, ids=ids, before=before, limit=limit)
        people = [each.enrollment_id for each in rows]
        window = WINDOW if line_item_ids is None else len(line_item_ids)
        columns = await store.list_columns(db, run_id, line_item_ids, window)
        cells = await store.list_cells(db, people, columns)
        of_learners = await totals.list_totals(db, people)
        version = await totals.find_scheme(db, run_id)
    return [
        BookRow(
            row=each,
            grades=grades_of(each.enrollment_id, run_id, of_learners[each.enrollment_id], version),
            cells=cells[each.enrollment_id],
        )
        for each in rows
    ]
