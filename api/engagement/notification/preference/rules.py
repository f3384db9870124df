"""Decide at which pace a person is told of a kind of notice by a channel, and which quiet hours make sense."""

from collections.abc import Mapping, Sequence
from datetime import time
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from api.engagement.notification.contract import Category, Pace, QuietHoursInvalid
from api.engagement.notification.offers import Defaults
from cluster.base.problems import FieldError
from cluster.base.times import Window
from cluster.people.notices import Channel, Severity

CATEGORIES: tuple[Category, ...] = (
    "learning",
    "teaching",
    "community",
    "account",
    "security",
    "announcement",
    "marketing",
)
CHANNELS: tuple[Channel, ...] = ("inbox", "push", "mail", "sms")
"""Those that lead somewhere here."""
MAX_WINDOWS = 21
MAX_MUTES = 1000
Choices = Mapping[str, Mapping[str, Pace]]


def builtin_pace(category: Category, channel: Channel) -> Pace:
    """Return the pace where nobody has chosen one."""
    if channel == "inbox":
        return "at_once"
    if channel == "sms":
        return "off"
    return "off" if category == "marketing" else "at_once"


def pace_of(category: Category, channel: Channel, severity: Severity, *, chosen: Choices, defaults: Defaults) -> Pace:
    """Return the pace that counts: what the organization locked, else what the person chose, else the defaults.

    What concerns security is told at once, everywhere but by text messages, which cost.
    What is of low severity goes to the inbox and into digests alone.
    """
    if severity == "security" and channel != "sms":
        return "at_once"
    pace, _ = choice_of(category, channel, chosen=chosen, defaults=defaults)
    if severity == "low" and channel in ("push", "sms"):
        return "off"
    if severity == "low" and channel == "mail" and pace == "at_once":
        return "daily"
    return pace


def choice_of(category: Category, channel: Channel, *, chosen: Choices, defaults: Defaults) -> tuple[Pace, bool]:
    """Return the pace for a category, and whether it is locked."""
    default = defaults.get(category, {}).get(channel)
    standard: Pace = builtin_pace(category, channel) if default is None else default["pace"]
    if default is not None and default.get("locked", False):
        return standard, True
    return chosen.get(category, {}).get(channel, standard), False


def merge(chosen: Choices, changes: Mapping[str, Mapping[str, Pace | None] | None]) -> dict[str, dict[str, Pace]]:
    """Return the choices after a merge patch: null gives a choice up."""
    merged = {category: dict(paces) for category, paces in chosen.items()}
    for category, paces in changes.items():
        kept: dict[str, Pace | None] = {} if paces is None else {**merged.get(category, {}), **paces}
        merged[category] = {channel: pace for channel, pace in kept.items() if pace is not None}
    return {category: paces for category, paces in merged.items() if paces}


def windows_of(quiet_hours: Sequence[Mapping[str, Any]]) -> tuple[Window, ...]:
    """Read quiet hours as they are stored."""
    return tuple(
        Window(
            weekdays=tuple(each["weekdays"]),
            begins=time.fromisoformat(each["begins"]),
            ends=time.fromisoformat(each["ends"]),
        )
        for each in quiet_hours
    )


def check_quiet_hours(windows: Sequence[Window]) -> None:
    """Check that some hour of the week is left.

    Raises:
        QuietHoursInvalid
    """
    minutes: set[int] = set()
    for window in windows:
        begins, ends = (at.hour * 60 + at.minute for at in (window.begins, window.ends))
        length = (ends - begins) % (24 * 60) or 24 * 60
        for weekday in window.weekdays:
            start = (weekday - 1) * 24 * 60 + begins
            minutes.update(minute % (7 * 24 * 60) for minute in range(start, start + length))
    if len(minutes) > 7 * 24 * 60 - 60:
        detail = "leave an hour of the week in which you may be told; channels that are off tell nothing at all"
        raise QuietHoursInvalid(errors=(FieldError("/quiet_hours", "no-hour-left", detail),))


def zone_of(name: str) -> ZoneInfo:
    """Return the time zone; UTC for one that this release does not know."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")
