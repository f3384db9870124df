"""What other services may know of course: ids, values, events, problems and the calls it answers."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NewType, Protocol
from uuid import UUID

from api.learning.content.contract import FrozenId
from cluster.base.ids import OrgId, UserId
from cluster.base.problems import Conflict, Invalid, NotFound, Problem
from cluster.events import event
from cluster.jobs import job
from cluster.people.access import Guarded

CourseId = NewType("CourseId", UUID)
RunId = NewType("RunId", UUID)

Pace = Literal["self", "instructor"]
Visibility = Literal["public", "unlisted", "organization"]
SEE: dict[Visibility, str] = {
    "public": "catalog:read",
    "unlisted": "catalog:read",
    "organization": "catalog:read-organization",
}
"""The permission that lets somebody know of a published course."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One offering of a course. It follows the newest revision unless it pins one."""

    id: RunId
    course_id: CourseId
    org_id: OrgId
    title: str
    pace: Pace
    is_default: bool
    starts_at: datetime | None
    ends_at: datetime | None
    enrolment_opens_at: datetime | None
    enrolment_closes_at: datetime | None
    seats: int | None
    pinned_revision: int | None
    ended_at: datetime | None
    version: int
    created_at: datetime
    moderation_state: Literal["removed"] | None = None
    """What a moderator decided of its title."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRun:
    """A run as enrollment sees it: the run, and whether its course is published and open to this person."""

    run: Run
    revision: int
    """The revision that a learner of this run is shown now."""
    open: bool
    """Enrolment is possible at this moment, seats aside."""
    visibility: Visibility

    def guarded(self) -> "Guarded[OpenRun]":
        """Wrap it for `permit` and `named`."""
        run = self.run
        return Guarded(self, org_id=run.org_id, course_id=run.course_id, run_id=run.id, see=SEE[self.visibility])


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A course that is in the catalogue: whose it is, and who may know of it."""

    org_id: OrgId
    visibility: Visibility

    def guarded(self, course_id: CourseId) -> "Guarded[Published]":
        """Wrap it for `permit` and `named`."""
        return Guarded(self, org_id=self.org_id, course_id=course_id, see=SEE[self.visibility])


class CourseCalls(Protocol):
    """What course answers to higher ranks."""

    async def find_published(self, course_id: CourseId) -> Published | None:
        """Return what is published of a course; None for drafts, archived courses and unknown ids."""
        ...

    async def find_open_run(self, run_id: RunId, now: datetime) -> OpenRun | None:
        """Return a run of a published course; None for drafts, archived courses and unknown ids."""
        ...

    async def list_open_runs(self, course_id: CourseId, now: datetime) -> list[OpenRun]:
        """Return the runs of a published course, open or not, the ended ones last; empty for drafts."""
        ...

    async def runs_of_course(self, course_id: CourseId) -> list[Run]: ...

    async def titles_of(self, course_ids: list[UUID]) -> dict[UUID, str]:
        """Return how up to 1,000 courses are called: as published, else as their working copy. Unknown ones are missing."""
        ...


