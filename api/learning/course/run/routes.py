"""HTTP of runs."""

from datetime import UTC, datetime
from functools import partial
from uuid import UUID

from fastapi import Response

from api.learning.course.contract import (
    CourseId,
    CourseNotFound,
    DatesOutOfOrder,
    RevisionUnknown,
    RunHasEnded,
    RunId,
    RunNotFound,
)
from api.learning.course.run import logic
from api.learning.course.run.views import NewRun, RunChanges, RunView
from cluster.base.problems import Stale, Unauthorized
from cluster.http import Caller, IfMatch, Page, Paging, Router, once, set_etag

router = Router("course")


@router.post("/v1/runs", status_code=201, raises=(CourseNotFound, DatesOutOfOrder, RevisionUnknown))
async def create_run(caller: Caller, new: NewRun, response: Response) -> RunView:
    """Open a further run of a course."""
    fields = new.model_dump(exclude={"course_id"})
    run = await once(
        response, logic.create_run(caller, new.course_id, fields, datetime.now(UTC)), partial(logic.get_run, caller)
    )
    response.headers["Location"] = f"/v1/runs/{run.id}"
    set_etag(response, run.version)
    return RunView.of(run)


@router.get("/v1/runs", public=True, raises=(CourseNotFound, Unauthorized))
async def list_runs(caller: Caller, paging: Paging, course_id: UUID) -> Page[RunView]:
    """List the runs of a course, oldest first. Of a published course to anybody, of a draft to its staff."""
    after = paging.after(sort="id", course=course_id)
    runs = await logic.list_runs(
        caller, CourseId(course_id), after=RunId(after[0]) if after else None, limit=paging.limit
    )
    return paging.page(runs, render=RunView.of)


@router.get("/v1/runs/{run_id}", public=True, raises=(RunNotFound, Unauthorized))
async def get_run(caller: Caller, run_id: UUID, response: Response) -> RunView:
    """Return a run."""
    run = await logic.get_run(caller, RunId(run_id))
    set_etag(response, run.version)
    return RunView.of(run)


@router.patch("/v1/runs/{run_id}", raises=(RunNotFound, RunHasEnded, DatesOutOfOrder, RevisionUnknown, Stale))
async def change_run(
    caller: Caller, run_id: UUID, changes: RunChanges, version: IfMatch, response: Response
) -> RunView:
    """Change dates, pace, seats or the revision shown."""
    run = await once(
        response, logic.change_run(caller, RunId(run_id), changes.changes(), version), partial(logic.get_run, caller)
    )
    set_etag(response, run.version)
    return RunView.of(run)


@router.post("/v1/runs/{run_id}/end", raises=(RunNotFound,))
async def end_run(caller: Caller, run_id: UUID, response: Response) -> RunView:
    """End a run: nobody enrols any more, its learners keep what they have."""
    run = await once(response, logic.end_run(caller, RunId(run_id)), partial(logic.get_run, caller))
    set_etag(response, run.version)
    return RunView.of(run)
