"""What rbac contributes: the roles of an organization's administration, and the permissions about roles and grants."""

from api.core.rbac.contract import GrantCreated
from cluster.people.access import GrantSource, Permission, Role
from cluster.people.calls import Answers
from cluster.people.notices import AudienceSource, Notice, NoticeSource

OFFERS = (
    Answers(GrantSource),
    Answers(AudienceSource),
    Answers(NoticeSource),
    Notice(name="rbac.role_given", title="You got a role", event=GrantCreated, category="account"),
    Role("platform_admin", "Platform administrator", scope="platform"),
    Role("org_owner", "Owner", scope="organization"),
    Role("org_admin", "Administrator", scope="organization"),
    Permission("grant:read", "See who has which role", roles=("self", "org_owner", "org_admin", "platform_admin")),
    Permission("grant:manage", "Give and take roles", roles=("org_owner", "org_admin", "platform_admin")),
    Permission("grant:any", "Give and take roles beyond one's own rights", roles=("platform_admin",)),
    Permission("role:read", "See the roles", roles=("member", "org_owner", "org_admin", "platform_admin")),
    Permission("role:manage", "Make and change roles", roles=("org_owner", "org_admin")),
)