@event("course.changed", subject="course_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class CourseChanged:
    """The state of a course as others project it: all None and False until it is published or archived."""

    course_id: CourseId
    org_id: OrgId
    revision: int | None = None
    frozen_id: FrozenId | None = None
    visibility: Visibility | None = None
    """Of the newest revision."""
    archived: bool = False
    language: str | None = None
    """Of the newest revision (BCP 47)."""


@event("run.changed", subject="run_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class RunChanged:
    """The state of a run as others project it."""

    run_id: RunId
    course_id: CourseId
    org_id: OrgId
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    ended_at: datetime | None = None
    pinned_revision: int | None = None
    pinned_frozen_id: FrozenId | None = None


@dataclass(frozen=True, slots=True)
class Existence:
    """Which courses exist, and which are being made; nothing needs to be kept for any other."""

    existing: list[UUID]
    pending: list[UUID]


@dataclass(frozen=True, slots=True)
class CourseOutline:
    """A frozen outline, and the course that it was frozen for."""

    frozen_id: UUID
    course_id: UUID


class CourseExistence(Protocol):
    """A leaf: asked by services of lower rank that made something for a course or a revision before there was one."""

    async def existence_of(self, course_ids: list[UUID]) -> Existence: ...

    async def outlines_with_revisions(self, outlines: list[CourseOutline]) -> list[UUID]:
        """Return the `frozen_id` of those of up to 1,000 outlines that a revision names."""
        ...


@event("course.created", subject="course_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class CourseCreated:
    course_id: CourseId
    org_id: OrgId
    default_run_id: RunId
    source_course_id: CourseId | None = None


@event("course.updated", subject="course_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class CourseUpdated:
    course_id: CourseId
    org_id: OrgId
    fields: tuple[str, ...]


@event("course.published", subject="course_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class CoursePublished:
    course_id: CourseId
    org_id: OrgId
    revision: int
    frozen_id: FrozenId
    visibility: Visibility = "public"
    restored_revision: int | None = None
    """Set when this revision brings an older one back."""


@event("course.revision_forgotten", subject="course_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class CourseRevisionForgotten:
    course_id: CourseId
    org_id: OrgId
    revision: int


@event("course.archived", subject="course_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class CourseArchived:
    course_id: CourseId
    org_id: OrgId


@event("course.restored", subject="course_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class CourseRestored:
    course_id: CourseId
    org_id: OrgId


@event("course.staff_changed", subject="course_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class CourseStaffChanged:
    course_id: CourseId
    org_id: OrgId
    user_id: UserId
    role: str
    added: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEvent:
    """What a run shows to whom and when, as others follow it."""

    run_id: RunId
    course_id: CourseId
    org_id: OrgId
    starts_at: datetime | None
    ends_at: datetime | None
    pinned_revision: int | None
    pinned_frozen_id: FrozenId | None = None


@event("run.created", subject="run_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class RunCreated(RunEvent):
    """A run was opened."""


@event("run.updated", subject="run_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class RunUpdated(RunEvent):
    """A run was changed."""


@event("run.ended", subject="run_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded:
    run_id: RunId
    course_id: CourseId
    org_id: OrgId


@event("run.starting", subject="run_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarting:
    """A run begins within a day. It is told once for each time that it is to begin at."""

    run_id: RunId
    course_id: CourseId
    org_id: OrgId
    starts_at: datetime


@job("course.publish_at", attempts=10, timeout_s=60)
@dataclass(frozen=True, slots=True, kw_only=True)
class PublishAt:
    """Publishes the course at the time it was scheduled for, unless that was moved meanwhile."""

    course_id: CourseId
    publish_at: datetime

    @staticmethod
    def dedupe(course_id: CourseId) -> str:
        return f"publish:{course_id}"


@job("course.let_go", attempts=20, timeout_s=60)
@dataclass(frozen=True, slots=True, kw_only=True)
class LetGo:
    """Has content let go of the outline of forgotten revisions."""

    frozen_id: FrozenId

    @staticmethod
    def dedupe(frozen_id: FrozenId) -> str:
        return f"let-go:{frozen_id}"


@job("course.rerun", attempts=10, timeout_s=120)
@dataclass(frozen=True, slots=True, kw_only=True)
class Rerun:
    """Takes a rerun from whatever state it is in to its end."""

    rerun_id: UUID


class CourseNotFound(NotFound):
    title = "No such course"


class RunNotFound(NotFound):
    title = "No such run"


class RevisionNotFound(NotFound):
    title = "No such revision"


class RevisionForgotten(Problem):
    status = 410
    title = "The revision was forgotten"


class RevisionInUse(Conflict):
    """Carries `run_ids`, up to 20 runs that have not ended and pin it."""

    title = "The revision is still shown"


class RevisionUnknown(Invalid):
    title = "There is no such revision"


class SlugTaken(Conflict):
    title = "Another course of this organization has this slug"


class CategoryUnknown(Invalid):
    title = "There is no such category"


class CourseArchivedAlready(Conflict):
    title = "The course is archived; restore it first"


class CourseModerated(Conflict):
    title = "A moderator has locked or removed the course"


class RunModerated(Conflict):
    title = "A moderator has removed the title of the run"


class NotReadyToPublish(Conflict):
    """Carries `missing`: everything that stands in the way, each with a block to go to."""

    title = "The course is not ready to be published"


class NothingToPublish(Conflict):
    title = "Nothing changed since the last revision"


class RunHasEnded(Conflict):
    title = "The run has ended"


class DatesOutOfOrder(Invalid):
    title = "The dates are out of order"
