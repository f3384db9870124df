"""Answers `RbacCalls`, and the grants that access asks for."""

from datetime import datetime
from uuid import UUID

from api.core.rbac.contract import GrantId, RbacCalls
from api.core.rbac.grant import logic, ownership
from api.core.rbac.grant.store import NewGrant
from api.core.rbac.held_role import logic as held_roles
from api.core.rbac.suspension import logic as suspensions
from cluster.base.ids import OrgId, UserId
from cluster.base.principal import Principal
from cluster.people import calls
from cluster.people.access import GrantedScope, GrantSource, ScopeKind


class Calls(RbacCalls, GrantSource):
    async def grants_of(self, user_id: UserId) -> list[GrantedScope]:
        return await held_roles.grants_of(user_id)

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
        return await logic.grant(_caller(granted_by), new, extends=extends)

    async def revoke(
        self,
        user_id: UserId,
        role: str,
        scope: ScopeKind,
        scope_id: UUID | None,
        org_id: OrgId | None,  # noqa: ARG002 (the place names its organization; kept for symmetry on the wire)
        revoked_by: UserId | None = None,
    ) -> bool:
        return await logic.revoke(_caller(revoked_by), user_id, role, scope, scope_id)

    async def revoke_all(self, user_id: UserId, org_id: OrgId, revoked_by: UserId | None = None) -> int:
        return await logic.revoke_all(_caller(revoked_by), org_id, user_id)

    async def owned_alone(self, user_id: UserId) -> list[OrgId]:
        return await ownership.owned_alone(user_id)

    async def discard(self, org_id: OrgId) -> int:
        return await logic.discard(calls.caller("rbac"), org_id)

    async def transfer_ownership(self, org_id: OrgId, owner: UserId, successor: UserId) -> None:
        await ownership.transfer_ownership(_caller(owner), org_id, owner, successor)

    async def suspend(self, org_id: OrgId, user_id: UserId | None = None) -> None:
        await suspensions.suspend(calls.caller("rbac"), org_id, user_id)

    async def resume(self, org_id: OrgId, user_id: UserId | None = None) -> None:
        await suspensions.resume(calls.caller("rbac"), org_id, user_id)

    async def lacking(self, caller: Principal, role: str, org_id: OrgId) -> list[str]:
        return await logic.lacking_for(caller, role, org_id)

    async def lacking_against(
        self,
        caller: Principal,
        user_id: UserId,
        org_id: OrgId,
        course_id: UUID | None = None,
        roles: list[str] | None = None,
    ) -> list[str]:
        return await held_roles.lacking_against(caller, user_id, org_id, course_id=course_id, roles=roles)


def _caller(user_id: UserId | None) -> Principal:
    return calls.caller("rbac") if user_id is None else Principal(kind="person", id=user_id)
