"""The present state of organizations and their members as events, for listeners that join late."""

from uuid import UUID

from api.core.organization.contract import MemberId, MemberUpdated, OrganizationUpdated
from cluster.base.ids import OrgId, UserId
from cluster.data import Connection
from cluster.events import Snapshot, envelope_of

MEMBERS = """
SELECT m.id, m.org_id, m.user_id, m.state, m.removed, m.version, o.state AS org_state, o.version AS org_version
FROM organization.members m JOIN organization.organizations o ON o.id = m.org_id
WHERE $1::uuid IS NULL OR m.id > $1 ORDER BY m.id LIMIT $2
"""


async def snapshot(db: Connection, after: UUID | None, limit: int) -> Snapshot:
    """Return one page of members by id, each organization of them first. Every organization has a member: its founder."""
    members = await db.rows(MEMBERS, after, limit)
    organizations = {
        row["org_id"]: envelope_of(
            OrganizationUpdated(org_id=OrgId(row["org_id"]), state=row["org_state"]), version=row["org_version"]
        )
        for row in members
    }
    told = [
        envelope_of(
            MemberUpdated(
                member_id=MemberId(row["id"]),
                org_id=OrgId(row["org_id"]),
                user_id=UserId(row["user_id"]),
                state=row["state"],
                removed=row["removed"],
            ),
            version=row["version"],
        )
        for row in members
    ]
    return Snapshot([*organizations.values(), *told], members[-1]["id"] if len(members) == limit else None)
