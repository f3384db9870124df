"""One function per statement on the schema rbac."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from api.core.rbac.contract import GrantId, RoleId, RoleNameTaken
from cluster.base.ids import OrgId, UserId
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded, Reach, ScopeKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    id: GrantId
    user_id: UserId
    role: str
    role_id: RoleId | None
    scope: ScopeKind
    scope_id: UUID | None
    org_id: OrgId | None
    expires_at: datetime | None
    granted_by: UserId | None
    version: int
    created_at: datetime
    ended_at: datetime | None


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


@dataclass(frozen=True, slots=True)
class HeldRole:
    """A grant as access wants it: `permissions` is None for a built-in role."""

    role: str
    permissions: list[str] | None
    scope: ScopeKind
    scope_id: UUID | None
    org_id: OrgId | None
    expires_at: datetime | None


HELD_ROLES = """
SELECT g.role, r.permissions, g.scope, g.scope_id, g.org_id, g.expires_at
FROM rbac.grants g LEFT JOIN rbac.roles r ON r.id = g.role_id
WHERE g.user_id = $1 AND g.ended_at IS NULL AND (g.expires_at IS NULL OR g.expires_at > now())
    AND NOT EXISTS (
        SELECT FROM rbac.suspensions s WHERE s.org_id = g.org_id AND (s.user_id IS NULL OR s.user_id = g.user_id))
"""


async def list_held_roles(db: Connection, user_id: UserId) -> list[HeldRole]:
    """Return all that counts for a person now; complete, because access must never be cut short."""
    return await db.all(HeldRole, HELD_ROLES, user_id)


ROLES_IN = """
SELECT g.role, r.permissions, g.scope, g.scope_id, g.org_id, g.expires_at
FROM rbac.grants g LEFT JOIN rbac.roles r ON r.id = g.role_id
WHERE g.user_id = $1 AND g.scope = $2 AND g.scope_id = $3 AND g.ended_at IS NULL
    AND (g.expires_at IS NULL OR g.expires_at > now())
"""


async def list_roles_in(db: Connection, user_id: UserId, scope: ScopeKind, scope_id: UUID) -> list[HeldRole]:
    """Return what a person has at a place itself, resting grants too."""
    return await db.all(HeldRole, ROLES_IN, user_id, scope, scope_id)


FIND_GRANT = """
SELECT id, user_id, role, role_id, scope, scope_id, org_id, expires_at, granted_by, version, created_at, ended_at
FROM rbac.grants WHERE id = $1
"""


async def find_grant(db: Connection, grant_id: GrantId) -> Guarded[Grant] | None:
    grant = await db.maybe(Grant, FIND_GRANT, grant_id)
    return None if grant is None else _guard(grant)


def _guard(grant: Grant) -> Guarded[Grant]:
    return Guarded(
        grant,
        org_id=grant.org_id,
        course_id=grant.scope_id if grant.scope == "course" else None,
        run_id=grant.scope_id if grant.scope == "run" else None,
        owner_id=grant.user_id,
        see="grant:read",
    )


LIST_GRANTS = """
SELECT id, user_id, role, role_id, scope, scope_id, org_id, expires_at, granted_by, version, created_at, ended_at
FROM rbac.grants
WHERE ended_at IS NULL
    AND ($1 OR org_id = ANY($2::uuid[]) OR user_id = $3
        OR (scope = 'course' AND scope_id = ANY($4::uuid[])) OR (scope = 'run' AND scope_id = ANY($5::uuid[])))
    AND ($6::uuid IS NULL OR org_id = $6) AND ($7::uuid IS NULL OR user_id = $7)
    AND ($8::text IS NULL OR scope = $8) AND ($9::uuid IS NULL OR scope_id = $9)
    AND ($10::text IS NULL OR role = $10 OR role_id::text = $10)
    AND ($11::uuid[] IS NULL OR id = ANY($11)) AND ($12::uuid IS NULL OR id < $12)
ORDER BY id DESC LIMIT $13
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantFilter:
    org_id: UUID | None = None
    user_id: UUID | None = None
    scope: str | None = None
    scope_id: UUID | None = None
    role: str | None = None
    ids: list[UUID] | None = None


async def list_grants(db: Connection, reach: Reach, wanted: GrantFilter, after: UUID | None, limit: int) -> list[Grant]:
    return await db.all(
        Grant,
        LIST_GRANTS,
        reach.everywhere,
        reach.org_ids,
        reach.own,
        reach.course_ids,
        reach.run_ids,
        wanted.org_id,
        wanted.user_id,
        wanted.scope,
        wanted.scope_id,
        wanted.role,
        wanted.ids,
        after,
        limit,
    )


