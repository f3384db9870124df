"""The SQL of grants."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from api.core.rbac.contract import GrantId, RoleId
from api.core.rbac.place.store import UPSERT_PLACE
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

    @property
    def role_reference(self) -> str:
        """The name of the role in events and requests: an id in place of text that people wrote."""
        return self.role if self.role_id is None else str(self.role_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewGrant:
    """A grant to make. `role`: the name of a built-in role or the id of an organization's own."""

    user_id: UserId
    role: str
    scope: ScopeKind
    scope_id: UUID | None
    org_id: OrgId | None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantFilter:
    org_id: OrgId | None = None
    user_id: UserId | None = None
    scope: ScopeKind | None = None
    scope_id: UUID | None = None
    role: str | None = None
    ids: list[GrantId] | None = None


_GRANT = (
    """id, user_id, role, role_id, scope, scope_id, org_id, expires_at, granted_by, version, created_at, ended_at"""
)

FIND_GRANT = "SELECT " + _GRANT + " FROM rbac.grants WHERE id = $grant_id"


async def find_grant(db: Connection, grant_id: GrantId) -> Guarded[Grant] | None:
    grant = await db.maybe(Grant, FIND_GRANT, grant_id=grant_id)
    if grant is None:
        return None
    return Guarded(
        grant,
        org_id=grant.org_id,
        course_id=grant.scope_id if grant.scope == "course" else None,
        run_id=grant.scope_id if grant.scope == "run" else None,
        owner_id=grant.user_id,
        see="grant:read",
    )


LIST_GRANTS = (
    "SELECT "
    + _GRANT
    + """ FROM rbac.grants
    WHERE ended_at IS NULL
        AND ($everywhere OR org_id = ANY($org_ids::uuid[]) OR user_id = $own
            OR (scope = 'course' AND scope_id = ANY($course_ids::uuid[]))
            OR (scope = 'run' AND scope_id = ANY($run_ids::uuid[])))
        AND ($org_id::uuid IS NULL OR org_id = $org_id) AND ($user_id::uuid IS NULL OR user_id = $user_id)
        AND ($scope::text IS NULL OR scope = $scope) AND ($scope_id::uuid IS NULL OR scope_id = $scope_id)
        AND ($role::text IS NULL OR role = $role OR role_id::text = $role)
        AND ($ids::uuid[] IS NULL OR id = ANY($ids)) AND ($before::uuid IS NULL OR id < $before)
    ORDER BY id DESC LIMIT $limit"""
)


async def list_grants(
    db: Connection, reach: Reach, wanted: GrantFilter, *, before: GrantId | None, limit: int
) -> list[Grant]:
    """List the grants within reach that have not ended, newest first."""
    return await db.all(Grant, LIST_GRANTS, reach, wanted, before=before, limit=limit)


LIST_GRANTS_OF = (
    "SELECT "
    + _GRANT
    + """ FROM rbac.grants
    WHERE user_id = $user_id AND ($org_id::uuid IS NULL OR org_id = $org_id) AND ended_at IS NULL
    ORDER BY org_id, id LIMIT 10000"""
)


async def list_grants_of(db: Connection, user_id: UserId, org_id: OrgId | None) -> list[Grant]:
    return await db.all(Grant, LIST_GRANTS_OF, user_id=user_id, org_id=org_id)


FIND_GRANT_OF = (
    "SELECT "
    + _GRANT
    + """ FROM rbac.grants
    WHERE user_id = $user_id AND scope = $scope AND scope_id IS NOT DISTINCT FROM $scope_id AND ended_at IS NULL
        AND (role = $role AND role_id IS NULL OR role_id::text = $role)"""
)


async def find_grant_of(
    db: Connection, user_id: UserId, role: str, scope: ScopeKind, scope_id: UUID | None
) -> Grant | None:
    return await db.maybe(Grant, FIND_GRANT_OF, user_id=user_id, role=role, scope=scope, scope_id=scope_id)


