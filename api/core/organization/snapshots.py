"""The present state of organizations and memberships, for projections that join late."""

from uuid import UUID

from api.core.organization import store
from api.core.organization.contract import MemberUpdated, OrganizationUpdated
from api.core.organization.member import store as members
from cluster.data import Connection
from cluster.events import snapshot


@snapshot(OrganizationUpdated)
async def list_organizations(db: Connection, after: UUID, limit: int) -> list[tuple[OrganizationUpdated, int]]:
    return await store.list_organization_states(db, after, limit)


@snapshot(MemberUpdated)
async def list_members(db: Connection, after: UUID, limit: int) -> list[tuple[MemberUpdated, int]]:
    return await members.list_member_states(db, after, limit)
