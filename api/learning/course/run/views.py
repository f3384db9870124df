"""How runs look on the wire."""

from datetime import datetime
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, Field

from api.learning.course.contract import CourseId, Pace, Run, RunId
from cluster.base.ids import OrgId
from cluster.http import Body, Patch

Seats = Annotated[int | None, Field(gt=0, le=1_000_000, description="Places; null: as many as come")]
Pinned = Annotated[int | None, Field(gt=0, lt=2**31, description="Show this revision for ever; null: the newest")]
Start = Annotated[AwareDatetime | None, Field(description="Its content opens then; null: at once")]
Title = Annotated[str, Field(min_length=1, max_length=200)]


class ListedRun(BaseModel):
    """A run in the catalogue."""

    id: RunId
    title: str
    pace: Pace
    is_default: bool
    starts_at: datetime | None
    ends_at: datetime | None
    enrolment_opens_at: datetime | None
    enrolment_closes_at: datetime | None
    seats: int | None


class RunView(ListedRun):
    """A run."""

    course_id: CourseId
    organization_id: OrgId
    pinned_revision: int | None
    ended_at: datetime | None
    created_at: datetime

    @classmethod
    def of(cls, run: Run) -> "RunView":
        return cls(
            id=run.id,
            course_id=run.course_id,
            organization_id=run.org_id,
            title=run.title,
            pace=run.pace,
            is_default=run.is_default,
            starts_at=run.starts_at,
            ends_at=run.ends_at,
            enrolment_opens_at=run.enrolment_opens_at,
            enrolment_closes_at=run.enrolment_closes_at,
            seats=run.seats,
            pinned_revision=run.pinned_revision,
            ended_at=run.ended_at,
            created_at=run.created_at,
        )


class NewRun(Body):
    """A further run of a course."""

    course_id: CourseId
    title: Title
    pace: Pace = "self"
    starts_at: Start = None
    ends_at: AwareDatetime | None = None
    enrolment_opens_at: AwareDatetime | None = None
    enrolment_closes_at: AwareDatetime | None = None
    seats: Seats = None
    pinned_revision: Pinned = None


class RunChanges(Patch):
    """What to change of a run."""

    title: Title = ""
    pace: Pace = "self"
    starts_at: Start = None
    ends_at: AwareDatetime | None = None
    enrolment_opens_at: AwareDatetime | None = None
    enrolment_closes_at: AwareDatetime | None = None
    seats: Seats = None
    pinned_revision: Pinned = None
