"""HTTP of runs."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Response
from pydantic import AwareDatetime, Field

from api.learning.course.contract import (
    CourseId,
    CourseNotFound,
    DatesOutOfOrder,
    Pace,
    RevisionUnknown,
    RunHasEnded,
    RunId,
    RunModerated,
    RunNotFound,
)
from api.learning.course.run import logic
from api.learning.course.run.view import RUN, RunView
from api.platform.moderation.contract import AuthorMuted, TextRefused
from cluster.base.problems import Stale, Unauthorized
from cluster.http import Body, Caller, IfMatch, Page, Paging, Patch, Router

router = Router("course")

Seats = Annotated[int | None, Field(gt=0, le=1_000_000, description="Number of seats; null: unlimited")]
Pinned = Annotated[int | None, Field(gt=0, lt=2**31, description="The revision to show; null: always the newest")]
Start = Annotated[AwareDatetime | None, Field(description="Time from which the content is open; null: at once")]
Title = Annotated[str, Field(min_length=1, max_length=200)]


class NewRun(Body):
    """A further run of a course."""

    course_id: CourseId
    title: Title
    pace: Pace = "self"
    starts_at: Start = None
    ends_at: AwareDatetime | None = None
    enrolment_opens_at: AwareDatetime | None = None
    enrolment_closes_at: AwareDatetime | None = None
    seats: Seats = None
    pinned_revision: Pinned = None


class RunChanges(Patch):
    """Changes of a run."""

    title: Title = ""
    pace: Pace = "self"
    starts_at: Start = None
    ends_at: AwareDatetime | None = None
    enrolment_opens_at: AwareDatetime | None = None
    enrolment_closes_at: AwareDatetime | None = None
    seats: Seats = None
    pinned_revision: Pinned = None


@router.post(
    "/v1/runs", status_code=201, raises=(CourseNotFound, DatesOutOfOrder, RevisionUnknown, TextRefused, AuthorMuted)
)
async def create_run(caller: Caller, new: NewRun, response: Response) -> RunView:
    """Create a further run of a course."""
    fields = new.model_dump(exclude={"course_id"})
    return await RUN.created(response, caller, logic.create_run(caller, new.course_id, fields, datetime.now(UTC)))


@router.get("/v1/runs", public=True, raises=(CourseNotFound, Unauthorized))
async def list_runs(caller: Caller, paging: Paging, course_id: CourseId) -> Page[RunView]:
    """List the runs of a course, oldest first: of a published course for everybody, of a draft for its staff."""
    after = paging.after(sort="id", course=course_id)
    runs = await logic.list_runs(caller, course_id, after=RunId(after[0]) if after else None, limit=paging.rows)
    return paging.page(runs, render=RunView.of)


@router.get("/v1/runs/{run_id}", public=True, raises=(RunNotFound, Unauthorized))
async def get_run(caller: Caller, run_id: RunId, response: Response) -> RunView:
    """Return a run."""
    return RUN.show(response, await logic.get_run(caller, run_id))


@router.patch(
    "/v1/runs/{run_id}",
    raises=(
        RunNotFound,
        RunHasEnded,
        RunModerated,
        DatesOutOfOrder,
        RevisionUnknown,
        TextRefused,
        AuthorMuted,
        Stale,
    ),
)
async def change_run(
    caller: Caller, run_id: RunId, changes: RunChanges, version: IfMatch, response: Response
) -> RunView:
    """Change the dates, pace, seats or pinned revision of a run."""
    return await RUN.once(response, caller, logic.change_run(caller, run_id, changes.changes(), version))


@router.post("/v1/runs/{run_id}/end", raises=(RunNotFound,))
async def end_run(caller: Caller, run_id: RunId, response: Response) -> RunView:
    """End a run. New enrolments are refused; learners keep their access and progress."""
    return await RUN.once(response, caller, logic.end_run(caller, run_id))
