"""Use cases of staff: who teaches a course."""

from collections.abc import Sequence
from datetime import datetime

from api.core.rbac.contract import BeyondOwnRights, RbacCalls
from api.core.user.contract import UserCalls, UserNotFound
from api.learning.course import store as courses
from api.learning.course.contract import CourseId, CourseNotFound, CourseStaffChanged
from api.learning.course.staff import store
from api.learning.course.staff.store import StaffMember
from api.learning.course.store import Course
from cluster.base.ids import UserId
from cluster.base.principal import Principal
from cluster.data import read, write
from cluster.events import emit
from cluster.people.access import lasts_until, permissions_of_role, permit, permitted, within
from cluster.people.calls import client

_ROLES = ("assistant", "instructor")


async def list_staff(caller: Principal, course_id: CourseId) -> list[StaffMember]:
    await permitted(caller, "course:read", courses.find_course, course_id, missing=CourseNotFound)
    async with read() as db:
        return await store.list_staff(db, course_id)


async def appoint(caller: Principal, course_id: CourseId, user_id: UserId, role: str) -> list[StaffMember]:
    """Add a person to the staff of a course, or change their role. The grant comes first, then the visible row.

    Where the caller's own rights end, the grant ends with them, and a grant that stands keeps its end.

    Raises:
        UserNotFound
        Forbidden: the role holds permissions that the caller lacks.
        BeyondOwnRights: the role that it replaces does.
    """
    course = await permitted(caller, "course:staff", courses.find_course, course_id, missing=CourseNotFound)
    here = within(org_id=course.org_id, course_id=course_id, see="course:staff")
    permissions = permissions_of_role(role)
    for permission in permissions:
        await permit(caller, permission, here)
    await _check_may_take(caller, course, user_id, [other for other in _ROLES if other != role])
    if not await client(UserCalls).profiles([user_id]):
        raise UserNotFound("nobody has this id; who is to teach here signs up first")
    ends_at = await lasts_until(caller, [*permissions, "course:staff"], here)
    await client(RbacCalls).grant(
        user_id,
        role,
        "course",
        course_id,
        course.org_id,
        caller.id,
        expires_at=ends_at,
        extends=ends_at is None,
    )
    async with write(caller, result=course_id) as tx:
        version = await store.upsert_staff(tx, course, user_id, role)
        emit(tx, _staff_changed(course, user_id, role, added=True), version=version)
    await _align(caller, course, user_id, ends_at)
    return await list_staff(caller, course_id)


async def dismiss(caller: Principal, course_id: CourseId, user_id: UserId) -> None:
    """Take somebody off the staff: first what they may do, then that they are seen.

    Raises:
        BeyondOwnRights: their role holds permissions that the caller lacks.
    """
    course = await permitted(caller, "course:staff", courses.find_course, course_id, missing=CourseNotFound)
    await _check_may_take(caller, course, user_id, _ROLES)
    for role in _ROLES:
        await client(RbacCalls).revoke(user_id, role, "course", course_id, course.org_id, caller.id)
    async with write(caller, result=course_id, status=204) as tx:
        version = await store.delete_staff(tx, course_id, user_id)
        if version is not None:
            emit(tx, _staff_changed(course, user_id, "", added=False), version=version)
    ends_at = await lasts_until(caller, ["course:staff"], within(org_id=course.org_id, course_id=course_id))
    await _align(caller, course, user_id, ends_at)


async def _check_may_take(caller: Principal, course: Course, user_id: UserId, roles: Sequence[str]) -> None:
    """Return when the caller holds all that these roles give somebody in the course.

    Raises:
        BeyondOwnRights
    """
    missing = await client(RbacCalls).lacking_against(
        caller, user_id, course.org_id, course_id=course.id, roles=list(roles)
    )
    if missing:
        raise BeyondOwnRights("this person may do more than you here; ask an owner", permissions=missing)


async def _align(caller: Principal, course: Course, user_id: UserId, ends_at: datetime | None) -> None:
    """Make the grant follow the row, however many change it at once: repeat until the row stays the same.

    `ends_at`: when the caller's own rights end, and with them what is granted here. No grant that stands is extended.
    """
    role = await _role_of(course.id, user_id)
    while True:
        if role is not None:
            await client(RbacCalls).grant(
                user_id,
                role,
                "course",
                course.id,
                course.org_id,
                caller.id,
                expires_at=ends_at,
                extends=False,
            )
        for other in [each for each in _ROLES if each != role]:
            await client(RbacCalls).revoke(user_id, other, "course", course.id, course.org_id, caller.id)
        before, role = role, await _role_of(course.id, user_id)
        if role == before:
            return


async def _role_of(course_id: CourseId, user_id: UserId) -> str | None:
    async with read() as db:
        return await store.find_role(db, course_id, user_id)


def _staff_changed(course: Course, user_id: UserId, role: str, *, added: bool) -> CourseStaffChanged:
    return CourseStaffChanged(course_id=course.id, org_id=course.org_id, user_id=user_id, role=role, added=added)
