"""What organization contributes: permissions, and a setting of its own."""

from typing import Annotated

from pydantic import Field

from cluster.events import Snapshots
from cluster.people.access import MemberSource, Permission
from cluster.people.calls import Answers
from cluster.people.org_settings import Setting, SettingSource

_STAFF = ("org_owner", "org_admin", "platform_admin")

INVITATION_DAYS = Setting(
    name="organization.invitation_days",
    title="How many days an invitation is valid when who invites does not say",
    type=Annotated[int, Field(ge=1, le=90)],
    default=7,
)

OFFERS = (
    Answers(Snapshots),
    Answers(MemberSource),
    Answers(SettingSource),
    INVITATION_DAYS,
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
