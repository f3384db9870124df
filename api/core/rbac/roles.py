"""Roles: list them, make an organization's own, and explain why somebody may do something."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from api.core.rbac import store
from api.core.rbac.contract import (
    BeyondOwnRights,
    PermissionUnknown,
    RoleCreated,
    RoleDeleted,
    RoleId,
    RoleInUse,
    RoleNotFound,
    RoleUpdated,
    TooManyRoles,
)
from api.core.rbac.logic import built_in_roles, permissions_of
from api.core.rbac.store import CustomRole
from cluster.base.ids import OrgId, UserId, new_id
from cluster.base.principal import Principal
from cluster.base.problems import FieldError, Stale
from cluster.base.registry import offers
from cluster.data import read, write
from cluster.events import emit
from cluster.people.access import (
    RELATIONS,
    MemberSource,
    Permission,
    ScopeKind,
    lacking,
    lapsing,
    permissions_of_role,
    permit,
    roles_with,
    within,
)
from cluster.people.calls import client
from cluster.signals.broadcast import announce

MAX_ROLES = 100
"""Of an organization's own. More are a sign that grants on courses are wanted instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownRole:
    """A built-in role, or one of an organization's own."""

    name: str
    title: str
    scope: ScopeKind
    permissions: Sequence[str]
    id: RoleId | None = None
    org_id: OrgId | None = None
    version: int | None = None


def _shown(role: CustomRole) -> ShownRole:
    return ShownRole(
        id=role.id,
        org_id=role.org_id,
        name=role.name,
        title=role.title,
        scope="organization",
        permissions=role.permissions,
        version=role.version,
    )


def _check_permissions(permissions: Sequence[str]) -> None:
    known = {permission.name for permission in offers(Permission)}
    errors = tuple(
        FieldError(f"/permissions/{index}", PermissionUnknown.slug(), f"there is no permission {name}: check its name")
        for index, name in enumerate(permissions)
        if name not in known
    )
    if errors:
        raise PermissionUnknown("GET /v1/roles shows which permissions the built-in roles have", errors=errors)


async def _check_held(principal: Principal, org_id: OrgId, permissions: Sequence[str]) -> None:
    missing = await lacking(principal, permissions, within(org_id=org_id))
    if missing:
        raise BeyondOwnRights("a role may hold what you hold in the organization yourself", permissions=missing)


async def list_roles(
    principal: Principal, org_id: OrgId | None, *, ids: list[UUID] | None, after: str | None, limit: int
) -> list[ShownRole]:
    """Return roles in the order of their names."""
    principal.person()
    shown = [
        ShownRole(name=role.name, title=role.title, scope=role.scope, permissions=permissions_of_role(role.name))
        for role in built_in_roles()
        if ids is None and (after is None or role.name > after)
    ]
    if org_id is not None:
        await permit(principal, "role:read", within(org_id=org_id))
        async with read() as db:
            shown += [_shown(role) for role in await store.list_roles(db, org_id, ids=ids, after=after, limit=limit)]
    return sorted(shown, key=lambda role: role.name)[:limit]


async def get_role(principal: Principal, role_id: RoleId) -> ShownRole:
    async with read() as db:
        guarded = await store.find_role(db, role_id)
    return _shown(await permit(principal, "role:read", guarded, missing=RoleNotFound))


async def create_role(
    principal: Principal, org_id: OrgId, *, name: str, title: str, permissions: tuple[str, ...]
) -> ShownRole:
    """Make a role of an organization's own.

    Raises:
        PermissionUnknown, BeyondOwnRights, RoleNameTaken, TooManyRoles
    """
    await permit(principal, "role:manage", within(org_id=org_id))
    _check_permissions(permissions)
    await _check_held(principal, org_id, permissions)
    if name in {role.name for role in built_in_roles()} or name in RELATIONS:
        raise store.name_taken(name)
    role_id = RoleId(new_id())
    async with write(principal, result=role_id, status=201) as tx:
        role = await store.insert_role(
            tx, role_id, org_id, name=name, title=title, permissions=sorted(set(permissions)), at_most=MAX_ROLES
        )
        if role is None:
            raise TooManyRoles(f"an organization may have {MAX_ROLES} roles of its own: delete one that nobody needs")
        emit(tx, RoleCreated(role_id=role.id, org_id=org_id, permissions=list(role.permissions)), version=role.version)
    return _shown(role)


