"""How much a case counts, and when a break is asked for; these need no database."""

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta

POINTS = {1: 0, 2: 1, 3: 3, 4: 6, 5: 10}
"""By severity. What counts nothing is harmless: it is always offered."""
BREAK = timedelta(minutes=10)


def severest(left: int) -> int:
    """Return the highest severity of which a case may be shown to somebody who has so many points left."""
    return max(severity for severity, points in POINTS.items() if points <= max(left, 0))


def end_of_day(now: datetime) -> datetime:
    return datetime.combine(now.astimezone(UTC).date() + timedelta(days=1), time(), UTC)


def break_until(seen: Sequence[datetime], now: datetime, after: timedelta) -> datetime | None:
    """Return until when somebody should rest who was shown things at these times; None: they need not now.

    `after`: how long one may judge with no pause as long as a break.
    """
    times = sorted(seen)
    if not times or now >= times[-1] + BREAK:
        return None
    begin = times[-1]
    for each in reversed(times):
        if begin - each >= BREAK:
            break
        begin = each
    return times[-1] + BREAK if now - begin >= after else None
