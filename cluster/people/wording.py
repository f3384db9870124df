"""Texts of services in the languages of their readers: `words/<locale>.toml` in a service's folder, one for "en" at least.

    ["course.enrolled"]
    title = "You are enrolled in {course}"
    body = "It begins on {starts_at:date_time}."

    ["guest_book.entries"]
    title = { one = "{count} new entry", other = "{count} new entries" }

Times are in the reader's zone and the form of their locale (`date`, `time`, `date_time`), numbers too. Of a table the plural
form of the field `count` is taken (CLDR's categories). What a file lacks comes from the next one: `de-AT`, `de`, `en`.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache, lru_cache
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING, Any
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cluster.base.ids import OrgId
from cluster.base.services import table
from cluster.base.settings import REPOSITORY
from cluster.people.notices import NoticeText, Reader

if TYPE_CHECKING:
    from babel import Locale

DEFAULT_LOCALE = "en"


def fallbacks(locale: str) -> list[str]:
    """Return the locales to look for, the best first: `de-AT`, `de`, `en`. Source: RFC 4647, section 3.4."""
    parts = locale.split("-")
    found = ["-".join(parts[:count]) for count in range(len(parts), 0, -1)]
    return found if DEFAULT_LOCALE in found else [*found, DEFAULT_LOCALE]


@cache
def words_of(service: str) -> Mapping[str, Mapping[str, Any]]:
    """Return the texts of a service by locale."""
    folder: Path = REPOSITORY / table()[service].package.replace(".", "/") / "words"
    return {path.stem: tomllib.loads(path.read_text()) for path in sorted(folder.glob("*.toml"))}


def say(service: str, key: str, part: str, reader: Reader, **fields: object) -> str:
    """Return a text in the reader's language, with these fields.

    Raises:
        LookupError: there is no such text, or it names a field that is not given.
    """
    found = find(service, key, part, reader, **fields)
    if found is None:
        raise LookupError(f"{key}.{part} is in no file of {service}'s words")
    return found


def find(service: str, key: str, part: str, reader: Reader, **fields: object) -> str | None:
    """Return a text as `say` does; None when there is none."""
    words = words_of(service)
    for name in fallbacks(reader.locale):
        pattern = words.get(name, {}).get(key, {}).get(part)
        if pattern is not None:
            same_language = reader.locale.partition("-")[0] == name.partition("-")[0]
            locale = reader.locale if same_language else name
            if isinstance(pattern, dict):
                pattern = _plural(pattern, locale, fields["count"])
            return _Fields(locale, reader.time_zone).vformat(pattern, (), fields)
    return None


def worded(
    service: str,
    key: str,
    readers: Sequence[Reader],
    *,
    url: str,
    org_id: OrgId | None = None,
    course_id: UUID | None = None,
    **fields: object,
) -> list[NoticeText]:
    """Return the `title` and the `body` of a text for these readers, each in their language."""
    said: dict[tuple[str, str], tuple[str, str]] = {}
    for each in readers:
        way = (each.locale, each.time_zone)
        if way not in said:
            title = say(service, key, "title", each, **fields)
            said[way] = title, find(service, key, "body", each, **fields) or ""
    return [
        NoticeText(user_id=each.user_id, title=title, body=body, url=url, org_id=org_id, course_id=course_id)
        for each in readers
        for title, body in (said[each.locale, each.time_zone],)
    ]


def patterns(words: Mapping[str, Any], *path: str) -> Iterator[tuple[tuple[str, ...], frozenset[str]]]:
    """Yield each text of a file: where it stands, plural forms as one, and the fields that it names."""
    for name, value in words.items():
        if isinstance(value, str):
            yield (*path, name), _names(value)
        elif "other" in value:
            yield (*path, name), frozenset[str]().union(*map(_names, value.values()))
        else:
            yield from patterns(value, *path, name)


def _names(pattern: str) -> frozenset[str]:
    return frozenset(name for _, name, _, _ in Formatter().parse(pattern) if name is not None)


def _plural(forms: Mapping[str, str], locale: str, count: object) -> str:
    assert isinstance(count, int), "a plural counts something"
    return forms.get(_locale(locale).plural_form(count), forms["other"])


class _Fields(Formatter):
    """Writes times and numbers as the reader does."""

    def __init__(self, locale: str, time_zone: str) -> None:
        self._locale = locale
        self._zone = _zone(time_zone)

    def format_field(self, value: Any, format_spec: str) -> str:
        from babel import dates, numbers

        locale = _locale(self._locale)
        if isinstance(value, datetime):
            local = value.astimezone(self._zone)
            day = dates.format_date(local, "long", locale)
            hour = f"{dates.format_time(local, 'short', locale=locale)} {local:%Z}"
            return {"date": day, "time": hour, "date_time": f"{day}, {hour}"}[format_spec]
        if isinstance(value, int):
            return numbers.format_decimal(value, locale=locale)
        return str(value)


@lru_cache(maxsize=256)
def _locale(name: str) -> "Locale":
    """Return the forms of a locale; those of its language, or English ones, when it is unknown."""
    from babel import Locale, UnknownLocaleError

    for each in fallbacks(name):
        try:
            return Locale.parse(each, sep="-")
        except (UnknownLocaleError, ValueError):
            continue
    raise AssertionError("English is known")


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")
