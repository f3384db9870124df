"""Answers `OrganizationCalls`, the memberships that access asks for, and settings."""

from typing import Any
from uuid import UUID

from api.core.organization import store
from api.core.organization.contract import KnownMember, Organization, OrganizationCalls
from api.core.organization.member import store as members
from api.core.organization.setting import logic as settings
from cluster.base.ids import OrgId, UserId
from cluster.data import read
from cluster.events import Snapshots
from cluster.people.access import MemberSource
from cluster.people.notices import AudienceSource
from cluster.people.org_settings import SettingSource


class Calls(OrganizationCalls, MemberSource, AudienceSource, SettingSource, Snapshots):
    async def organizations_of(self, user_id: UserId) -> list[OrgId]:
        async with read() as db:
            return await members.list_organizations_of(db, user_id)

    async def settings_of(self, org_id: OrgId | None) -> dict[str, list[Any]]:
        return await settings.settings_of(org_id)

    async def find_organization(self, org_id: OrgId) -> Organization | None:
        async with read() as db:
            return await store.find_summary(db, org_id)

    async def find_members(self, org_id: OrgId, user_ids: list[UserId], external_ids: list[str]) -> list[KnownMember]:
        async with read() as db:
            return await members.list_known_members(db, org_id, user_ids[:1000], external_ids[:1000])

    async def list_members(self, org_id: OrgId, after: UserId | None, limit: int) -> list[UserId]:
        async with read() as db:
            return await members.list_active_members(db, org_id, after, limit)

    async def audience(
        self, relation: str, place_kind: str, place_id: UUID, after: UUID | None, limit: int
    ) -> list[UserId]:
        if (relation, place_kind) != ("members", "organization"):
            return []
        async with read() as db:
            return await members.list_active_members(
                db, OrgId(place_id), None if after is None else UserId(after), limit
            )
