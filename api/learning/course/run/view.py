"""How runs are answered, by their routes and by the catalogue."""

from datetime import datetime
from typing import Literal

from api.learning.course.contract import CourseId, Pace, RunId
from api.learning.course.run import logic
from cluster.http import Answer, OrganizationId, View


class ListedRun(View):
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
    organization_id: OrganizationId
    pinned_revision: int | None
    ended_at: datetime | None
    moderation_state: Literal["removed"] | None
    """`removed`: a moderator removed its title; only those who manage runs see it."""
    created_at: datetime


RUN = Answer(get=logic.get_run, view=RunView, etag="version", path="/v1/runs/{id}")
