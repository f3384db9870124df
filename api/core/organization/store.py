"""One function per statement on the schema organization: organizations and members."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from api.core.organization.contract import (
    ExternalIdTaken,
    InvitationId,
    KnownMember,
    MemberId,
    MemberState,
    OrganizationState,
    SlugTaken,
)
from cluster.base.ids import OrgId, UserId
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded, Reach


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredOrganization:
    id: OrgId
    slug: str
    name: str
    state: OrganizationState
    created_by: UserId
    version: int
    created_at: datetime
    updated_at: datetime


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
    """They were removed, or left while they were suspended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    id: InvitationId
    org_id: OrgId
    email: str | None
    roles: list[str]
    max_uses: int
    uses: int
    created_by: UserId
    version: int
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None


ORGANIZATIONS_OF = """
SELECT m.org_id FROM organization.members m JOIN organization.organizations o ON o.id = m.org_id
WHERE m.user_id = $1 AND m.state = 'active' AND o.state = 'active'
"""


async def list_organizations_of(db: Connection, user_id: UserId) -> list[OrgId]:
    """Return where a person is an active member; complete, because access must never be cut short."""
    return [row["org_id"] for row in await db.rows(ORGANIZATIONS_OF, user_id)]


FIND_ORGANIZATION = """
SELECT id, slug, name, state, created_by, version, created_at, updated_at
FROM organization.organizations WHERE id = $1
"""


async def find_organization(db: Connection, org_id: OrgId) -> Guarded[StoredOrganization] | None:
    found = await db.maybe(StoredOrganization, FIND_ORGANIZATION, org_id)
    return None if found is None else Guarded(found, org_id=found.id)


LOCK_ORGANIZATION = """
SELECT id, slug, name, state, created_by, version, created_at, updated_at
FROM organization.organizations WHERE id = $1 FOR UPDATE
"""


async def lock_organization(tx: Transaction, org_id: OrgId) -> StoredOrganization:
    return await tx.one(StoredOrganization, LOCK_ORGANIZATION, org_id)


SLUG_IS_TAKEN = "SELECT EXISTS (SELECT FROM organization.organizations WHERE slug = $1)"


async def slug_is_taken(db: Connection, slug: str) -> bool:
    return await db.value(SLUG_IS_TAKEN, slug)


LIST_ORGANIZATIONS = """
SELECT id, slug, name, state, created_by, version, created_at, updated_at
FROM organization.organizations
WHERE ($1 OR id = ANY($2::uuid[])) AND ($3::text IS NULL OR slug = $3) AND ($4::uuid[] IS NULL OR id = ANY($4))
    AND ($5::uuid IS NULL OR id < $5)
ORDER BY id DESC LIMIT $6
"""


async def list_organizations(
    db: Connection, reach: Reach, *, slug: str | None, ids: list[UUID] | None, after: UUID | None, limit: int
) -> list[StoredOrganization]:
    return await db.all(
        StoredOrganization, LIST_ORGANIZATIONS, reach.everywhere, reach.org_ids, slug, ids, after, limit
    )


COUNT_FOUNDED = "SELECT count(*) FROM organization.organizations WHERE created_by = $1 AND created_at > $2"


async def count_founded(db: Connection, founder: UserId, since: datetime) -> int:
    return await db.value(COUNT_FOUNDED, founder, since)


INSERT_ORGANIZATION = """
WITH founder AS (
    INSERT INTO organization.members (id, org_id, user_id, joined_at, updated_at) VALUES ($5, $1, $4, $6, $6)
)
INSERT INTO organization.organizations (id, slug, name, created_by, created_at, updated_at) VALUES ($1, $2, $3, $4, $6, $6)
RETURNING id, slug, name, state, created_by, version, created_at, updated_at
"""


async def insert_organization(
    tx: Transaction, id: OrgId, *, slug: str, name: str, founder: UserId, member_id: MemberId
) -> StoredOrganization:
    """Store an organization and its first member.

    Raises:
        SlugTaken
    """
    try:
        return await tx.one(StoredOrganization, INSERT_ORGANIZATION, id, slug, name, founder, member_id, tx.now)
    except asyncpg.UniqueViolationError:
        raise slug_taken(slug) from None


def slug_taken(slug: str) -> SlugTaken:
    return SlugTaken(f"another organization is called {slug}; choose another slug", pointer="/slug")


UPDATE_ORGANIZATION = """
UPDATE organization.organizations SET slug = $2, name = $3, state = $4, version = version + 1, updated_at = $5
WHERE id = $1
RETURNING id, slug, name, state, created_by, version, created_at, updated_at
"""


async def update_organization(
    tx: Transaction, id: OrgId, *, slug: str, name: str, state: OrganizationState
) -> StoredOrganization:
    """Store an organization's changes.

    Raises:
        SlugTaken
    """
    try:
        return await tx.one(StoredOrganization, UPDATE_ORGANIZATION, id, slug, name, state, tx.now)
    except asyncpg.UniqueViolationError:
        raise slug_taken(slug) from None


FIND_MEMBER = """
SELECT id, org_id, user_id, display_name, external_id, email, state, version, joined_at, updated_at, left_at, removed
FROM organization.members WHERE id = $1
"""


async def find_member(db: Connection, member_id: MemberId) -> Guarded[Member] | None:
    member = await db.maybe(Member, FIND_MEMBER, member_id)
    return None if member is None else Guarded(member, org_id=member.org_id, owner_id=member.user_id, see="member:read")


FIND_MEMBER_OF = """
SELECT id, org_id, user_id, display_name, external_id, email, state, version, joined_at, updated_at, left_at, removed
FROM organization.members WHERE org_id = $1 AND user_id = $2
"""


