"""The SQL of organizations. Members and invitations have stores of their own."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from api.core.organization.contract import MemberId, Organization, OrganizationState, OrganizationUpdated
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


_ORGANIZATION = "id, slug, name, state, created_by, version, created_at, updated_at"

FIND_ORGANIZATION = "SELECT " + _ORGANIZATION + " FROM organization.organizations WHERE id = $org_id"


async def find_organization(db: Connection, org_id: OrgId) -> Guarded[StoredOrganization] | None:
    found = await db.maybe(StoredOrganization, FIND_ORGANIZATION, org_id=org_id)
    return None if found is None else Guarded(found, org_id=found.id)


FIND_SUMMARY = "SELECT id, slug, name, state FROM organization.organizations WHERE id = $org_id"


async def find_summary(db: Connection, org_id: OrgId) -> Organization | None:
    """Find an organization as other services know it."""
    return await db.maybe(Organization, FIND_SUMMARY, org_id=org_id)


LOCK_ORGANIZATION = FIND_ORGANIZATION + " FOR UPDATE"


async def lock_organization(tx: Transaction, org_id: OrgId) -> StoredOrganization:
    return await tx.one(StoredOrganization, LOCK_ORGANIZATION, org_id=org_id)


FIND_ID_OF_SLUG = "SELECT id FROM organization.organizations WHERE slug = $slug"


async def find_id_of_slug(db: Connection, slug: str) -> OrgId | None:
    return await db.value(FIND_ID_OF_SLUG, slug=slug)


LIST_ORGANIZATIONS = (
    "SELECT "
    + _ORGANIZATION
    + """ FROM organization.organizations
    WHERE ($everywhere OR id = ANY($org_ids::uuid[])) AND ($slug::text IS NULL OR slug = $slug)
        AND ($ids::uuid[] IS NULL OR id = ANY($ids)) AND ($before::uuid IS NULL OR id < $before)
    ORDER BY id DESC LIMIT $limit"""
)


async def list_organizations(
    db: Connection, reach: Reach, *, slug: str | None, ids: list[OrgId] | None, before: OrgId | None, limit: int
) -> list[StoredOrganization]:
    """List the organizations within reach, newest first."""
    return await db.all(StoredOrganization, LIST_ORGANIZATIONS, reach, slug=slug, ids=ids, before=before, limit=limit)


COUNT_FOUNDED = "SELECT count(*) FROM organization.organizations WHERE created_by = $founder AND created_at > $since"


async def count_founded(db: Connection, founder: UserId, since: datetime) -> int:
    return await db.value(COUNT_FOUNDED, founder=founder, since=since)


INSERT_ORGANIZATION = (
    """WITH organization AS (
        INSERT INTO organization.organizations (id, slug, name, created_by, created_at, updated_at)
        VALUES ($org_id, $slug, $name, $founder, $now, $now)
        ON CONFLICT (slug) DO NOTHING
        RETURNING """
    + _ORGANIZATION
    + """
    ), founder AS (
        INSERT INTO organization.members (id, org_id, user_id, joined_at, updated_at)
        SELECT $member_id, id, created_by, created_at, created_at FROM organization
    )
    SELECT * FROM organization"""
)


async def insert_organization(
    tx: Transaction, org_id: OrgId, *, slug: str, name: str, founder: UserId, member_id: MemberId
) -> StoredOrganization | None:
    """Insert an organization and its first member; None when the slug is taken."""
    return await tx.maybe(
        StoredOrganization,
        INSERT_ORGANIZATION,
        org_id=org_id,
        slug=slug,
        name=name,
        founder=founder,
        member_id=member_id,
    )


UPDATE_ORGANIZATION = (
    """UPDATE organization.organizations
    SET slug = $slug, name = $name, state = $state, version = version + 1, updated_at = $now
    WHERE id = $id
    RETURNING """
    + _ORGANIZATION
)


async def update_organization(tx: Transaction, organization: StoredOrganization) -> StoredOrganization:
    """Store what can change of an organization, and return it with its new version.

    Raises:
        asyncpg.UniqueViolationError: the slug is taken.
    """
    return await tx.one(StoredOrganization, UPDATE_ORGANIZATION, organization)


LIST_ORGANIZATION_STATES = """
SELECT id, state, version FROM organization.organizations WHERE id > $after ORDER BY id LIMIT $limit
"""


async def list_organization_states(db: Connection, after: UUID, limit: int) -> list[tuple[OrganizationUpdated, int]]:
    """List what others project of organizations, each with its version, by id."""
    rows = await db.rows(LIST_ORGANIZATION_STATES, after=after, limit=limit)
    return [(OrganizationUpdated(org_id=row["id"], state=row["state"]), row["version"]) for row in rows]