# The update that changes nothing returns the row that stands there; `created` tells which of both it was. A grant whose time is
# over, though nobody has ended it yet, holds nothing any more: its end moves even where ($11) a standing grant keeps its own.
INSERT_GRANT = """
INSERT INTO rbac.grants AS g (id, user_id, role, role_id, scope, scope_id, org_id, expires_at, granted_by, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (user_id, scope, scope_id, role, role_id) WHERE ended_at IS NULL DO UPDATE
SET expires_at = CASE WHEN $11 OR g.expires_at <= $10 THEN excluded.expires_at ELSE g.expires_at END,
    version = g.version
        + (($11 OR coalesce(g.expires_at <= $10, false)) AND g.expires_at IS DISTINCT FROM excluded.expires_at)::int
RETURNING id, user_id, role, role_id, scope, scope_id, org_id, expires_at, granted_by, version, created_at, ended_at,
    old.id IS NULL AS created, old.id IS NOT NULL AND old.expires_at IS DISTINCT FROM new.expires_at AS extended
"""


async def insert_grant(
    tx: Transaction,
    id: GrantId,
    user_id: UserId,
    *,
    role: str,
    role_id: RoleId | None,
    scope: ScopeKind,
    scope_id: UUID | None,
    org_id: OrgId | None,
    expires_at: datetime | None,
    granted_by: UserId | None,
    extends: bool,
) -> tuple[Grant, bool, bool]:
    """Make a grant, or with `extends` move the end of the one that stands; return it, whether it is new, whether its end moved."""
    rows = await tx.rows(
        INSERT_GRANT, id, user_id, role, role_id, scope, scope_id, org_id, expires_at, granted_by, tx.now, extends
    )
    row = dict(rows[0])
    created, extended = row.pop("created"), row.pop("extended")
    return Grant(**row), created, extended


END_GRANTS = """
UPDATE rbac.grants SET ended_at = $2, version = version + 1 WHERE id = ANY($1::uuid[]) AND ended_at IS NULL
RETURNING id, user_id, role, role_id, scope, scope_id, org_id, expires_at, granted_by, version, created_at, ended_at
"""


async def end_grants(tx: Transaction, ids: Sequence[UUID]) -> list[Grant]:
    return await tx.all(Grant, END_GRANTS, ids, tx.now)


LOCK_GRANTS_IN_ORGANIZATION = """
SELECT id FROM rbac.grants WHERE org_id = $1 AND ($2::uuid IS NULL OR user_id = $2) AND ended_at IS NULL
ORDER BY id LIMIT 10000 FOR UPDATE
"""


async def lock_grants_in(tx: Transaction, org_id: OrgId, user_id: UserId | None) -> list[UUID]:
    return [row["id"] for row in await tx.rows(LOCK_GRANTS_IN_ORGANIZATION, org_id, user_id)]


GRANTS_OF = """
SELECT id, user_id, role, role_id, scope, scope_id, org_id, expires_at, granted_by, version, created_at, ended_at
FROM rbac.grants WHERE user_id = $1 AND ($2::uuid IS NULL OR org_id = $2) AND ended_at IS NULL ORDER BY org_id, id LIMIT 10000
"""


async def list_grants_of(db: Connection, user_id: UserId, org_id: OrgId | None) -> list[Grant]:
    return await db.all(Grant, GRANTS_OF, user_id, org_id)


OWNED_ALONE = """
SELECT org_id FROM rbac.grants g WHERE user_id = $1 AND role = 'org_owner' AND ended_at IS NULL AND NOT EXISTS (
    SELECT FROM rbac.grants other
    WHERE other.org_id = g.org_id AND other.role = 'org_owner' AND other.ended_at IS NULL AND other.user_id <> $1
        AND NOT EXISTS (SELECT FROM rbac.suspensions s WHERE s.org_id = other.org_id AND s.user_id = other.user_id))
ORDER BY org_id LIMIT 1000
"""


async def list_owned_alone(db: Connection, user_id: UserId) -> list[OrgId]:
    """List the organizations that would have no owner without this person."""
    return [row["org_id"] for row in await db.rows(OWNED_ALONE, user_id)]


FIND_GRANT_OF = """
SELECT id, user_id, role, role_id, scope, scope_id, org_id, expires_at, granted_by, version, created_at, ended_at
FROM rbac.grants
WHERE user_id = $1 AND scope = $2 AND scope_id IS NOT DISTINCT FROM $3 AND ended_at IS NULL
    AND (role = $4 AND role_id IS NULL OR role_id::text = $4)
"""