# The update that changes nothing returns the row that stands there; `created` tells which of both it was. A grant whose time is
# over, though nobody has ended it yet, holds nothing any more: its end moves even where (without $extends) a standing grant keeps
# its own.
UPSERT_GRANT = (
    """INSERT INTO rbac.grants AS g
        (id, user_id, role, role_id, scope, scope_id, org_id, expires_at, granted_by, created_at)
    VALUES ($grant_id, $user_id, $role, $role_id, $scope, $scope_id, $org_id, $expires_at, $granted_by, $now)
    ON CONFLICT (user_id, scope, scope_id, role, role_id) WHERE ended_at IS NULL DO UPDATE
    SET expires_at = CASE WHEN $extends OR g.expires_at <= $now THEN excluded.expires_at ELSE g.expires_at END,
        version = g.version + (
            ($extends OR coalesce(g.expires_at <= $now, false)) AND g.expires_at IS DISTINCT FROM excluded.expires_at
        )::int
    RETURNING """
    + _GRANT
    + """, old.id IS NULL AS created,
        old.id IS NOT NULL AND old.expires_at IS DISTINCT FROM new.expires_at AS extended"""
)
UPSERT_PLACE_AND_GRANT = "WITH place AS (" + UPSERT_PLACE + ") " + UPSERT_GRANT


async def upsert_grant(
    tx: Transaction,
    grant_id: GrantId,
    new: NewGrant,
    *,
    role: str,
    role_id: RoleId | None,
    granted_by: UserId | None,
    extends: bool,
    notes_place: bool = False,
) -> tuple[Grant, bool, bool]:
    """Make a grant, or with `extends` move the end of the one that stands; return it, whether it is new, whether its end moved.

    `notes_place`: the organization of its place is noted with it.
    """
    given = {"grant_id": grant_id, "role": role, "role_id": role_id, "granted_by": granted_by, "extends": extends}
    if notes_place:
        [row] = await tx.rows(UPSERT_PLACE_AND_GRANT, new, **given)
    else:
        [row] = await tx.rows(UPSERT_GRANT, new, **given)
    fields = dict(row)
    created, extended = fields.pop("created"), fields.pop("extended")
    return Grant(**fields), created, extended


UPDATE_ENDED = (
    """UPDATE rbac.grants SET ended_at = $now, version = version + 1
    WHERE id = ANY($grant_ids::uuid[]) AND ended_at IS NULL
    RETURNING """
    + _GRANT
)


async def update_ended(tx: Transaction, grant_ids: Sequence[GrantId]) -> list[Grant]:
    """End those of these grants that have not ended, and return them."""
    return await tx.all(Grant, UPDATE_ENDED, grant_ids=grant_ids)


LOCK_GRANTS_IN_ORGANIZATION = """
SELECT id FROM rbac.grants
WHERE org_id = $org_id AND ($user_id::uuid IS NULL OR user_id = $user_id) AND ended_at IS NULL
ORDER BY id LIMIT 10000 FOR UPDATE
"""


async def lock_grants_in_organization(tx: Transaction, org_id: OrgId, user_id: UserId | None) -> list[GrantId]:
    """Lock the grants of a person in an organization; None: of everybody."""
    return [row["id"] for row in await tx.rows(LOCK_GRANTS_IN_ORGANIZATION, org_id=org_id, user_id=user_id)]


LOCK_GRANTS_ON_COURSES = """
SELECT id FROM rbac.grants WHERE scope = 'course' AND scope_id = ANY($course_ids::uuid[]) AND ended_at IS NULL
ORDER BY id LIMIT 10000 FOR UPDATE
"""


async def lock_grants_on_courses(tx: Transaction, course_ids: Sequence[UUID]) -> list[GrantId]:
    return [row["id"] for row in await tx.rows(LOCK_GRANTS_ON_COURSES, course_ids=course_ids)]


LOCK_EXPIRED = """
SELECT id FROM rbac.grants WHERE ended_at IS NULL AND expires_at <= $now ORDER BY expires_at LIMIT $limit
FOR UPDATE SKIP LOCKED
"""


async def lock_expired(tx: Transaction, limit: int) -> list[GrantId]:
    """Lock grants whose time is over and that have not ended yet."""
    return [row["id"] for row in await tx.rows(LOCK_EXPIRED, limit=limit)]


