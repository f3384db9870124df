"""HTTP of publication: publish, schedule, list revisions, restore one and forget one."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Path, Response
from pydantic import AwareDatetime, Field

from api.learning.course.contract import (
    CourseArchivedAlready,
    CourseId,
    CourseModerated,
    CourseNotFound,
    NothingToPublish,
    NotReadyToPublish,
    RevisionForgotten,
    RevisionInUse,
    RevisionNotFound,
)
from api.learning.course.forgetting import logic as forgetting
from api.learning.course.publication import logic
from api.learning.course.publication.store import Revision
from api.learning.course.view import COURSE, CourseView
from cluster.base.ids import UserId
from cluster.base.problems import Invalid
from cluster.http import Body, Caller, Page, Paging, Router, View, once

router = Router("course")

Number = Annotated[int, Path(ge=1, lt=2**31)]


class Publication(Body):
    """A note on the changes, for the list of revisions."""

    note: Annotated[str, Field(max_length=2000, examples=["Second lesson rewritten"])] = ""


class Schedule(Body):
    publish_at: Annotated[AwareDatetime, Field(examples=["2027-09-01T08:00:00Z"])]


class RevisionView(View):
    """A published state of a course."""

    revision: int
    details: dict[str, Any]
    restored_revision: int | None
    note: str
    published_by: UserId | None
    published_at: datetime
    forgotten_at: datetime | None
    """Since then it cannot be shown, pinned or restored."""


@router.post(
    "/v1/courses/{course_id}/publish",
    raises=(CourseNotFound, CourseArchivedAlready, CourseModerated, NotReadyToPublish, NothingToPublish),
)
async def publish(
    caller: Caller, course_id: CourseId, response: Response, publication: Publication | None = None
) -> CourseView:
    """Publish the working copy as the next revision."""
    note = publication.note if publication else ""
    return await COURSE.once(response, caller, logic.publish(caller, course_id, note))


@router.post(
    "/v1/courses/{course_id}/schedule", raises=(CourseNotFound, CourseArchivedAlready, CourseModerated, Invalid)
)
async def schedule(caller: Caller, course_id: CourseId, wanted: Schedule, response: Response) -> CourseView:
    """Schedule the publication of a course. If it fails, `publish_error` says why."""
    return await COURSE.once(response, caller, logic.schedule(caller, course_id, wanted.publish_at, datetime.now(UTC)))


@router.post("/v1/courses/{course_id}/unschedule", raises=(CourseNotFound, CourseArchivedAlready, CourseModerated))
async def unschedule(caller: Caller, course_id: CourseId, response: Response) -> CourseView:
    """Cancel a scheduled publication."""
    return await COURSE.once(response, caller, logic.unschedule(caller, course_id))


@router.get("/v1/courses/{course_id}/revisions", raises=(CourseNotFound,))
async def list_revisions(caller: Caller, course_id: CourseId, paging: Paging) -> Page[RevisionView]:
    """List the published revisions of a course, newest first."""
    after = paging.after(int, sort="-revision", course=course_id)
    revisions = await logic.list_revisions(caller, course_id, before=after[0] if after else None, limit=paging.rows)
    return paging.page(revisions, key=lambda revision: revision.revision, render=RevisionView.of)


@router.get(
    "/v1/courses/{course_id}/revisions/{revision}", raises=(CourseNotFound, RevisionNotFound, RevisionForgotten)
)
async def get_revision(caller: Caller, course_id: CourseId, revision: Number) -> RevisionView:
    """Return a published revision of a course."""
    return RevisionView.of(await logic.get_revision(caller, course_id, revision))


@router.post(
    "/v1/courses/{course_id}/revisions/{revision}/forget", raises=(CourseNotFound, RevisionNotFound, RevisionInUse)
)
async def forget(caller: Caller, course_id: CourseId, revision: Number, response: Response) -> RevisionView:
    """Forget a superseded revision for good, so that films and files that only it uses can be deleted.

    It keeps its number. The newest revision, and one that a run pins which has not ended, cannot be forgotten.
    """

    async def again(_: object) -> Revision:
        return await forgetting.forget(caller, course_id, revision)

    return RevisionView.of(await once(response, forgetting.forget(caller, course_id, revision), again))


@router.post(
    "/v1/courses/{course_id}/revisions/{revision}/restore",
    raises=(CourseNotFound, RevisionNotFound, RevisionForgotten, CourseArchivedAlready, CourseModerated),
)
async def roll_back(caller: Caller, course_id: CourseId, revision: int, response: Response) -> CourseView:
    """Publish the content of an old revision again, as a new revision."""
    return await COURSE.once(response, caller, logic.roll_back(caller, course_id, revision))
