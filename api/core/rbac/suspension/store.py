"""The SQL of suspensions."""

from datetime import datetime

from cluster.base.ids import OrgId, UserId
from cluster.data import Connection, Transaction

INSERT_SUSPENSION = """
INSERT INTO rbac.suspensions (org_id, user_id, created_at) VALUES ($org_id, $user_id, $now) ON CONFLICT DO NOTHING
"""


async def insert_suspension(tx: Transaction, org_id: OrgId, user_id: UserId | None) -> bool:
    """Let the grants of a member rest, None: of everybody; False: they rest already."""
    return await tx.run(INSERT_SUSPENSION, org_id=org_id, user_id=user_id) == 1


FIND_SUSPENDED_AT = "SELECT created_at FROM rbac.suspensions WHERE org_id = $org_id AND user_id = $user_id"


async def find_suspended_at(db: Connection, org_id: OrgId, user_id: UserId) -> datetime | None:
    return await db.value(FIND_SUSPENDED_AT, org_id=org_id, user_id=user_id)


DELETE_SUSPENSION = "DELETE FROM rbac.suspensions WHERE org_id = $org_id AND user_id IS NOT DISTINCT FROM $user_id"


async def delete_suspension(tx: Transaction, org_id: OrgId, user_id: UserId | None) -> bool:
    """Let the grants of a member count again, None: of everybody; False: they did not rest."""
    return await tx.run(DELETE_SUSPENSION, org_id=org_id, user_id=user_id) == 1
