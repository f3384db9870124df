"""What other services may know of enrollment: ids, values, events, problems and the calls it answers."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NewType
from uuid import UUID

from cluster.events import event
from cluster.ids import OrgId, UserId

EnrollmentId = NewType("EnrollmentId", UUID)

State = Literal["active", "completed", "cancelled", "suspended"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrollment:
    """One per person and run, ever; leaving and coming back moves its state."""

    id: EnrollmentId
    org_id: OrgId
    course_id: UUID
    run_id: UUID
    user_id: UserId
    state: State
    completed_at: datetime | None
    completed_revision: int | None
    version: int
    created_at: datetime


@event("enrollment.created", subject="enrollment_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class EnrollmentCreated:
    enrollment_id: EnrollmentId
    org_id: OrgId
    course_id: UUID
    run_id: UUID
    user_id: UserId


@event("enrollment.reactivated", subject="enrollment_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class EnrollmentReactivated:
    enrollment_id: EnrollmentId
    org_id: OrgId
    course_id: UUID
    run_id: UUID
    user_id: UserId
    state: State


@event("enrollment.cancelled", subject="enrollment_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class EnrollmentCancelled:
    enrollment_id: EnrollmentId
    org_id: OrgId
    course_id: UUID
    run_id: UUID
    user_id: UserId


@event("enrollment.completed", subject="enrollment_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class EnrollmentCompleted:
    enrollment_id: EnrollmentId
    org_id: OrgId
    course_id: UUID
    run_id: UUID
    user_id: UserId
    revision: int