# Transactions that end an owner's grant or hand ownership on wait here for each other, and only then look who owns: of two owners
# who remove each other, the second no longer sees the first, and an owner who was just made is seen. Locking the rows alone would
# not do: a statement that waits for a row sees that row anew, but none that was inserted meanwhile.
LOCK_OWNERS = """
SELECT user_id FROM rbac.grants g
WHERE org_id = $org_id AND role = 'org_owner' AND ended_at IS NULL
    AND NOT EXISTS (SELECT FROM rbac.suspensions s WHERE s.org_id = g.org_id AND s.user_id = g.user_id)
ORDER BY id FOR UPDATE
"""


async def lock_owners(tx: Transaction, org_id: OrgId) -> list[UserId]:
    """Return the owners that are not suspended, and keep them owners until the transaction ends."""
    await tx.take_turns("rbac.owners", org_id)
    return [row["user_id"] for row in await tx.rows(LOCK_OWNERS, org_id=org_id)]


LIST_OWNED_ALONE = """
SELECT org_id FROM rbac.grants g
WHERE user_id = $user_id AND role = 'org_owner' AND ended_at IS NULL AND NOT EXISTS (
    SELECT FROM rbac.grants other
    WHERE other.org_id = g.org_id AND other.role = 'org_owner' AND other.ended_at IS NULL AND other.user_id <> $user_id
        AND NOT EXISTS (SELECT FROM rbac.suspensions s WHERE s.org_id = other.org_id AND s.user_id = other.user_id))
ORDER BY org_id LIMIT 1000
"""


async def list_owned_alone(db: Connection, user_id: UserId) -> list[OrgId]:
    """List the organizations that would have no owner without this person."""
    return [row["org_id"] for row in await db.rows(LIST_OWNED_ALONE, user_id=user_id)]


LIST_HOLDERS = """
SELECT DISTINCT user_id FROM rbac.grants
WHERE ended_at IS NULL AND ($org_id::uuid IS NULL OR org_id = $org_id) AND ($role_id::uuid IS NULL OR role_id = $role_id)
LIMIT 10000
"""


async def list_holders(db: Connection, *, org_id: OrgId | None = None, role_id: RoleId | None = None) -> list[UserId]:
    """List the people with a grant in an organization, or of a role."""
    return [row["user_id"] for row in await db.rows(LIST_HOLDERS, org_id=org_id, role_id=role_id)]


LIST_STAFF = """
SELECT DISTINCT user_id FROM rbac.grants g
WHERE scope = $scope AND scope_id = $scope_id AND ended_at IS NULL AND (expires_at IS NULL OR expires_at > now())
    AND NOT EXISTS (
        SELECT FROM rbac.suspensions s WHERE s.org_id = g.org_id AND (s.user_id IS NULL OR s.user_id = g.user_id))
    AND ($after::uuid IS NULL OR user_id > $after)
ORDER BY user_id LIMIT $limit
"""


async def list_staff(db: Connection, scope: str, scope_id: UUID, *, after: UUID | None, limit: int) -> list[UserId]:
    """List who has a role at a place itself that counts now, by their ids."""
    rows = await db.rows(LIST_STAFF, scope=scope, scope_id=scope_id, after=after, limit=limit)
    return [row["user_id"] for row in rows]


@dataclass(frozen=True, slots=True)
class GivenRole:
    """A role that somebody gave to somebody else; `title`: of an organization's own role."""

    role: str
    title: str | None
    scope: ScopeKind
    scope_id: UUID | None
    org_id: OrgId | None


FIND_GIVEN = """
SELECT g.role, r.title, g.scope, g.scope_id, g.org_id FROM rbac.grants g LEFT JOIN rbac.roles r ON r.id = g.role_id
WHERE g.id = $grant_id AND g.ended_at IS NULL AND g.granted_by IS NOT NULL AND g.granted_by <> g.user_id
"""


async def find_given(db: Connection, grant_id: GrantId) -> GivenRole | None:
    """Find a grant that has not ended; None also for what nobody else gave."""
    return await db.maybe(GivenRole, FIND_GIVEN, grant_id=grant_id)
