"""Offers of auth: permissions about one's own sessions and credentials."""

from api.core.auth.contract import SessionOnNewDevice
from api.engagement.email.contract import LetterTemplate
from cluster.people.access import AddressSource, Permission
from cluster.people.calls import Answers
from cluster.people.notices import Notice, NoticeSource

OFFERS = (
    Answers(AddressSource),
    LetterTemplate(name="auth.verify", title="Confirm an e-mail address", lane="security", fields=("url",)),
    LetterTemplate(name="auth.reset", title="Choose a new password", lane="security", fields=("url",)),
    Answers(NoticeSource),
    Notice(
        name="session.new_device",
        title="Somebody signed in to your account on a new device",
        event=SessionOnNewDevice,
        category="security",
        severity="security",
    ),
    Permission("session:read", "See where one is signed in", roles=("self",)),
    Permission("session:end", "Sign out anywhere", roles=("self",)),
    Permission("identity:read", "See what one signs in with", roles=("self",)),
    Permission("identity:edit", "Change what one signs in with", roles=("self",)),
)