async def find_grant_of(
    tx: Transaction, user_id: UserId, role: str, scope: ScopeKind, scope_id: UUID | None
) -> Grant | None:
    return await tx.maybe(Grant, FIND_GRANT_OF, user_id, scope, scope_id, role)


# Everybody who takes an owner away or hands ownership on waits here for who came before, and only then looks who owns: of two
# owners who remove each other one no longer sees the other, and who has just been made the owner is seen. Locking the rows alone
# would not do: a statement that waits for a row sees that row anew, but none that came meanwhile.
LOCK_OWNERS = """
SELECT user_id FROM rbac.grants g
WHERE org_id = $1 AND role = 'org_owner' AND ended_at IS NULL
    AND NOT EXISTS (SELECT FROM rbac.suspensions s WHERE s.org_id = g.org_id AND s.user_id = g.user_id)
ORDER BY id FOR UPDATE
"""


async def lock_owners(tx: Transaction, org_id: OrgId) -> list[UserId]:
    """Return the owners that are not suspended, who stay these until the transaction ends."""
    await tx.take_turns("rbac.owners", org_id)
    return [row["user_id"] for row in await tx.rows(LOCK_OWNERS, org_id)]


EXPIRED_GRANTS = """
SELECT id FROM rbac.grants WHERE ended_at IS NULL AND expires_at <= $1 ORDER BY expires_at LIMIT $2
FOR UPDATE SKIP LOCKED
"""


async def lock_expired_grants(tx: Transaction, limit: int) -> list[UUID]:
    return [row["id"] for row in await tx.rows(EXPIRED_GRANTS, tx.now, limit)]


FIND_PLACE = "SELECT org_id FROM rbac.places WHERE scope = $1 AND scope_id = $2"


async def find_place(db: Connection, scope: ScopeKind, scope_id: UUID) -> OrgId | None:
    return await db.value(FIND_PLACE, scope, scope_id)


INSERT_PLACE = """
INSERT INTO rbac.places (scope, scope_id, org_id) VALUES ($1, $2, $3)
ON CONFLICT (scope, scope_id) DO UPDATE SET org_id = excluded.org_id WHERE places.org_id <> excluded.org_id
"""


async def insert_place(tx: Transaction, scope: ScopeKind, scope_id: UUID, org_id: OrgId) -> None:
    await tx.run(INSERT_PLACE, scope, scope_id, org_id)


LIST_UNCONFIRMED = """
SELECT scope_id FROM rbac.places
WHERE scope = 'course' AND confirmed_at IS NULL AND created_at < $1 AND ($2::uuid IS NULL OR scope_id > $2)
ORDER BY scope_id LIMIT $3
"""


async def list_unconfirmed(db: Connection, before: datetime, after: UUID | None, limit: int) -> list[UUID]:
    """List courses that were named before a time and were not found to exist yet."""
    return [row["scope_id"] for row in await db.rows(LIST_UNCONFIRMED, before, after, limit)]


UPDATE_CONFIRMED = "UPDATE rbac.places SET confirmed_at = $2 WHERE scope = 'course' AND scope_id = ANY($1::uuid[])"


async def update_confirmed(tx: Transaction, course_ids: Sequence[UUID]) -> None:
    await tx.run(UPDATE_CONFIRMED, course_ids, tx.now)


DELETE_UNCONFIRMED = """
DELETE FROM rbac.places WHERE scope = 'course' AND scope_id = ANY($1::uuid[]) AND confirmed_at IS NULL
"""


async def delete_unconfirmed(tx: Transaction, course_ids: Sequence[UUID]) -> None:
    await tx.run(DELETE_UNCONFIRMED, course_ids)


LOCK_GRANTS_ON_COURSES = """
SELECT id FROM rbac.grants WHERE scope = 'course' AND scope_id = ANY($1::uuid[]) AND ended_at IS NULL
ORDER BY id LIMIT 10000 FOR UPDATE
"""


async def lock_grants_on(tx: Transaction, course_ids: Sequence[UUID]) -> list[UUID]:
    return [row["id"] for row in await tx.rows(LOCK_GRANTS_ON_COURSES, course_ids)]


INSERT_SUSPENSION = """
INSERT INTO rbac.suspensions (org_id, user_id, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING
"""


async def insert_suspension(tx: Transaction, org_id: OrgId, user_id: UserId | None) -> bool:
    return await tx.run(INSERT_SUSPENSION, org_id, user_id, tx.now) == 1


IS_SUSPENDED = "SELECT EXISTS (SELECT FROM rbac.suspensions WHERE org_id = $1 AND user_id = $2)"


async def is_suspended(tx: Transaction, org_id: OrgId, user_id: UserId) -> bool:
    return await tx.value(IS_SUSPENDED, org_id, user_id)


