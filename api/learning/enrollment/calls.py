"""Answers `EnrollmentCalls`, and the relation `learner` for access."""

from uuid import UUID

from api.learning.enrollment import store
from api.learning.enrollment.contract import Enrollment, EnrollmentCalls, EnrollmentId
from cluster.base.ids import UserId
from cluster.base.principal import PLATFORM
from cluster.data import read
from cluster.events import Snapshots
from cluster.people.access import LearnerSource, permit
from cluster.people.notices import AudienceSource


class Calls(EnrollmentCalls, LearnerSource, AudienceSource, Snapshots):
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

    async def audience(
        self, relation: str, place_kind: str, place_id: UUID, after: UUID | None, limit: int
    ) -> list[UserId]:
        if relation != "learners":
            return []
        async with read() as db:
            if place_kind == "run":
                return await store.list_learners_of_run(db, place_id, after=after, limit=limit)
            return await store.list_learners_of_course(db, place_id, after=after, limit=limit)
