"""Decide which names, languages and time zones a profile may have, and when a broken sign-up may be taken over."""

import unicodedata
import zoneinfo
from datetime import datetime, timedelta
from functools import cache

from cluster.base.problems import FieldError, Invalid

AVATAR_PURPOSE = "avatar"
"""The purpose of uploads that profiles show."""
MODERATED_KIND = "user"
MODERATED_FIELDS = ("name", "pronouns")
"""What others read in a profile."""
NAME_REMOVED = "(name removed)"
MAX_SIGN_UP_DURATION = timedelta(seconds=10)
"""All calls of a sign-up together take less: a sign-up that is not finished by then has broken off."""
_JOINERS = frozenset("\u200c\u200d")
"""Invisible characters that names in Persian and in several Indian scripts contain."""

_BLANK = _JOINERS | frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Joiners, and blank letters: a name of them alone shows nothing."""


def clean_name(text: str) -> str:
    """Return the name as it is stored: composed, without spaces around it.

    Raises:
        Invalid
    """
    name = unicodedata.normalize("NFC", text).strip()
    if all(character.isspace() or character in _BLANK for character in name):
        raise Invalid(errors=(FieldError("/name", "name-empty", "write the name that others shall see"),))
    if any(
        unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") and character not in _JOINERS
        for character in name
    ):
        detail = "remove line breaks, control characters and marks that turn the direction of writing"
        raise Invalid(errors=(FieldError("/name", "name-has-control-characters", detail),))
    return name


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def check_time_zone(name: str) -> None:
    """Check that this is the name of a time zone.

    Raises:
        Invalid
    """
    if name not in _time_zones():
        detail = "use a name of the IANA time zone database, like Europe/Berlin"
        raise Invalid(errors=(FieldError("/time_zone", "time-zone-unknown", detail),))


def has_broken_off(started_at: datetime, now: datetime) -> bool:
    """Tell whether a sign-up that is not finished never will be."""
    return now - started_at > MAX_SIGN_UP_DURATION
