"""What other services may know of progress: ids, events, jobs and problems."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NewType, Protocol
from uuid import UUID

from cluster.base.ids import OrgId, UserId
from cluster.base.problems import Conflict, Invalid, NotFound
from cluster.events import event
from cluster.jobs import job

LineItemId = NewType("LineItemId", UUID)


@dataclass(frozen=True, slots=True, kw_only=True)
class LineItem:
    """What is graded in a run: a column of its grade book.

    Source: 1EdTech LTI Assignment and Grade Services 2.0, line item.
    """

    id: LineItemId
    org_id: OrgId
    course_id: UUID
    run_id: UUID
    label: str
    score_maximum: Decimal
    extra_credit: bool
    """A score may pass the maximum."""
    due_at: datetime | None
    released: bool
    """Learners see their scores."""
    service: str | None
    resource_id: UUID | None
    """What it grades, with the service that owns it; None: staff made it by hand."""
    version: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PutLineItem:
    """The line item of a gradable thing in a run, as its service wants it."""

    course_id: UUID
    run_id: UUID
    service: str
    resource_id: UUID
    label: str
    score_maximum: Decimal
    due_at: datetime | None = None
    released: bool = False
    """Of a new one; staff decide later."""


class ProgressCalls(Protocol):
    """What progress answers to higher ranks."""

    async def put_line_item(self, wanted: PutLineItem) -> LineItem:
        """Make the line item of a thing in a run, or change its label, maximum and due date. Safe to repeat.

        Raises:
            RunUnknown, TooManyLineItems, ScoreMaximumInvalid
        """
        ...


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


@dataclass(frozen=True, slots=True, kw_only=True)
class LineItemEvent:
    """The fields of every event of a line item."""

    line_item_id: LineItemId
    org_id: OrgId
    course_id: UUID
    run_id: UUID


@event("line_item.created", subject="line_item_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class LineItemCreated(LineItemEvent):
    """Something is graded in a run."""


@event("line_item.updated", subject="line_item_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class LineItemUpdated(LineItemEvent):
    """A line item was changed."""


@event("line_item.deleted", subject="line_item_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class LineItemDeleted(LineItemEvent):
    """A line item was deleted."""


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


class LineItemNotFound(NotFound):
    title = "No such line item"


class RunUnknown(NotFound):
    title = "There is no such run here"


class ScoreMaximumInvalid(Invalid):
    title = "The maximum of a line item is a number above 0"


class TooManyLineItems(Conflict):
    title = "The run has as many line items as it may"
