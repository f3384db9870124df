"""The present state of enrolments, for projections that join late."""

from uuid import UUID

from api.learning.enrollment import logic, store
from api.learning.enrollment.contract import EnrollmentChanged
from cluster.data import Connection
from cluster.events import snapshot


@snapshot(EnrollmentChanged)
async def list_enrollments(db: Connection, after: UUID, limit: int) -> list[tuple[EnrollmentChanged, int]]:
    return [(logic.state_of(each), each.version) for each in await store.list_all(db, after, limit)]