async def change_role(principal: Principal, role_id: RoleId, version: int, changes: dict[str, Any]) -> ShownRole:
    """Change a role; one must hold all that it held and will hold.

    Raises:
        RoleNotFound, PermissionUnknown, BeyondOwnRights, Stale
    """
    async with read() as db:
        guarded = await store.find_role(db, role_id)
    seen = await permit(principal, "role:manage", guarded, missing=RoleNotFound)
    if seen.version != version:
        raise Stale(seen.version)
    permissions = sorted(set(changes.get("permissions", seen.permissions)))
    _check_permissions(changes.get("permissions", ()))
    await _check_held(principal, seen.org_id, sorted({*permissions, *seen.permissions}))
    added = sorted(set(permissions) - set(seen.permissions))
    if lapse := await lapsing(principal, added, within(org_id=seen.org_id), None):
        # Whoever has the role would keep them beyond the rights of who adds them.
        raise BeyondOwnRights("your own rights to these end: ask somebody who has them for good", permissions=lapse)
    async with write(principal, result=role_id) as tx:
        role = await store.lock_role(tx, role_id)
        if role is None:
            raise RoleNotFound
        if role.version != version:
            raise Stale(role.version)
        changed = await store.update_role(tx, role_id, title=changes.get("title", role.title), permissions=permissions)
        emit(
            tx,
            RoleUpdated(role_id=role_id, org_id=changed.org_id, permissions=list(changed.permissions)),
            version=changed.version,
        )
        if changed.permissions != role.permissions:
            for user_id in await store.list_holders(tx, role_id=role_id):
                announce(tx, "access", {"user_id": str(user_id)})
    return _shown(changed)


async def delete_role(principal: Principal, role_id: RoleId, version: int) -> None:
    """Delete a role that nobody has.

    Raises:
        RoleNotFound, RoleInUse, BeyondOwnRights, Stale
    """
    async with read() as db:
        guarded = await store.find_role(db, role_id)
    seen = await permit(principal, "role:manage", guarded, missing=RoleNotFound)
    await _check_held(principal, seen.org_id, seen.permissions)
    async with write(principal, result=role_id, status=204) as tx:
        role = await store.lock_role(tx, role_id)
        if role is None:
            raise RoleNotFound
        if role.version != version:
            raise Stale(role.version)
        last = await store.delete_role(tx, role_id)
        if last is None:
            raise RoleInUse("end its grants first: GET /v1/grants?role= with the role's id lists them")
        emit(tx, RoleDeleted(role_id=role_id, org_id=role.org_id), version=last)


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
    principal: Principal,
    user_id: UserId,
    permission: str,
    *,
    org_id: OrgId | None,
    course_id: UUID | None,
    run_id: UUID | None,
) -> Explained:
    """Say which facts let a person do something at a place.

    What follows from a resource's owner (`self`) or from learning in a run is not known here and not counted.

    Raises:
        PermissionUnknown, Forbidden, NotFound
    """
    if principal.person() != user_id:
        await permit(principal, "grant:read", within(org_id=org_id, public=org_id is None))
    try:
        roles = roles_with(permission)
    except LookupError:
        raise PermissionUnknown(f"there is no permission {permission}", pointer="/query/permission") from None
    reasons = [Reason(kind="relation", role=role) for role in ("anyone", "signed_in") if role in roles]
    if org_id is not None and "member" in roles and org_id in await client(MemberSource).organizations_of(user_id):
        reasons.append(Reason(kind="relation", role="member"))
    async with read() as db:
        held = await store.list_held_roles(db, user_id)
    reach = {"platform": None, "organization": org_id, "course": course_id, "run": run_id}
    reasons += [
        Reason(kind="grant", role=role.role, scope=role.scope, scope_id=role.scope_id)
        for role in held
        if permission in permissions_of(role)
        and (role.scope == "platform" or (role.scope_id is not None and reach.get(role.scope) == role.scope_id))
        and (org_id is None or role.org_id in (None, org_id))
    ]
    return Explained(
        user_id=user_id, permission=permission, allowed=bool(reasons), reasons=reasons, roles=sorted(roles)
    )
