"""The present state of organizations and memberships, for projections that join late."""

from uuid import UUID

from api.core.organization.contract import MemberId, MemberUpdated, OrganizationUpdated
from cluster.base.ids import OrgId, UserId
from cluster.data import Connection
from cluster.events import snapshot

LIST_ORGANIZATION_STATES = """
SELECT id, state, version FROM organization.organizations WHERE id > $1 ORDER BY id LIMIT $2
"""
LIST_MEMBER_STATES = """
SELECT id, org_id, user_id, state, removed, version FROM organization.members WHERE id > $1 ORDER BY id LIMIT $2
"""


@snapshot(OrganizationUpdated)
async def list_organizations(db: Connection, after: UUID, limit: int) -> list[tuple[OrganizationUpdated, int]]:
    rows = await db.rows(LIST_ORGANIZATION_STATES, after, limit)
    return [(OrganizationUpdated(org_id=OrgId(row["id"]), state=row["state"]), row["version"]) for row in rows]


@snapshot(MemberUpdated)
async def list_members(db: Connection, after: UUID, limit: int) -> list[tuple[MemberUpdated, int]]:
    return [
        (
            MemberUpdated(
                member_id=MemberId(row["id"]),
                org_id=OrgId(row["org_id"]),
                user_id=UserId(row["user_id"]),
                state=row["state"],
                removed=row["removed"],
            ),
            row["version"],
        )
        for row in await db.rows(LIST_MEMBER_STATES, after, limit)
    ]
