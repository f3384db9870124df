"""Decisions of course that need no database: slugs, dates, and whether a run takes learners."""

from dataclasses import replace
from datetime import datetime

from slugify import slugify

from api.learning.course.contract import DatesOutOfOrder, Run
from cluster.base.problems import FieldError

TOPIC = "course"
MODERATED_KIND = "course"
MODERATED_FIELDS = ("title", "summary")
MODERATED_RUN = "run"
HIDDEN_TITLE = "Run"
"""Instead of the title that a moderator removed."""
MAX_SLUG_CHARS = 80
LANGUAGE_TAG = r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$"


def slug_of(title: str) -> str:
    """Make a slug (lower case ASCII words joined by hyphens) of a title in any script."""
    return slugify(title, max_length=MAX_SLUG_CHARS, word_boundary=True) or "course"


def check_dates(
    *,
    starts_at: datetime | None,
    ends_at: datetime | None,
    enrolment_opens_at: datetime | None,
    enrolment_closes_at: datetime | None,
) -> None:
    """Check that a run's dates follow each other.

    Raises:
        DatesOutOfOrder: names every field that comes too early.
    """
    errors: list[FieldError] = []
    if starts_at and ends_at and ends_at <= starts_at:
        errors.append(FieldError("/ends_at", "before-start", "set it after starts_at, or to null for no end"))
    if enrolment_opens_at and enrolment_closes_at and enrolment_closes_at <= enrolment_opens_at:
        errors.append(FieldError("/enrolment_closes_at", "before-opening", "set it after enrolment_opens_at"))
    if ends_at and enrolment_opens_at and enrolment_opens_at >= ends_at:
        errors.append(FieldError("/enrolment_opens_at", "after-end", "open enrolment before the run ends"))
    if errors:
        raise DatesOutOfOrder(errors=tuple(errors))


def takes_learners(run: Run, now: datetime) -> bool:
    """Tell whether somebody may enrol at this moment, seats aside."""
    return (
        run.ended_at is None
        and (run.ends_at is None or now < run.ends_at)
        and (run.enrolment_opens_at is None or run.enrolment_opens_at <= now)
        and (run.enrolment_closes_at is None or now < run.enrolment_closes_at)
    )


def revision_shown(run: Run, newest: int) -> int:
    """Return the revision that the learners of a run see."""
    return newest if run.pinned_revision is None else run.pinned_revision


def titled(run: Run) -> Run:
    """Return a run as it is shown: without a title that a moderator removed."""
    return run if run.moderation_state is None else replace(run, title=HIDDEN_TITLE)
