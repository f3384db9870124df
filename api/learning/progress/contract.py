"""What other services may know of progress."""

from dataclasses import dataclass
from uuid import UUID

from cluster.events import event
from cluster.ids import OrgId, UserId


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
