"""Answers `EnrollmentCalls`, and the relation `learner` for access."""

from uuid import UUID

from api.learning.enrollment import store
from api.learning.enrollment.contract import Enrollment, EnrollmentCalls, EnrollmentId
from cluster.base.ids import UserId
from cluster.base.principal import PLATFORM
from cluster.data import read
from cluster.events import Snapshots
from cluster.people.access import LearnerSource, permit


class Calls(EnrollmentCalls, LearnerSource, Snapshots):
    async def find_enrollment(self, enrollment_id: EnrollmentId) -> Enrollment | None:
        async with read() as db:
            guarded = await store.find_enrollment(db, enrollment_id)
        return None if guarded is None else await permit(PLATFORM, "enrollment:read", guarded)

    async def find_in_run(self, user_id: UserId, run_id: UUID) -> Enrollment | None:
        async with read() as db:
            return await store.find_in_run(db, user_id, run_id)

    async def learns_in(self, user_id: UserId, run_id: UUID) -> bool:
        async with read() as db:
            return await store.find_learner(db, user_id, run_id)

    async def runs_of(self, user_id: UserId) -> list[UUID]:
        async with read() as db:
            return await store.list_runs_of(db, user_id)
