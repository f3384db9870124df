"""Answers other services, and access everywhere."""

from api.core.organization import store
from api.core.organization.contract import KnownMember, Organization
from cluster.base.ids import OrgId, UserId
from cluster.base.principal import platform
from cluster.data import read
from cluster.events import Snapshots
from cluster.people.access import permit


class Calls(Snapshots):
    async def organizations_of(self, user_id: UserId) -> list[OrgId]:
        async with read() as db:
            return await store.list_organizations_of(db, user_id)

    async def find_organization(self, org_id: OrgId) -> Organization | None:
        async with read() as db:
            guarded = await store.find_organization(db, org_id)
        if guarded is None:
            return None
        found = await permit(platform("organization"), "organization:read", guarded)
        return Organization(id=found.id, slug=found.slug, name=found.name, state=found.state)

    async def find_members(self, org_id: OrgId, user_ids: list[UserId], external_ids: list[str]) -> list[KnownMember]:
        async with read() as db:
            return await store.list_known_members(db, org_id, user_ids[:1000], external_ids[:1000])

    async def list_members(self, org_id: OrgId, after: UserId | None, limit: int) -> list[UserId]:
        async with read() as db:
            return await store.list_active_members(db, org_id, after, limit)
