"""Answers `RbacCalls`, and the grants that access asks for."""

from datetime import datetime
from typing import Any
from uuid import UUID

from api.core.rbac.contract import GrantId, RbacCalls
from api.core.rbac.grant import logic, ownership
from api.core.rbac.grant import store as grants
from api.core.rbac.grant.store import NewGrant
from api.core.rbac.held_role import logic as held_roles
from api.core.rbac.suspension import logic as suspensions
from cluster.base.ids import OrgId, UserId
from cluster.base.principal import Principal
from cluster.base.registry import offers_by_service
from cluster.data import read
from cluster.people import calls
from cluster.people.access import GrantedScope, GrantSource, Role, ScopeKind
from cluster.people.notices import AudienceSource, NoticeSource, NoticeText, Reader, only
from cluster.people.wording import find, worded


class Calls(RbacCalls, GrantSource, AudienceSource, NoticeSource):
    async def grants_of(self, user_id: UserId) -> list[GrantedScope]:
        return await held_roles.grants_of(user_id)

    async def grants_at(self, user_id: UserId, places: list[UUID]) -> list[GrantedScope]:
        return await held_roles.grants_at(user_id, places)

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

    async def audience(
        self, relation: str, place_kind: str, place_id: UUID, after: UUID | None, limit: int
    ) -> list[UserId]:
        if relation != "staff":
            return []
        async with read() as db:
            return await grants.list_staff(db, place_kind, place_id, after=after, limit=limit)

    async def recipients(self, notice: str, event: dict[str, Any], after: UUID | None, limit: int) -> list[UserId]:  # noqa: ARG002
        return only(event["user_id"], after)

    async def texts(self, notice: str, event: dict[str, Any], readers: list[Reader]) -> list[NoticeText]:  # noqa: ARG002
        async with read() as db:
            given = await grants.find_given(db, GrantId(UUID(event["grant_id"])))
        if given is None:
            return []
        built_in = {role.name: (service, role.title) for service, role in offers_by_service(Role)}
        service, name = built_in.get(given.role, ("rbac", given.role))
        course_id = given.scope_id if given.scope == "course" else None
        where = f"/courses/{course_id}" if course_id else f"/organizations/{given.org_id}" if given.org_id else "/"
        return [
            text
            for reader in readers
            for text in worded(
                "rbac",
                "rbac.role_given",
                [reader],
                url=where,
                org_id=given.org_id,
                course_id=course_id,
                role=given.title or find(service, "role", given.role, reader) or name,
            )
        ]


def _caller(user_id: UserId | None) -> Principal:
    return calls.caller("rbac") if user_id is None else Principal(kind="person", id=user_id)
