"""The contract of enrollment: ids, values, events, jobs, problems and the calls it answers."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NewType, Protocol
from uuid import UUID

from cluster.base.ids import OrgId, UserId
from cluster.base.problems import Conflict, Forbidden, NotFound
from cluster.events import event
from cluster.jobs import job
from cluster.jobs.bulk import BulkJob

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


class EnrollmentCalls(Protocol):
    """The calls that enrollment answers to higher ranks."""

    async def find_enrollment(self, enrollment_id: EnrollmentId) -> Enrollment | None: ...

    async def find_in_run(self, user_id: UserId, run_id: UUID) -> Enrollment | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrollmentEvent:
    """The fields of every event of an enrolment."""

    enrollment_id: EnrollmentId
    org_id: OrgId
    course_id: UUID
    run_id: UUID
    user_id: UserId


@event("enrollment.changed", subject="enrollment_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class EnrollmentChanged(EnrollmentEvent):
    """The state of an enrolment as others project it."""

    state: State


@event("enrollment.created", subject="enrollment_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class EnrollmentCreated(EnrollmentEvent):
    """A person enrolled, or was enrolled."""


@event("enrollment.reactivated", subject="enrollment_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class EnrollmentReactivated(EnrollmentEvent):
    """A person who had left came back, to the state that they left in."""

    state: State


@event("enrollment.cancelled", subject="enrollment_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class EnrollmentCancelled(EnrollmentEvent):
    """A person left, or their enrolment was cancelled by staff."""


@event("enrollment.suspended", subject="enrollment_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class EnrollmentSuspended(EnrollmentEvent):
    """An enrolment was suspended."""


@event("enrollment.resumed", subject="enrollment_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class EnrollmentResumed(EnrollmentEvent):
    """A suspended enrolment was resumed."""


@event("enrollment.completed", subject="enrollment_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class EnrollmentCompleted(EnrollmentEvent):
    """A person has done all that the course required, for the first time."""

    revision: int


@job("enrollment.bulk", attempts=10, timeout_s=300, lane="bulk")
@dataclass(frozen=True, slots=True, kw_only=True)
class BulkEnrol(BulkJob):
    """Enrols many people, or undoes it."""


class EnrollmentNotFound(NotFound):
    title = "No such enrolment"


class NotEnrollable(NotFound):
    title = "No such published course or run"


class RunChoiceNeeded(Conflict):
    """Carries `runs`, the ids to choose from."""

    title = "The course has several open runs"


class ShutOut(Forbidden):
    title = "This organization does not teach you"


class RunNotOpen(Conflict):
    title = "The run is not open for enrolment"


class RunFull(Conflict):
    title = "The run is full"


class NotMember(NotFound):
    title = "There is no such member of the organization"


class NotInThatState(Conflict):
    title = "The enrolment is not in a state for this"
