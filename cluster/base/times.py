"""Wall clocks: the instants at which a clock in some time zone shows a time, through changes to and from daylight saving time."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

_DAY = timedelta(days=1)
_WEEKDAYS = frozenset(range(1, 8))
_MAX_WINDOWS = 60
"""Windows that follow each other without a gap, before they count as endless."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Hours of a day that come again each week. One that does not end after it begins lasts past midnight."""

    weekdays: tuple[int, ...]
    """The days on which it begins; 1 is Monday (ISO 8601)."""
    begins: time
    ends: time


def instant(day: date, at: time, zone: ZoneInfo, *, last: bool = False) -> datetime:
    """Return when the clock shows `at` on that day.

    A time that the clock skips counts as the moment after the gap. Of a time that it shows twice the first counts, or the `last`.
    """
    local = datetime.combine(day, at, zone).replace(fold=int(last))
    found = local.astimezone(UTC)
    if found.astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None):
        return found
    # Between what the offsets before and after the gap give lies the change itself.
    early, late = sorted(local.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
    offset = early.astimezone(zone).utcoffset()
    while late - early > timedelta(seconds=1):
        middle = (early + (late - early) / 2).replace(microsecond=0)
        if middle.astimezone(zone).utcoffset() == offset:
            early = middle
        else:
            late = middle
    return late


def next_time(after: datetime, at: time, zone: ZoneInfo, weekdays: Collection[int] = _WEEKDAYS) -> datetime:
    """Return the next instant later than `after` at which the clock shows `at`, on one of these days of the week (1: Monday)."""
    day = after.astimezone(zone).date()
    for _ in range(9):
        found = instant(day, at, zone)
        if day.isoweekday() in weekdays and found > after:
            return found
        day += _DAY
    raise ValueError("a week has no other days than 1 to 7")


def next_hour(after: datetime, zone: ZoneInfo) -> datetime:
    """Return the next instant later than `after` at which the clock shows a full hour."""
    local = after.astimezone(zone)
    past = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
    return after.astimezone(UTC) - past + timedelta(hours=1)


def end_of_windows(at: datetime, windows: Sequence[Window], zone: ZoneInfo) -> datetime | None:
    """Return when the windows that hold at this instant end, those that follow without a gap included; None: none holds.

    Windows that together never end are ended after a week.
    """
    until: datetime | None = None
    for _ in range(_MAX_WINDOWS):
        moment = until or at
        ends = [end for window in windows if (end := _end_of(moment, window, zone)) is not None]
        if not ends or moment - at > timedelta(days=7):
            return until
        until = max(ends)
    return until


def _end_of(at: datetime, window: Window, zone: ZoneInfo) -> datetime | None:
    today = at.astimezone(zone).date()
    for day in (today - _DAY, today):
        if day.isoweekday() not in window.weekdays:
            continue
        last_day = day if window.ends > window.begins else day + _DAY
        begins, ends = instant(day, window.begins, zone), instant(last_day, window.ends, zone, last=True)
        if begins <= at < ends:
            return ends
    return None
