"""The SQL of an organization's own roles."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from api.core.rbac.contract import RoleId
from cluster.base.ids import OrgId
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomRole:
    id: RoleId
    org_id: OrgId
    name: str
    title: str
    permissions: list[str]
    version: int
    created_at: datetime
    updated_at: datetime


_ROLE = "id, org_id, name, title, permissions, version, created_at, updated_at"

FIND_ROLE = "SELECT " + _ROLE + " FROM rbac.roles WHERE id = $role_id AND deleted_at IS NULL"


async def find_role(db: Connection, role_id: RoleId) -> Guarded[CustomRole] | None:
    role = await db.maybe(CustomRole, FIND_ROLE, role_id=role_id)
    return None if role is None else Guarded(role, org_id=role.org_id)


FIND_ROLE_OF = FIND_ROLE + " AND org_id = $org_id"


async def find_role_of(db: Connection, org_id: OrgId, role_id: RoleId) -> CustomRole | None:
    """Find a role if it is this organization's own."""
    return await db.maybe(CustomRole, FIND_ROLE_OF, org_id=org_id, role_id=role_id)


LOCK_ROLE = FIND_ROLE + " FOR UPDATE"


async def lock_role(tx: Transaction, role_id: RoleId) -> CustomRole | None:
    return await tx.maybe(CustomRole, LOCK_ROLE, role_id=role_id)


# Shared: many may grant a role at once, but not while it is deleted.
LOCK_ROLE_SHARED = "SELECT id FROM rbac.roles WHERE id = $role_id AND deleted_at IS NULL FOR SHARE"


async def lock_role_shared(tx: Transaction, role_id: RoleId) -> bool:
    """Protect a role from deletion until the transaction ends; False when it is deleted."""
    return await tx.value(LOCK_ROLE_SHARED, role_id=role_id) is not None


LIST_ROLES = (
    "SELECT "
    + _ROLE
    + """ FROM rbac.roles
    WHERE org_id = $org_id AND deleted_at IS NULL AND ($ids::uuid[] IS NULL OR id = ANY($ids))
        AND ($after::text IS NULL OR name > $after)
    ORDER BY name LIMIT $limit"""
)


async def list_roles(
    db: Connection, org_id: OrgId, *, ids: list[RoleId] | None, after: str | None, limit: int
) -> list[CustomRole]:
    """List an organization's own roles in the order of their names."""
    return await db.all(CustomRole, LIST_ROLES, org_id=org_id, ids=ids, after=after, limit=limit)


# Concurrent transactions may exceed the limit by one or two: it bounds a page, nothing else depends on it.
INSERT_ROLE = (
    """INSERT INTO rbac.roles (id, org_id, name, title, permissions, created_at, updated_at)
    SELECT $role_id, $org_id, $name, $title, $permissions, $now, $now
    WHERE (SELECT count(*) FROM rbac.roles WHERE org_id = $org_id AND deleted_at IS NULL) < $max_roles
    RETURNING """
    + _ROLE
)


async def insert_role(
    tx: Transaction,
    role_id: RoleId,
    org_id: OrgId,
    *,
    name: str,
    title: str,
    permissions: Sequence[str],
    max_roles: int,
) -> CustomRole | None:
    """Insert a role; None when the organization has `max_roles` already.

    Raises:
        asyncpg.UniqueViolationError: the organization has a role of this name.
    """
    return await tx.maybe(
        CustomRole,
        INSERT_ROLE,
        role_id=role_id,
        org_id=org_id,
        name=name,
        title=title,
        permissions=permissions,
        max_roles=max_roles,
    )


UPDATE_ROLE = (
    """UPDATE rbac.roles SET title = $title, permissions = $permissions, version = version + 1, updated_at = $now
    WHERE id = $id
    RETURNING """
    + _ROLE
)


async def update_role(tx: Transaction, role: CustomRole) -> CustomRole:
    """Store title and permissions of a role, and return it with its new version."""
    return await tx.one(CustomRole, UPDATE_ROLE, role)


DELETE_ROLE = """
UPDATE rbac.roles SET deleted_at = $now, version = version + 1
WHERE id = $role_id AND NOT EXISTS (SELECT FROM rbac.grants WHERE role_id = $role_id AND ended_at IS NULL)
RETURNING version
"""


async def delete_role(tx: Transaction, role_id: RoleId) -> int | None:
    """Delete a role without grants and return its last version; None when it has grants."""
    return await tx.value(DELETE_ROLE, role_id=role_id)
