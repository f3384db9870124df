"""Decisions of organization that need no database: names, slugs, and how many organizations a person may found."""

import re

from api.core.organization.contract import TooManyFoundings
from cluster.base.problems import FieldError, Invalid

_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
"""A label of a host name (RFC 1123, section 2.1), so that it may become one."""

MAX_FOUNDED_PER_DAY = 10

_HIDDEN = r"\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
"""Control characters, line breaks, and characters that turn the direction of writing or show nothing: a name must look as it is."""
SHOWN_LINE = rf"^[^{_HIDDEN}]*[^\s\u200c\u200d\u115f\u1160\u2800\u3164\uffa0{_HIDDEN}][^{_HIDDEN}]*$"
"""One line with at least one visible character."""

RESERVED_SLUGS = frozenset(
    {"admin", "api", "app", "assets", "auth", "blog", "catalog", "docs", "help", "hub", "login", "mail", "me", "new"}
    | {
        "organization",
        "organizations",
        "platform",
        "settings",
        "signup",
        "static",
        "status",
        "support",
        "system",
        "www",
    }
)
"""Slugs that a path or a host of the platform itself may need."""


def check_slug(slug: str) -> None:
    """Check that an organization may have this slug.

    Raises:
        Invalid
    """
    if not 2 <= len(slug) <= 63 or _SLUG.fullmatch(slug) is None or "--" in slug:
        detail = (
            "2 to 63 lower-case letters a-z, digits and single hyphens, beginning and ending with a letter or digit"
        )
        raise Invalid("choose another slug", errors=(FieldError("/slug", "slug-invalid", detail),))
    if slug in RESERVED_SLUGS:
        detail = f"{slug} is a name of the platform itself; choose another"
        raise Invalid("choose another slug", errors=(FieldError("/slug", "slug-reserved", detail),))


def check_founded(count: int) -> None:
    """Check that a person who founded `count` organizations within a day may found another.

    Raises:
        TooManyFoundings
    """
    if count >= MAX_FOUNDED_PER_DAY:
        raise TooManyFoundings(
            f"a person may make {MAX_FOUNDED_PER_DAY} organizations within 24 hours: make the next one later",
            retry_after_s=24 * 3600,
        )
