"""Decide how many letters a warm-up plan lets go on a day."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from cluster.base.problems import Invalid
from cluster.base.times import next_time

MOST_STEPS = 90
MOST_LETTERS_A_DAY = 10_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Letters per day, from `started_on` on, and how many went on the day `counted_on`."""

    steps: Sequence[int]
    started_on: date
    time_zone: str
    counted_on: date | None
    letters: int

    def day_of(self, now: datetime) -> date:
        return now.astimezone(ZoneInfo(self.time_zone)).date()

    def limit_on(self, day: date) -> int | None:
        """Return how many new letters go on a day; None: as many as there are, the plan is over."""
        number = (day - self.started_on).days
        return self.steps[max(0, number)] if number < len(self.steps) else None

    def counted(self, day: date) -> int:
        return self.letters if self.counted_on == day else 0

    def room(self, day: date) -> int | None:
        limit = self.limit_on(day)
        return None if limit is None else max(0, limit - self.counted(day))

    @property
    def limit_today(self) -> int | None:
        return self.limit_on(self.day_of(datetime.now(UTC)))

    @property
    def sent_today(self) -> int:
        return self.counted(self.day_of(datetime.now(UTC)))

    def next_day(self, now: datetime) -> datetime:
        """Return when the next day begins in the plan's time zone."""
        return next_time(now, time(0), ZoneInfo(self.time_zone))

    @property
    def ends_on(self) -> date:
        """The first day without a limit."""
        return self.started_on + timedelta(days=len(self.steps))


def plan_of(stored: dict[str, Any]) -> Plan:
    """Read a plan from JSON."""
    return Plan(
        steps=stored["steps"],
        started_on=date.fromisoformat(stored["started_on"]),
        time_zone=stored["time_zone"],
        counted_on=stored["counted_on"] and date.fromisoformat(stored["counted_on"]),
        letters=stored["letters"],
    )


def check_steps(steps: Sequence[int]) -> None:
    """Check that each day has more letters than the one before.

    Raises:
        Invalid
    """
    for number, (before, after) in enumerate(pairwise(steps), start=1):
        if after <= before:
            raise Invalid(
                f"{after} is not more than {before}: let each day have more letters", pointer=f"/steps/{number}"
            )
