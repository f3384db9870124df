"""What people are told of courses and runs: the notices, and their words."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from api.learning.course.catalog import store
from api.learning.course.contract import CourseId, CoursePublished, RunStarting
from api.learning.enrollment.contract import EnrollmentCompleted, EnrollmentCreated
from cluster.data import read
from cluster.people.notices import Notice, NoticeText, Reader
from cluster.people.wording import worded

NOTICES = (
    Notice(
        name="course.enrolled",
        title="You are enrolled in a course",
        event=EnrollmentCreated,
        category="learning",
    ),
    Notice(
        name="course.completed",
        title="You have completed a course",
        event=EnrollmentCompleted,
        category="learning",
    ),
    Notice(
        name="course.published",
        title="A course that you learn in has something new",
        event=CoursePublished,
        category="learning",
        audience="learners",
        topic="course_id",
    ),
    Notice(
        name="course.run_starting",
        title="A course begins tomorrow",
        event=RunStarting,
        category="learning",
        audience="learners",
        expires_after=timedelta(days=1),
    ),
)


async def texts(notice: str, event: dict[str, Any], readers: list[Reader]) -> list[NoticeText]:
    """Return the words while the catalogue shows the course, and none when it is archived."""
    async with read() as db:
        course = await store.find_named(db, CourseId(UUID(event["course_id"])))
    if course is None:
        return []
    fields: dict[str, object] = {"course": course.title}
    if notice == "course.run_starting":
        fields["starts_at"] = datetime.fromisoformat(event["starts_at"])
    return worded(
        "course", notice, readers, url=f"/courses/{course.id}", org_id=course.org_id, course_id=course.id, **fields
    )
