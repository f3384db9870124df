"""The SQL of held roles."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from cluster.base.ids import OrgId, UserId
from cluster.data import Connection
from cluster.people.access import ScopeKind


@dataclass(frozen=True, slots=True)
class HeldRole:
    """A grant with the permissions of its role; None for a built-in role."""

    role: str
    permissions: list[str] | None
    scope: ScopeKind
    scope_id: UUID | None
    org_id: OrgId | None
    expires_at: datetime | None


_HELD_ROLE = """SELECT g.role, r.permissions, g.scope, g.scope_id, g.org_id, g.expires_at
    FROM rbac.grants g LEFT JOIN rbac.roles r ON r.id = g.role_id
    WHERE g.user_id = $user_id AND g.ended_at IS NULL AND (g.expires_at IS NULL OR g.expires_at > now())
        AND """
_COUNTS = """NOT EXISTS (
        SELECT FROM rbac.suspensions s WHERE s.org_id = g.org_id AND (s.user_id IS NULL OR s.user_id = g.user_id))"""

LIST_HELD_ROLES = _HELD_ROLE + _COUNTS


async def list_held_roles(db: Connection, user_id: UserId) -> list[HeldRole]:
    """List the roles that count for a person now; complete, because access must never be cut short."""
    return await db.all(HeldRole, LIST_HELD_ROLES, user_id=user_id)


# Two statements in one, because with OR between them the planner, which knows most people to have few grants, reads all of a
# person's grants and sorts them out then.
LIST_HELD_ROLES_ON = (
    _HELD_ROLE
    + "g.scope = 'platform' AND g.scope_id IS NULL UNION ALL "
    + _HELD_ROLE
    + "g.scope_id = ANY($places::uuid[]) AND "
    + _COUNTS
)


async def list_held_roles_on(db: Connection, user_id: UserId, places: list[UUID]) -> list[HeldRole]:
    """List the roles that count for a person now on the platform and on these places, reading no other grants."""
    return await db.all(HeldRole, LIST_HELD_ROLES_ON, user_id=user_id, places=places)


LIST_HELD_ROLES_AT = _HELD_ROLE + "g.scope = $scope AND g.scope_id = $scope_id"


async def list_held_roles_at(db: Connection, user_id: UserId, scope: ScopeKind, scope_id: UUID) -> list[HeldRole]:
    """List the roles that a person was granted at a place itself, also those that rest."""
    return await db.all(HeldRole, LIST_HELD_ROLES_AT, user_id=user_id, scope=scope, scope_id=scope_id)
