"""HTTP of enrollment."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import Query, Response
from pydantic import ConfigDict, model_validator

from api.learning.course.contract import CourseId, RunId
from api.learning.enrollment import logic
from api.learning.enrollment.bulk.routes import router as bulk
from api.learning.enrollment.contract import (
    Enrollment,
    EnrollmentId,
    EnrollmentNotFound,
    NotEnrollable,
    NotInThatState,
    RunChoiceNeeded,
    RunFull,
    RunNotOpen,
    ShutOut,
    State,
)
from cluster.base.ids import UserId
from cluster.http import Answer, Body, Caller, OrganizationId, Page, Paging, Router, Several, View

router = Router("enrollment")
router.include_router(bulk)


class NewEnrollment(Body):
    """An enrolment to create: in a run, or in the only open run of a course."""

    run_id: RunId | None = None
    course_id: CourseId | None = None

    model_config = ConfigDict(json_schema_extra={"examples": [{"run_id": "0192f0c1-2f5b-7c3a-9d5e-1a2b3c4d5e6f"}]})

    @model_validator(mode="after")
    def _one(self) -> "NewEnrollment":
        if (self.run_id is None) == (self.course_id is None):
            raise ValueError("send either run_id or course_id")
        return self


class EnrollmentView(View):
    """The enrolment of a learner in a run."""

    id: EnrollmentId
    organization_id: OrganizationId
    course_id: CourseId
    run_id: RunId
    user_id: UserId
    state: State
    completed_at: datetime | None
    completed_revision: int | None
    created_at: datetime


ENROLLMENT = Answer(get=logic.get_enrollment, view=EnrollmentView, path="/v1/enrollments/{id}")


@router.post(
    "/v1/enrollments",
    status_code=201,
    raises=(NotEnrollable, RunChoiceNeeded, RunNotOpen, RunFull, ShutOut),
    responses={200: {"description": "Enrolled already", "model": EnrollmentView}},
)
async def enrol(caller: Caller, new: NewEnrollment, response: Response) -> EnrollmentView:
    """Enrol the caller in a run. Repeating the request answers 200 and the same enrolment."""

    async def work() -> Enrollment:
        enrollment, created = await logic.enrol(
            caller, run_id=new.run_id, course_id=new.course_id, now=datetime.now(UTC)
        )
        if not created:
            response.status_code = 200
        return enrollment

    return await ENROLLMENT.created(response, caller, work())


@router.get("/v1/enrollments")
async def list_enrollments(
    caller: Caller,
    paging: Paging,
    course_id: CourseId | None = None,
    run_id: RunId | None = None,
    user_id: Annotated[Literal["me"] | UserId | None, Query(description="A person's id, or `me`")] = None,
    state: Several[State] = None,
    id: Several[EnrollmentId] = None,
) -> Page[EnrollmentView]:
    """List the enrolments that the caller may see, newest first."""
    after = paging.after(course=course_id, run=run_id, user=user_id, state=state, id=id)
    enrollments = await logic.list_enrollments(
        caller,
        course_id=course_id,
        run_id=run_id,
        user_id=caller.person() if user_id == "me" else user_id,
        states=state,
        ids=id,
        before=EnrollmentId(after[0]) if after else None,
        limit=paging.rows,
    )
    return paging.page(enrollments, render=EnrollmentView.of)


@router.get("/v1/enrollments/{enrollment_id}", raises=(EnrollmentNotFound,))
async def get_enrollment(caller: Caller, enrollment_id: EnrollmentId, response: Response) -> EnrollmentView:
    """Return an enrolment."""
    return ENROLLMENT.show(response, await logic.get_enrollment(caller, enrollment_id))


@router.post("/v1/enrollments/{enrollment_id}/cancel", raises=(EnrollmentNotFound,))
async def cancel(caller: Caller, enrollment_id: EnrollmentId, response: Response) -> EnrollmentView:
    """Cancel an enrolment. Progress is kept, and a new enrolment in the run continues it."""
    return await ENROLLMENT.once(response, caller, logic.cancel(caller, enrollment_id))


@router.post("/v1/enrollments/{enrollment_id}/suspend", raises=(EnrollmentNotFound, NotInThatState))
async def suspend(caller: Caller, enrollment_id: EnrollmentId, response: Response) -> EnrollmentView:
    """Suspend an enrolment. The learner keeps their seat."""
    return await ENROLLMENT.once(response, caller, logic.suspend(caller, enrollment_id))


@router.post("/v1/enrollments/{enrollment_id}/resume", raises=(EnrollmentNotFound, NotInThatState))
async def resume(caller: Caller, enrollment_id: EnrollmentId, response: Response) -> EnrollmentView:
    """Resume a suspended enrolment."""
    return await ENROLLMENT.once(response, caller, logic.resume(caller, enrollment_id))
