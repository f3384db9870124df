"""The present state of courses and runs, for projections that join late."""

from uuid import UUID

from api.learning.course import store
from api.learning.course.contract import CourseChanged, RunChanged
from api.learning.course.run import store as runs
from cluster.data import Connection
from cluster.events import snapshot


@snapshot(CourseChanged)
async def list_courses(db: Connection, after: UUID, limit: int) -> list[tuple[CourseChanged, int]]:
    return await store.list_course_states(db, after, limit)


@snapshot(RunChanged)
async def list_runs(db: Connection, after: UUID, limit: int) -> list[tuple[RunChanged, int]]:
    return await runs.list_run_states(db, after, limit)
