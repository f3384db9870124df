"""The SQL of members."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from api.core.organization.contract import KnownMember, MemberId, MemberState, MemberUpdated
from cluster.base.ids import OrgId, UserId
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded, Reach


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    id: MemberId
    org_id: OrgId
    user_id: UserId
    display_name: str | None
    external_id: str | None
    email: str | None
    state: MemberState
    version: int
    joined_at: datetime
    updated_at: datetime
    left_at: datetime | None
    removed: bool
    """The member was removed, or left while suspended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberFilter:
    org_id: OrgId | None = None
    user_id: UserId | None = None
    states: list[MemberState] | None = None
    external_id: str | None = None
    ids: list[MemberId] | None = None


_MEMBER = (
    "id, org_id, user_id, display_name, external_id, email, state, version, joined_at, updated_at, left_at, removed"
)

LIST_ORGANIZATIONS_OF = """
SELECT m.org_id FROM organization.members m JOIN organization.organizations o ON o.id = m.org_id
WHERE m.user_id = $user_id AND m.state = 'active' AND o.state = 'active'
"""


async def list_organizations_of(db: Connection, user_id: UserId) -> list[OrgId]:
    """List where a person is an active member; complete, because access must never be cut short."""
    return [row["org_id"] for row in await db.rows(LIST_ORGANIZATIONS_OF, user_id=user_id)]


FIND_MEMBER = "SELECT " + _MEMBER + " FROM organization.members WHERE id = $member_id"


async def find_member(db: Connection, member_id: MemberId) -> Guarded[Member] | None:
    member = await db.maybe(Member, FIND_MEMBER, member_id=member_id)
    return None if member is None else Guarded(member, org_id=member.org_id, owner_id=member.user_id, see="member:read")


LOCK_MEMBER = FIND_MEMBER + " FOR UPDATE"


async def lock_member(tx: Transaction, member_id: MemberId) -> Member:
    return await tx.one(Member, LOCK_MEMBER, member_id=member_id)


FIND_ACTIVE_MEMBER = (
    "SELECT "
    + _MEMBER
    + " FROM organization.members WHERE org_id = $org_id AND user_id = $user_id AND state = 'active'"
)


async def find_active_member(db: Connection, org_id: OrgId, user_id: UserId) -> Member | None:
    return await db.maybe(Member, FIND_ACTIVE_MEMBER, org_id=org_id, user_id=user_id)


LIST_MEMBERSHIPS = (
    "SELECT "
    + _MEMBER
    + """ FROM organization.members
    WHERE user_id = $user_id AND ($org_id::uuid IS NULL OR org_id = $org_id) AND state <> 'left'
    ORDER BY id LIMIT 10000"""
)


async def list_memberships(db: Connection, user_id: UserId, org_id: OrgId | None) -> list[Member]:
    """List the memberships of a person, also suspended ones."""
    return await db.all(Member, LIST_MEMBERSHIPS, user_id=user_id, org_id=org_id)


LIST_MEMBERS = (
    "SELECT "
    + _MEMBER
    + """ FROM organization.members
    WHERE ($everywhere OR org_id = ANY($org_ids::uuid[]) OR user_id = $own)
        AND ($org_id::uuid IS NULL OR org_id = $org_id) AND ($user_id::uuid IS NULL OR user_id = $user_id)
        AND ($states::text[] IS NULL OR state = ANY($states))
        AND ($external_id::text IS NULL OR external_id = $external_id)
        AND ($ids::uuid[] IS NULL OR id = ANY($ids)) AND ($before::uuid IS NULL OR id < $before)
    ORDER BY id DESC LIMIT $limit"""
)


async def list_members(
    db: Connection, reach: Reach, wanted: MemberFilter, *, before: MemberId | None, limit: int
) -> list[Member]:
    """List the memberships within reach, newest first."""
    return await db.all(Member, LIST_MEMBERS, reach, wanted, before=before, limit=limit)


LIST_ACTIVE_MEMBERS = """
SELECT user_id FROM organization.members
WHERE org_id = $org_id AND state = 'active' AND ($after::uuid IS NULL OR user_id > $after) ORDER BY user_id LIMIT $limit
"""


async def list_active_members(db: Connection, org_id: OrgId, after: UserId | None, limit: int) -> list[UserId]:
    return [row["user_id"] for row in await db.rows(LIST_ACTIVE_MEMBERS, org_id=org_id, after=after, limit=limit)]


LIST_KNOWN_MEMBERS = """
SELECT user_id, external_id FROM organization.members
WHERE org_id = $org_id AND state = 'active'
  AND (user_id = ANY($user_ids::uuid[]) OR external_id = ANY($external_ids::text[]))
LIMIT 2000
"""


async def list_known_members(
    db: Connection, org_id: OrgId, user_ids: Sequence[UserId], external_ids: Sequence[str]
) -> list[KnownMember]:
    """List the active members with one of these ids."""
    return await db.all(KnownMember, LIST_KNOWN_MEMBERS, org_id=org_id, user_ids=user_ids, external_ids=external_ids)


# A person who left comes back to the same row. A suspended row stays as it is, and nothing is returned.
UPSERT_MEMBER = (
    """INSERT INTO organization.members AS m (id, org_id, user_id, email, joined_at, updated_at)
    VALUES ($member_id, $org_id, $user_id, $email, $now, $now)
    ON CONFLICT (org_id, user_id) DO UPDATE
    SET state = 'active', left_at = NULL, removed = false, updated_at = $now,
        version = m.version + (m.state <> 'active')::int,
        joined_at = CASE WHEN m.state = 'left' THEN $now ELSE m.joined_at END,
        email = coalesce(m.email, excluded.email)
    WHERE m.state <> 'suspended'
    RETURNING """
    + _MEMBER
    + ", old.state IS DISTINCT FROM 'active' AS is_new"
)


async def upsert_member(
    tx: Transaction, member_id: MemberId, org_id: OrgId, user_id: UserId, *, email: str | None
) -> tuple[Member, bool] | None:
    """Make a person an active member; return the membership and whether it is new. None: the person is suspended there."""
    rows = await tx.rows(UPSERT_MEMBER, member_id=member_id, org_id=org_id, user_id=user_id, email=email)
    if not rows:
        return None
    fields = dict(rows[0])
    is_new = fields.pop("is_new")
    return Member(**fields), is_new


UPDATE_MEMBER = (
    """UPDATE organization.members
    SET display_name = $display_name, external_id = $external_id, email = $email, state = $state, removed = $removed,
        left_at = CASE WHEN $state = 'left' THEN coalesce(left_at, $now::timestamptz) END,
        version = version + 1, updated_at = $now
    WHERE id = $id
    RETURNING """
    + _MEMBER
)


async def update_member(tx: Transaction, member: Member) -> Member:
    """Store what can change of a membership, and return it with its new version.

    Raises:
        asyncpg.UniqueViolationError: another member of the organization has the external id.
    """
    return await tx.one(Member, UPDATE_MEMBER, member)


LIST_MEMBER_STATES = """
SELECT id AS member_id, org_id, user_id, state, removed, version
FROM organization.members WHERE id > $after ORDER BY id LIMIT $limit
"""


async def list_member_states(db: Connection, after: UUID, limit: int) -> list[tuple[MemberUpdated, int]]:
    """List what others project of memberships, each with its version, by id."""
    return [_state(row) for row in await db.rows(LIST_MEMBER_STATES, after=after, limit=limit)]


def _state(row: Any) -> tuple[MemberUpdated, int]:
    fields = dict(row)
    version = fields.pop("version")
    return MemberUpdated(**fields), version
