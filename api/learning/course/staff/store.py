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


async def upsert_staff(tx: Transaction, course: Course, user_id: UserId, role: str) -> int:
    """Add somebody to the staff or change their role; returns the course's new version."""
    return await tx.value(
        """WITH staff AS (
               INSERT INTO course.staff (course_id, user_id, org_id, role, added_at) VALUES ($1, $2, $3, $4, $5)
               ON CONFLICT (course_id, user_id) DO UPDATE SET role = excluded.role
           )
           UPDATE course.courses SET version = version + 1, staff_changes = staff_changes + 1 WHERE id = $1
           RETURNING version""",
        course.id,
        user_id,
        course.org_id,
        role,
        tx.now,
    )


async def delete_staff(tx: Transaction, course_id: CourseId, user_id: UserId) -> int | None:
    """Take somebody off the staff; returns the course's new version, None when they were not on it."""
    return await tx.value(
        """WITH staff AS (DELETE FROM course.staff WHERE course_id = $1 AND user_id = $2 RETURNING course_id)
           UPDATE course.courses SET version = version + 1, staff_changes = staff_changes + 1
           WHERE id IN (SELECT course_id FROM staff) RETURNING version""",
        course_id,
        user_id,
    )


async def find_role(db: Connection, course_id: CourseId, user_id: UserId) -> str | None:
    return await db.value("SELECT role FROM course.staff WHERE course_id = $1 AND user_id = $2", course_id, user_id)


async def list_staff(db: Connection, course_id: CourseId) -> list[StaffMember]:
    return await db.all(
        StaffMember,
        "SELECT user_id, role, added_at FROM course.staff WHERE course_id = $1 ORDER BY added_at, user_id LIMIT 500",
        course_id,
    )