async def find_member_of(db: Connection, org_id: OrgId, user_id: UserId) -> Member | None:
    return await db.maybe(Member, FIND_MEMBER_OF, org_id, user_id)


FIND_ACTIVE_MEMBER = """
SELECT id, org_id, user_id, display_name, external_id, email, state, version, joined_at, updated_at, left_at, removed
FROM organization.members WHERE org_id = $1 AND user_id = $2 AND state = 'active'
"""


LIST_MEMBERSHIPS = """
SELECT id, org_id, user_id, display_name, external_id, email, state, version, joined_at, updated_at, left_at, removed
FROM organization.members WHERE user_id = $1 AND ($2::uuid IS NULL OR org_id = $2) AND state <> 'left' ORDER BY id LIMIT 10000
"""


async def list_memberships(db: Connection, user_id: UserId, org_id: OrgId | None) -> list[Member]:
    """List what somebody is a member of, also where they are suspended."""
    return await db.all(Member, LIST_MEMBERSHIPS, user_id, org_id)


async def find_active_member(db: Connection, org_id: OrgId, user_id: UUID) -> Member | None:
    return await db.maybe(Member, FIND_ACTIVE_MEMBER, org_id, user_id)


LOCK_MEMBER = """
SELECT id, org_id, user_id, display_name, external_id, email, state, version, joined_at, updated_at, left_at, removed
FROM organization.members WHERE id = $1 FOR UPDATE
"""


async def lock_member(tx: Transaction, member_id: MemberId) -> Member:
    return await tx.one(Member, LOCK_MEMBER, member_id)


LIST_MEMBERS = """
SELECT id, org_id, user_id, display_name, external_id, email, state, version, joined_at, updated_at, left_at, removed
FROM organization.members
WHERE ($1 OR org_id = ANY($2::uuid[]) OR user_id = $3)
    AND ($4::uuid IS NULL OR org_id = $4) AND ($5::uuid IS NULL OR user_id = $5)
    AND ($6::text[] IS NULL OR state = ANY($6)) AND ($7::text IS NULL OR external_id = $7)
    AND ($8::uuid[] IS NULL OR id = ANY($8)) AND ($9::uuid IS NULL OR id < $9)
ORDER BY id DESC LIMIT $10
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberFilter:
    org_id: UUID | None = None
    user_id: UUID | None = None
    states: list[MemberState] | None = None
    external_id: str | None = None
    ids: list[UUID] | None = None


async def list_members(
    db: Connection, reach: Reach, wanted: MemberFilter, after: UUID | None, limit: int
) -> list[Member]:
    return await db.all(
        Member,
        LIST_MEMBERS,
        reach.everywhere,
        reach.org_ids,
        reach.own,
        wanted.org_id,
        wanted.user_id,
        wanted.states,
        wanted.external_id,
        wanted.ids,
        after,
        limit,
    )


LIST_ACTIVE_MEMBERS = """
SELECT user_id FROM organization.members
WHERE org_id = $1 AND state = 'active' AND ($2::uuid IS NULL OR user_id > $2) ORDER BY user_id LIMIT $3
"""


async def list_active_members(db: Connection, org_id: OrgId, after: UserId | None, limit: int) -> list[UserId]:
    return [row["user_id"] for row in await db.rows(LIST_ACTIVE_MEMBERS, org_id, after, limit)]


# Somebody who left comes back to the same row. A suspended row stays as it is, and nothing is returned.
INSERT_MEMBER = """
INSERT INTO organization.members AS m (id, org_id, user_id, email, joined_at, updated_at) VALUES ($1, $2, $3, $4, $5, $5)
ON CONFLICT (org_id, user_id) DO UPDATE
SET state = 'active', left_at = NULL, removed = false, updated_at = $5, version = m.version + (m.state <> 'active')::int,
    joined_at = CASE WHEN m.state = 'left' THEN $5 ELSE m.joined_at END, email = coalesce(m.email, excluded.email)
WHERE m.state <> 'suspended'
RETURNING id, org_id, user_id, display_name, external_id, email, state, version, joined_at, updated_at, left_at, removed,
    old.state IS DISTINCT FROM 'active' AS is_new
"""


async def insert_member(
    tx: Transaction, id: MemberId, org_id: OrgId, user_id: UserId, *, email: str | None
) -> tuple[Member, bool] | None:
    """Make a person an active member, and tell whether they were none; None when they are suspended there."""
    rows = await tx.rows(INSERT_MEMBER, id, org_id, user_id, email, tx.now)
    if not rows:
        return None
    row = dict(rows[0])
    is_new = row.pop("is_new")
    return Member(**row), is_new


UPDATE_MEMBER = """
UPDATE organization.members
SET display_name = $2, external_id = $3, email = $4, state = $5, version = version + 1, updated_at = $6,
    left_at = CASE WHEN $5 = 'left' THEN coalesce(left_at, $6::timestamptz) END, removed = $7
WHERE id = $1
RETURNING id, org_id, user_id, display_name, external_id, email, state, version, joined_at, updated_at, left_at, removed
"""


async def update_member(
    tx: Transaction,
    id: MemberId,
    *,
    display_name: str | None,
    external_id: str | None,
    email: str | None,
    state: MemberState,
    removed: bool,
) -> Member:
    """Store a member's changes.

    Raises:
        ExternalIdTaken
    """
    try:
        return await tx.one(Member, UPDATE_MEMBER, id, display_name, external_id, email, state, tx.now, removed)
    except asyncpg.UniqueViolationError:
        raise ExternalIdTaken(f"another member has the id {external_id} here", pointer="/external_id") from None


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
