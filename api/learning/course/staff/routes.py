"""HTTP of staff."""

from datetime import datetime
from typing import Literal

from api.core.rbac.contract import BeyondOwnRights
from api.core.user.contract import UserNotFound
from api.learning.course.contract import CourseId, CourseNotFound
from api.learning.course.staff import logic
from api.learning.course.staff.store import StaffMember
from cluster.base.ids import UserId
from cluster.http import Body, Caller, Router, View

router = Router("course")


class StaffRole(Body):
    role: Literal["instructor", "assistant"]


class StaffView(View):
    """A member of the staff of a course."""

    user_id: UserId
    role: str
    added_at: datetime


class StaffList(View):
    items: list[StaffView]


@router.get("/v1/courses/{course_id}/staff", raises=(CourseNotFound,))
async def list_staff(caller: Caller, course_id: CourseId) -> StaffList:
    """List the staff of a course."""
    return _staff(await logic.list_staff(caller, course_id))


@router.put("/v1/courses/{course_id}/staff/{user_id}", raises=(CourseNotFound, UserNotFound, BeyondOwnRights))
async def appoint(caller: Caller, course_id: CourseId, user_id: UserId, role: StaffRole) -> StaffList:
    """Add a person to the staff of a course, or change their role."""
    return _staff(await logic.appoint(caller, course_id, user_id, role.role))


@router.delete("/v1/courses/{course_id}/staff/{user_id}", status_code=204, raises=(CourseNotFound, BeyondOwnRights))
async def dismiss(caller: Caller, course_id: CourseId, user_id: UserId) -> None:
    """Remove a person from the staff of a course."""
    await logic.dismiss(caller, course_id, user_id)


def _staff(staff: list[StaffMember]) -> StaffList:
    return StaffList(items=[StaffView.of(member) for member in staff])
