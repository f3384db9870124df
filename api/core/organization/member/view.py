"""How memberships are answered, by their routes and by those of invitations."""

from datetime import datetime

from api.core.organization.contract import MemberId, MemberState
from api.core.organization.member import logic
from cluster.base.ids import UserId
from cluster.http import Answer, OrganizationId, View


class MemberView(View):
    id: MemberId
    organization_id: OrganizationId
    user_id: UserId
    display_name: str | None
    external_id: str | None
    email: str | None
    state: MemberState
    joined_at: datetime
    left_at: datetime | None


MEMBER = Answer(get=logic.get_member, view=MemberView, etag="version")