DELETE_SUSPENSION = "DELETE FROM rbac.suspensions WHERE org_id = $1 AND user_id IS NOT DISTINCT FROM $2"


async def delete_suspension(tx: Transaction, org_id: OrgId, user_id: UserId | None) -> bool:
    return await tx.run(DELETE_SUSPENSION, org_id, user_id) == 1


HOLDERS = """
SELECT DISTINCT user_id FROM rbac.grants
WHERE ended_at IS NULL AND ($1::uuid IS NULL OR org_id = $1) AND ($2::uuid IS NULL OR role_id = $2) LIMIT 10000
"""


async def list_holders(tx: Transaction, *, org_id: OrgId | None = None, role_id: RoleId | None = None) -> list[UserId]:
    return [row["user_id"] for row in await tx.rows(HOLDERS, org_id, role_id)]


FIND_ROLE = """
SELECT id, org_id, name, title, permissions, version, created_at, updated_at
FROM rbac.roles WHERE id = $1 AND deleted_at IS NULL
"""


async def find_role(db: Connection, role_id: RoleId) -> Guarded[CustomRole] | None:
    role = await db.maybe(CustomRole, FIND_ROLE, role_id)
    return None if role is None else Guarded(role, org_id=role.org_id)


LOCK_ROLE = """
SELECT id, org_id, name, title, permissions, version, created_at, updated_at
FROM rbac.roles WHERE id = $1 AND deleted_at IS NULL FOR UPDATE
"""


async def lock_role(tx: Transaction, role_id: RoleId) -> CustomRole | None:
    return await tx.maybe(CustomRole, LOCK_ROLE, role_id)


# Shared: many may grant a role at once, but not while it is deleted.
KEEP_ROLE = "SELECT id FROM rbac.roles WHERE id = $1 AND deleted_at IS NULL FOR SHARE"


async def keep_role(tx: Transaction, role_id: RoleId) -> bool:
    """Hold a role against deletion until the transaction ends; False when it is gone."""
    return await tx.value(KEEP_ROLE, role_id) is not None


LIST_ROLES = """
SELECT id, org_id, name, title, permissions, version, created_at, updated_at FROM rbac.roles
WHERE org_id = $1 AND deleted_at IS NULL AND ($2::uuid[] IS NULL OR id = ANY($2)) AND ($3::text IS NULL OR name > $3)
ORDER BY name LIMIT $4
"""


async def list_roles(
    db: Connection, org_id: OrgId, *, ids: list[UUID] | None, after: str | None, limit: int
) -> list[CustomRole]:
    return await db.all(CustomRole, LIST_ROLES, org_id, ids, after, limit)


# The count may be passed by twins by one or two; it bounds a page, nothing hangs on it.
INSERT_ROLE = """
INSERT INTO rbac.roles (id, org_id, name, title, permissions, created_at, updated_at)
SELECT $1, $2, $3, $4, $5, $6, $6
WHERE (SELECT count(*) FROM rbac.roles WHERE org_id = $2 AND deleted_at IS NULL) < $7
RETURNING id, org_id, name, title, permissions, version, created_at, updated_at
"""


async def insert_role(
    tx: Transaction, id: RoleId, org_id: OrgId, *, name: str, title: str, permissions: Sequence[str], at_most: int
) -> CustomRole | None:
    """Store a custom role; None when the organization has `at_most` already.

    Raises:
        RoleNameTaken
    """
    try:
        return await tx.maybe(CustomRole, INSERT_ROLE, id, org_id, name, title, permissions, tx.now, at_most)
    except asyncpg.UniqueViolationError:
        raise name_taken(name) from None


def name_taken(name: str) -> RoleNameTaken:
    return RoleNameTaken(f"there is a role {name} already; choose another name", pointer="/name")


UPDATE_ROLE = """
UPDATE rbac.roles SET title = $2, permissions = $3, version = version + 1, updated_at = $4 WHERE id = $1
RETURNING id, org_id, name, title, permissions, version, created_at, updated_at
"""


async def update_role(tx: Transaction, id: RoleId, *, title: str, permissions: Sequence[str]) -> CustomRole:
    return await tx.one(CustomRole, UPDATE_ROLE, id, title, permissions, tx.now)


DELETE_ROLE = """
UPDATE rbac.roles SET deleted_at = $2, version = version + 1
WHERE id = $1 AND NOT EXISTS (SELECT FROM rbac.grants WHERE role_id = $1 AND ended_at IS NULL)
RETURNING version
"""


async def delete_role(tx: Transaction, id: RoleId) -> int | None:
    """Delete a role that nobody has and return its last version; None when somebody has it."""
    return await tx.value(DELETE_ROLE, id, tx.now)
