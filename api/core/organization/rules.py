"""Decide what counts: slugs, invitations, memberships."""

import re
from datetime import datetime

from api.core.organization.contract import InvitationOver, TooManyFoundings
from api.core.organization.store import Invitation
from cluster.base.problems import FieldError, Invalid

_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
"""A label of a host name (RFC 1123, section 2.1), so that it may become one."""

MAX_FOUNDED_PER_DAY = 10

_HIDDEN = r"\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
"""Control characters, line breaks, and what turns the direction of writing or shows nothing: a name must look like what it is."""
SHOWN_LINE = rf"^[^{_HIDDEN}]*[^\s\u200c\u200d\u115f\u1160\u2800\u3164\uffa0{_HIDDEN}][^{_HIDDEN}]*$"
"""One line in which something shows."""

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
"""Names that a path or a host of the platform itself may need."""


def check_slug(slug: str) -> None:
    """Return when an organization may be called so.

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
    """Return when somebody who founded so many organizations within a day may found another.

    Raises:
        TooManyFoundings
    """
    if count >= MAX_FOUNDED_PER_DAY:
        raise TooManyFoundings(
            f"a person may make {MAX_FOUNDED_PER_DAY} organizations within 24 hours: make the next one later",
            retry_after_s=24 * 3600,
        )


def check_counts(invitation: Invitation, now: datetime) -> None:
    """Return when the invitation still leads somewhere.

    Raises:
        InvitationOver
    """
    if invitation.revoked_at is not None:
        raise InvitationOver("it was withdrawn; ask for a new one")
    if invitation.expires_at <= now:
        raise InvitationOver("it has expired; ask for a new one")
    if invitation.uses >= invitation.max_uses:
        raise InvitationOver("it was used as often as it may; ask for a new one")
