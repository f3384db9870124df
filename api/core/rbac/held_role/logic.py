"""Use cases of held roles: what a person was granted, compare it with the caller's rights, and explain a permission."""

from dataclasses import dataclass
from uuid import UUID

from api.core.rbac.contract import PermissionUnknown
from api.core.rbac.held_role import store
from api.core.rbac.held_role.store import HeldRole
from cluster.base.ids import OrgId, UserId
from cluster.base.principal import Principal
from cluster.data import read
from cluster.people.access import (
    GrantedScope,
    MemberSource,
    ScopeKind,
    lacking,
    permissions_of_role,
    permit,
    roles_with,
    within,
)
from cluster.people.calls import client


async def grants_of(user_id: UserId) -> list[GrantedScope]:
    """Return all that a person was granted and that counts now."""
    async with read() as db:
        held = await store.list_held_roles(db, user_id)
    return [_granted(role) for role in held]


async def grants_at(user_id: UserId, places: list[UUID]) -> list[GrantedScope]:
    """Return what a person was granted on the platform and on these places, and that counts now."""
    async with read() as db:
        held = await store.list_held_roles_on(db, user_id, places)
    return [_granted(role) for role in held]


def _granted(held: HeldRole) -> GrantedScope:
    return GrantedScope(held.scope, held.scope_id, held.org_id, _permissions_of(held), held.expires_at)


def _permissions_of(held: HeldRole) -> tuple[str, ...]:
    return permissions_of_role(held.role) if held.permissions is None else tuple(held.permissions)


async def lacking_against(
    caller: Principal,
    user_id: UserId,
    org_id: OrgId,
    *,
    course_id: UUID | None = None,
    roles: list[str] | None = None,
) -> list[str]:
    """Return the permissions that a person was granted in an organization itself, or in its course, and the caller lacks there.

    A caller with fewer rights must not take them away. `roles`: only the permissions of these built-in roles.
    """
    scope, scope_id = ("organization", org_id) if course_id is None else ("course", course_id)
    async with read() as db:
        held = await store.list_held_roles_at(db, user_id, scope, scope_id)
    taken = [role for role in held if roles is None or (role.permissions is None and role.role in roles)]
    permissions = {permission for role in taken for permission in _permissions_of(role)}
    return await lacking(caller, sorted(permissions), within(org_id=org_id, course_id=course_id))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """A fact that gives the permission: a grant, or a relation that counts as a role."""

    kind: str
    role: str
    scope: ScopeKind | None = None
    scope_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """`roles`: the roles and relations that have the permission. `reasons`: the facts that give it; empty if it is refused."""

    user_id: UserId
    permission: str
    allowed: bool
    reasons: list[Reason]
    roles: list[str]


async def explain(
    caller: Principal,
    user_id: UserId,
    permission: str,
    *,
    org_id: OrgId | None,
    course_id: UUID | None,
    run_id: UUID | None,
) -> Explained:
    """Return the facts that give a person a permission at a place.

    The owner of a resource (`self`) and the learners of a run are not known here and not counted.

    Raises:
        PermissionUnknown, Forbidden, NotFound
    """
    if caller.person() != user_id:
        await permit(caller, "grant:read", within(org_id=org_id))
    try:
        roles = roles_with(permission)
    except LookupError:
        raise PermissionUnknown(f"there is no permission {permission}", pointer="/query/permission") from None
    reasons = [Reason(kind="relation", role=role) for role in ("anyone", "signed_in") if role in roles]
    if org_id is not None and "member" in roles and org_id in await client(MemberSource).organizations_of(user_id):
        reasons.append(Reason(kind="relation", role="member"))
    async with read() as db:
        held = await store.list_held_roles(db, user_id)
    place_ids = {"platform": None, "organization": org_id, "course": course_id, "run": run_id}
    reasons += [
        Reason(kind="grant", role=role.role, scope=role.scope, scope_id=role.scope_id)
        for role in held
        if permission in _permissions_of(role)
        and (role.scope == "platform" or (role.scope_id is not None and place_ids.get(role.scope) == role.scope_id))
        and (org_id is None or role.org_id in (None, org_id))
    ]
    return Explained(
        user_id=user_id, permission=permission, allowed=bool(reasons), reasons=reasons, roles=sorted(roles)
    )
