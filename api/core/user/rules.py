"""Decide which names, languages and time zones a profile may have, and when a broken sign-up may be taken over."""

import unicodedata
import zoneinfo
from datetime import datetime, timedelta
from functools import cache

from cluster.base.problems import FieldError, Invalid

SIGN_UP_LASTS = timedelta(seconds=10)
"""Longer than all calls of a sign-up may take together: one that is not finished by then has broken off."""
_JOINERS = frozenset("\u200c\u200d")
"""Invisible, and part of how names are written in Persian and in several Indian scripts."""

_SHOW_NOTHING = _JOINERS | frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Joiners alone, and letters that fill a place and are blank: who is called so looks like nobody."""


def clean_name(text: str) -> str:
    """Return a name as it is kept: composed, without spaces around it.

    Raises:
        Invalid
    """
    name = unicodedata.normalize("NFC", text).strip()
    if all(character.isspace() or character in _SHOW_NOTHING for character in name):
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
    """Return when this is a time zone.

    Raises:
        Invalid
    """
    if name not in _time_zones():
        detail = "use a name of the IANA time zone database, like Europe/Berlin"
        raise Invalid(errors=(FieldError("/time_zone", "time-zone-unknown", detail),))


def has_broken_off(started_at: datetime, now: datetime) -> bool:
    return now - started_at > SIGN_UP_LASTS
