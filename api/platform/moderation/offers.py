"""What moderation contributes: who judges, who may see what, and what people are told."""

from typing import Annotated

from pydantic import Field

from api.platform.moderation.notices import NOTICES
from cluster.people.access import Permission, Role
from cluster.people.calls import Answers
from cluster.people.notices import NoticeSource
from cluster.people.org_settings import Setting

_ADMINS = ("org_owner", "org_admin", "platform_admin")
_JUDGES = (*_ADMINS, "moderator", "sealed_moderator")

EXPOSURE_POINTS = Setting(
    name="moderation.exposure_points",
    title="How many points of cases who judges is shown in a day: severity 2 counts 1, 3 counts 3, 4 counts 6, 5 counts 10",
    type=Annotated[int, Field(ge=0, le=10_000)],
    default=150,
)
BREAK_AFTER_MINUTES = Setting(
    name="moderation.break_after_minutes",
    title="After how many minutes without a pause somebody who judges is asked to take a break",
    type=Annotated[int, Field(ge=10, le=240)],
    default=50,
)

OFFERS = (
    EXPOSURE_POINTS,
    BREAK_AFTER_MINUTES,
    Answers(NoticeSource),
    *NOTICES,
    Role("moderator", "Moderator: judges what is reported in an organization", "organization"),
    Role(
        "sealed_moderator",
        "Moderator of sealed cases: judges reports of crimes and of danger to life too",
        "organization",
    ),
    Permission(
        "moderation-case:read-sealed",
        "See what names a crime or danger to life",
        ("org_owner", "platform_admin", "sealed_moderator"),
    ),
    Permission("moderation-clause:read", "See what is not allowed", ("signed_in",)),
    Permission("moderation-clause:edit", "Write what is not allowed", _ADMINS),
    Permission("moderation-rule:read", "See what texts are screened for", _JUDGES),
    Permission("moderation-rule:edit", "Choose what texts are screened for", _ADMINS),
    Permission("moderation-report:create", "Report a thing", ("self",)),
    Permission("moderation-report:read", "See a report", ("self",)),
    Permission("moderation-case:read", "See what was reported", _JUDGES),
    Permission("moderation-case:judge", "Judge what was reported", _JUDGES),
    Permission("moderation-decision:read", "See a decision and its reasons", ("self", *_JUDGES)),
    Permission("moderation-exposure:read", "See how much one was shown today", ("self",)),
    Permission("moderation-standing:read", "See where one stands", ("self",)),
    Permission("moderation-transparency:read", "See the numbers of reports and decisions", _JUDGES),
    Permission("appeal:read", "See an appeal", ("self", *_JUDGES)),
    Permission("appeal:hear", "Hear an appeal", _JUDGES),
)
