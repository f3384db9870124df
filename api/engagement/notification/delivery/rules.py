"""Decide when a person is told by a channel: now, later, or not at all. What is held is decided anew when its time has come."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from api.engagement.notification.contract import AwayChannel, Pace, Reason
from cluster.base.times import Window, end_of_windows, next_hour, next_time
from cluster.people.notices import Severity

SHARDS = 8
"""Of each channel: each is worked off by one job at a time."""
MAIL_AFTER = timedelta(minutes=10)
"""How long a notification may be read in the inbox before it is mailed."""
PUSHES = 10
PUSH_WINDOW = timedelta(minutes=10)
LETTER_WINDOW = timedelta(hours=1)
TEXTS = 5
TEXT_WINDOW = timedelta(hours=1)
ONE_BY_ONE = 3
"""More messages than this that go to a device at once are one."""
MAX_ATTEMPTS = 8
GIVE_UP_AFTER = timedelta(days=1)
"""How old a message is from which on it uses attempts too when the other side is away."""
CLAIM = timedelta(minutes=2)
"""How long somebody who sends may take before it counts as broken off, and is sent again under the same id."""


@dataclass(frozen=True, slots=True)
class Send:
    """Now."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Not before `until`. Without a reason it is simply not due yet."""

    until: datetime
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class Skip:
    reason: Reason


Decision = Send | Hold | Skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What is to be told, as far as the decision needs it."""

    severity: Severity
    created_at: datetime
    expires_at: datetime | None = None
    read: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """How the person wants to be told of it by this channel, now."""

    pace: Pace
    muted: bool = False
    zone: ZoneInfo
    windows: Sequence[Window] = ()
    do_not_disturb_until: datetime | None = None
    digest_hour: int = 8
    digest_weekday: int = 1


def shard_of(user_id: UUID) -> int:
    return user_id.int % SHARDS


def decide(now: datetime, channel: AwayChannel, told: Told, wishes: Wishes) -> Decision:
    """Decide about one notification and one channel."""
    if told.read:
        return Skip("read")
    if told.expires_at is not None and told.expires_at <= now:
        return Skip("expired")
    if wishes.pace == "off":
        return Skip("off")
    urgent = told.severity == "security"
    if wishes.muted and not urgent:
        return Skip("muted")
    ready_at = _ready_at(channel, told.created_at, wishes)
    if urgent:
        ready_at = told.created_at
    if now < ready_at:
        return Hold(ready_at, None if wishes.pace == "at_once" else "digest")
    quiet_until = None if urgent else quiet_end(now, wishes)
    return Send() if quiet_until is None else Hold(quiet_until, "quiet")


def quiet_end(now: datetime, wishes: Wishes) -> datetime | None:
    """Return when the person may be told again; None: now."""
    moment = max(now, wishes.do_not_disturb_until or now)
    until = end_of_windows(moment, wishes.windows, wishes.zone) or moment
    return until if until > now else None


def _ready_at(channel: AwayChannel, created_at: datetime, wishes: Wishes) -> datetime:
    at = time(wishes.digest_hour)
    match wishes.pace:
        case "hourly":
            return next_hour(created_at, wishes.zone)
        case "daily":
            return next_time(created_at, at, wishes.zone)
        case "weekly":
            return next_time(created_at, at, wishes.zone, (wishes.digest_weekday,))
        case _:
            return created_at + (MAIL_AFTER if channel == "mail" else timedelta())


def retry_at(now: datetime, attempts: int, retry_after_s: float | None) -> datetime:
    """Return when to try again: after 15 s, 1 min, 4 min, ... at most an hour, and not before the other side wants."""
    own = min(3600.0, 15.0 * 4.0 ** (attempts - 1))
    return now + timedelta(seconds=max(own, min(retry_after_s or 0.0, 6 * 3600.0)))


def defer_until(now: datetime, waited: timedelta, retry_after_s: float | None) -> datetime:
    """Return when to ask one again who was away: later and later, at most 10 minutes, and not before they want."""
    own = min(600.0, max(15.0, waited.total_seconds() / 2))
    return now + timedelta(seconds=max(own, min(retry_after_s or 0.0, 6 * 3600.0)))
