"""What other services may know of progress: ids, events, jobs and problems."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal, NewType, Protocol
from uuid import UUID

from cluster.base.ids import OrgId, UserId
from cluster.base.problems import Conflict, Invalid, NotFound
from cluster.events import event
from cluster.jobs import job
from cluster.jobs.bulk import BulkJob

LineItemId = NewType("LineItemId", UUID)
CategoryId = NewType("CategoryId", UUID)


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
    category_id: CategoryId | None = None
    weight: Decimal | None = None
    """Its share in its category, against the weights of the others; None: its maximum."""
    service: str | None
    resource_id: UUID | None
    """What it grades, with the service that owns it; None: staff made it by hand."""
    version: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    """How some of the line items of a run make its total."""

    id: CategoryId
    org_id: OrgId
    course_id: UUID
    run_id: UUID
    name: str
    weight: Decimal
    drop_lowest: int
    extra_credit: bool
    missing_as_zero: bool
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


ScoreId = NewType("ScoreId", UUID)

ActivityProgress = Literal["Initialized", "Started", "InProgress", "Submitted", "Completed"]
GradingProgress = Literal["FullyGraded", "Pending", "PendingManual", "Failed", "NotReady"]
Cause = Literal["entered", "corrected", "excused", "withdrawn", "posted"]
ResultState = Literal["scored", "pending", "excused", "withdrawn"]
Outcome = Literal["posted", "repeated", "stale", "unknown_learner", "no_line_item"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewScore:
    """A score that a service posts.

    Source: 1EdTech LTI Assignment and Grade Services 2.0, score.
    """

    line_item_id: LineItemId
    user_id: UserId
    source_id: UUID
    """What it was made of. Posting it again changes nothing."""
    scored_at: datetime
    """The one with the latest time counts; one from the future counts as of now."""
    score_given: Decimal | None = None
    """None: not graded yet."""
    score_maximum: Decimal | None = None
    """None: that of the line item."""
    activity_progress: ActivityProgress = "Completed"
    grading_progress: GradingProgress = "FullyGraded"
    """What is not fully graded does not count, and learners do not see it."""
    comment: str | None = None
    """For the learner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostedScore:
    """What became of a posted score.

    `stale`: kept, but a later one counts. `unknown_learner`: the person does not learn in the run. `no_line_item`: it is not the
    service's, or deleted.
    """

    outcome: Outcome
    score_id: ScoreId | None = None


class ProgressCalls(Protocol):
    """What progress answers to higher ranks."""

    async def put_line_item(self, wanted: PutLineItem) -> LineItem:
        """Make the line item of a thing in a run, or change its label, maximum and due date. Safe to repeat.

        Raises:
            RunUnknown, TooManyLineItems, ScoreMaximumInvalid
        """
        ...

    async def post_scores(self, service: str, scores: list[NewScore]) -> list[PostedScore]:
        """Post up to 500 scores of a service's line items, and return what became of each. Safe to repeat.

        Raises:
            ScoreInvalid: names the rows that are none; nothing was posted.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryEvent:
    """The fields of every event of a category."""

    category_id: CategoryId
    org_id: OrgId
    course_id: UUID
    run_id: UUID


@event("grade_category.created", subject="category_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryCreated(CategoryEvent):
    """A run has a category more."""


@event("grade_category.updated", subject="category_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryUpdated(CategoryEvent):
    """A category was changed."""


@event("grade_category.deleted", subject="category_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryDeleted(CategoryEvent):
    """A category was deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreEvent:
    """The fields of every event of a learner's result: the score that counts now."""

    result_id: UUID
    score_id: ScoreId
    line_item_id: LineItemId
    enrollment_id: UUID
    org_id: OrgId
    course_id: UUID
    run_id: UUID
    user_id: UserId
    state: ResultState
    score_given: Decimal | None
    score_maximum: Decimal | None


@event("score.posted", subject="result_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class ScorePosted(ScoreEvent):
    """A score counts now that did not before."""


@event("score.released", subject="result_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreReleased(ScoreEvent):
    """The learner sees a score that they did not see before."""


@event("score.withdrawn", subject="result_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreWithdrawn(ScoreEvent):
    """The score that counted was withdrawn; `score_id` is the withdrawal."""


@job("progress.release_scores", attempts=20, timeout_s=120)
@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseScores:
    """Tells learners of their scores of a line item that is released."""

    line_item_id: UUID


@job("progress.compute_totals", attempts=20, timeout_s=300, lane="bulk")
@dataclass(frozen=True, slots=True, kw_only=True)
class ComputeTotals:
    """Computes the totals of the learners of a run whose scores changed, or of all."""

    run_id: UUID
    of_all: bool


@job("progress.bulk", attempts=10, timeout_s=300, lane="bulk")
@dataclass(frozen=True, slots=True, kw_only=True)
class BulkScore(BulkJob):
    """Enters many scores, or undoes it."""


@job("progress.begin_totals", attempts=20, timeout_s=60)
@dataclass(frozen=True, slots=True, kw_only=True)
class BeginTotals:
    """Gives a new learner of a graded run totals: what is due already may count as zero."""

    enrollment_id: UUID


@job("progress.pass_due", attempts=20, timeout_s=60)
@dataclass(frozen=True, slots=True, kw_only=True)
class PassDue:
    """Has the totals of a run computed again because a line item is due."""

    run_id: UUID


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


class CategoryNotFound(NotFound):
    title = "No such category"


class CategoryUnknown(Invalid):
    title = "The run has no such category"


class CategoryInUse(Conflict):
    title = "Line items stand in this category"


class TooManyCategories(Conflict):
    title = "The run has as many categories as it may"


class LineItemHasScores(Conflict):
    title = "Learners have scores for this line item"


class ScoreNotFound(NotFound):
    title = "No such score"


class ScoreInvalid(Invalid):
    title = "This is no score of the line item"


class ScoreIsNotCurrent(Conflict):
    title = "Another score counts"


class LearnerUnknown(Invalid):
    title = "Nobody learns in the run by this enrolment"


class RunUnknown(NotFound):
    title = "There is no such run here"


class ScoreMaximumInvalid(Invalid):
    title = "The maximum of a line item is a number above 0"


class TooManyLineItems(Conflict):
    title = "The run has as many line items as it may"
