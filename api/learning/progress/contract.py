"""What other services may know of progress: ids, events, jobs and problems."""

from dataclasses import dataclass
from uuid import UUID

from cluster.base.ids import OrgId, UserId
from cluster.base.problems import Conflict, NotFound
from cluster.events import event
from cluster.jobs import job


@event("progress.completed", subject="enrollment_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressCompleted:
    """Every required block that this learner can reach is done, for the first time."""

    enrollment_id: UUID
    org_id: OrgId
    course_id: UUID
    run_id: UUID
    user_id: UserId
    revision: int
    """The course's revision that it was reached on."""


@job("progress.flush", attempts=20, timeout_s=120)
@dataclass(frozen=True, slots=True, kw_only=True)
class Flush:
    """Writes what one shard of the learners watched lately from Redis to PostgreSQL."""

    shard: int

    @staticmethod
    def dedupe(shard: int) -> str:
        return f"flush:{shard}"


@job("progress.assess", attempts=20, timeout_s=60)
@dataclass(frozen=True, slots=True, kw_only=True)
class Assess:
    """Notes that a learner has finished, if they have."""

    enrollment_id: UUID


@job("progress.reassess", attempts=20, timeout_s=300, lane="bulk")
@dataclass(frozen=True, slots=True, kw_only=True)
class Reassess:
    """Looks for learners of a course who have finished because less is required now."""

    course_id: UUID
    revision: int
    """What runs that follow the newest revision must show by then."""


class ProgressNotFound(NotFound):
    title = "No such progress"


class CompletionIsMeasured(Conflict):
    title = "The completion of this block is measured; it cannot be marked"


class NothingToComplete(Conflict):
    title = "This block cannot be completed: it only contains others"
