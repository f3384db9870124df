"""The SQL of staff."""

from dataclasses import dataclass
from datetime import datetime

from api.learning.course.contract import CourseId
from api.learning.course.store import Course
from cluster.base.ids import UserId
from cluster.data import Connection, Transaction


@dataclass(frozen=True, slots=True)
class StaffMember:
    user_id: UserId
    role: str
    added_at: datetime


UPSERT_STAFF = """
WITH staff AS (
    INSERT INTO course.staff (course_id, user_id, org_id, role, added_at) VALUES ($id, $user_id, $org_id, $role, $now)
    ON CONFLICT (course_id, user_id) DO UPDATE SET role = excluded.role
)
UPDATE course.courses SET version = version + 1, staff_changes = staff_changes + 1 WHERE id = $id RETURNING version
"""


async def upsert_staff(tx: Transaction, course: Course, user_id: UserId, role: str) -> int:
    """Add somebody to the staff or change their role; returns the course's new version."""
    return await tx.value(UPSERT_STAFF, course, user_id=user_id, role=role)


DELETE_STAFF = """
WITH staff AS (DELETE FROM course.staff WHERE course_id = $course_id AND user_id = $user_id RETURNING course_id)
UPDATE course.courses SET version = version + 1, staff_changes = staff_changes + 1
WHERE id IN (SELECT course_id FROM staff) RETURNING version
"""


async def delete_staff(tx: Transaction, course_id: CourseId, user_id: UserId) -> int | None:
    """Take somebody off the staff; returns the course's new version, None when they were not on it."""
    return await tx.value(DELETE_STAFF, course_id=course_id, user_id=user_id)


FIND_ROLE = "SELECT role FROM course.staff WHERE course_id = $course_id AND user_id = $user_id"


async def find_role(db: Connection, course_id: CourseId, user_id: UserId) -> str | None:
    return await db.value(FIND_ROLE, course_id=course_id, user_id=user_id)


LIST_STAFF = """
SELECT user_id, role, added_at FROM course.staff WHERE course_id = $course_id ORDER BY added_at, user_id LIMIT 500
"""


async def list_staff(db: Connection, course_id: CourseId) -> list[StaffMember]:
    """List the staff of a course, in the order of their appointment."""
    return await db.all(StaffMember, LIST_STAFF, course_id=course_id)
