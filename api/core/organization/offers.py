"""What organization contributes: permissions, a letter, and settings of its own."""

from typing import Annotated

from pydantic import Field

from api.engagement.email.contract import LetterTemplate
from cluster.events import Snapshots
from cluster.people.access import MemberSource, Permission
from cluster.people.calls import Answers
from cluster.people.notices import AudienceSource
from cluster.people.org_settings import Setting, SettingSource

_STAFF = ("org_owner", "org_admin", "platform_admin")

INVITATION_DAYS = Setting(
    name="organization.invitation_days",
    title="How many days an invitation is valid when who invites does not say",
    type=Annotated[int, Field(ge=1, le=90)],
    default=7,
)

LANGUAGE = Setting(
    name="organization.language",
    title="The language of letters to people whose own language is not known",
    type=Annotated[str, Field(pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$", max_length=35, description="BCP 47")],
    default="en",
)

OFFERS = (
    Answers(Snapshots),
    Answers(MemberSource),
    Answers(AudienceSource),
    Answers(SettingSource),
    INVITATION_DAYS,
    LANGUAGE,
    LetterTemplate(
        name="organization.invitation",
        title="An invitation to the organization",
        lane="personal",
        fields=("organization", "url", "until"),
    ),
    Permission("organization:create", "Make an organization", roles=("signed_in",)),
    Permission("organization:read", "See the organization", roles=("member", *_STAFF)),
    Permission("organization:edit", "Change name and slug", roles=("org_owner", "org_admin")),
    Permission("organization:edit-platform", "Set and lock what organizations inherit", roles=("platform_admin",)),
    Permission("organization:transfer", "Hand the organization to another owner", roles=("org_owner",)),
    Permission("organization:suspend", "Suspend and resume organizations", roles=("platform_admin",)),
    Permission("member:read", "See who is a member", roles=("self", *_STAFF)),
    Permission("member:edit", "Change what the organization keeps of its members", roles=("org_owner", "org_admin")),
    Permission("member:remove", "Suspend and remove members", roles=("org_owner", "org_admin")),
    Permission("member:leave", "Leave the organization", roles=("self",)),
    Permission("invitation:accept", "Join an organization by its invitation", roles=("signed_in",)),
    Permission("invitation:manage", "Invite people", roles=("org_owner", "org_admin")),
)
