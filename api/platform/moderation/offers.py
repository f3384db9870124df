"""What moderation contributes: who judges, who may see what, and what people are told."""

from api.platform.moderation.notices import NOTICES
from cluster.people.access import Permission, Role
from cluster.people.calls import Answers
from cluster.people.notices import NoticeSource

_ADMINS = ("org_owner", "org_admin", "platform_admin")
_JUDGES = (*_ADMINS, "moderator", "sealed_moderator")

OFFERS = (
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
    Permission("moderation-standing:read", "See where one stands", ("self",)),
    Permission("moderation-transparency:read", "See the numbers of reports and decisions", _JUDGES),
    Permission("appeal:read", "See an appeal", ("self", *_JUDGES)),
    Permission("appeal:hear", "Hear an appeal", _JUDGES),
)
