"""Answers other services, and access everywhere."""

from datetime import datetime
from uuid import UUID

from api.core.rbac import logic, rules
from api.core.rbac.contract import GrantId
from api.core.rbac.logic import NewGrant
from cluster.base.ids import OrgId, UserId
from cluster.base.principal import Principal
from cluster.data import read
from cluster.people import calls
from cluster.people.access import GrantedScope, ScopeKind, lacking, lapsing, within


def _actor(user_id: UserId | None) -> Principal:
    return calls.caller("rbac") if user_id is None else Principal(kind="person", id=user_id)


class Calls:
    async def grants_of(self, user_id: UserId) -> list[GrantedScope]:
        return await logic.grants_of(user_id)

    async def grant(
        self,
        user_id: UserId,
        role: str,
        scope: ScopeKind,
        scope_id: UUID | None,
        org_id: OrgId | None,
        granted_by: UserId | None = None,
        expires_at: datetime | None = None,
        extends: bool = True,
    ) -> GrantId:
        new = NewGrant(user_id=user_id, role=role, scope=scope, scope_id=scope_id, org_id=org_id, expires_at=expires_at)
        return await logic.grant(_actor(granted_by), new, extends=extends)

    async def revoke(
        self,
        user_id: UserId,
        role: str,
        scope: ScopeKind,
        scope_id: UUID | None,
        org_id: OrgId | None,  # noqa: ARG002 (the place names its organization; kept for symmetry on the wire)
        revoked_by: UserId | None = None,
    ) -> bool:
        return await logic.revoke(_actor(revoked_by), user_id, role, scope, scope_id)

    async def revoke_all(self, user_id: UserId, org_id: OrgId, revoked_by: UserId | None = None) -> int:
        return await logic.revoke_all(_actor(revoked_by), org_id, user_id)

    async def owned_alone(self, user_id: UserId) -> list[OrgId]:
        return await logic.owned_alone(user_id)

    async def discard(self, org_id: OrgId) -> int:
        return await logic.discard(calls.caller("rbac"), org_id)

    async def transfer_ownership(self, org_id: OrgId, owner: UserId, successor: UserId) -> None:
        await logic.transfer_ownership(_actor(owner), org_id, owner, successor)

    async def suspend(self, org_id: OrgId, user_id: UserId | None = None) -> None:
        await logic.suspend(calls.caller("rbac"), org_id, user_id)

    async def resume(self, org_id: OrgId, user_id: UserId | None = None) -> None:
        await logic.resume(calls.caller("rbac"), org_id, user_id)

    async def lacking(self, principal: Principal, role: str, org_id: OrgId) -> list[str]:
        async with read() as db:
            found = await logic.grantable(db, role, org_id)
        rules.check_fits(found.name, found.scope, "organization")
        place = within(org_id=org_id)
        missing = await lacking(principal, found.permissions, place)
        return [*missing, *await lapsing(principal, found.permissions, place, None)]

    async def lacking_against(
        self,
        principal: Principal,
        user_id: UserId,
        org_id: OrgId,
        course_id: UUID | None = None,
        roles: list[str] | None = None,
    ) -> list[str]:
        return await logic.lacking_against(principal, user_id, org_id, course_id=course_id, roles=roles)
