"""Use cases of roles: list them, make, change and delete an organization's own, and find those that can be granted."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any
from uuid import UUID

import asyncpg

from api.core.rbac.contract import (
    BeyondOwnRights,
    PermissionUnknown,
    RoleCreated,
    RoleDeleted,
    RoleId,
    RoleInUse,
    RoleNameTaken,
    RoleNotFound,
    RoleUnknown,
    RoleUpdated,
    TooManyRoles,
)
from api.core.rbac.grant.store import list_holders
from api.core.rbac.role import store
from api.core.rbac.role.store import CustomRole
from cluster.base.ids import OrgId, new_id
from cluster.base.principal import Principal
from cluster.base.problems import FieldError, Stale
from cluster.base.registry import offers
from cluster.data import Connection, read, write
from cluster.events import emit
from cluster.people.access import (
    RELATIONS,
    Permission,
    Role,
    ScopeKind,
    lacking,
    lapsing,
    permissions_of_role,
    permit,
    permitted,
    within,
)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Grantable:
    """A role that can be granted: built in (`id` is None) or of one organization."""

    name: str
    scope: ScopeKind
    permissions: tuple[str, ...]
    id: RoleId | None = None

    @property
    def reference(self) -> str:
        """The name of the role in events and requests: an id in place of text that people wrote."""
        return self.name if self.id is None else str(self.id)


def built_in_roles() -> list[Role]:
    """Return the roles that services offer, in the order of their names."""
    return sorted(offers(Role), key=lambda role: role.name)


@cache
def _grantable_built_in() -> dict[str, Grantable]:
    return {
        role.name: Grantable(name=role.name, scope=role.scope, permissions=permissions_of_role(role.name))
        for role in built_in_roles()
    }


def find_built_in(role: str) -> Grantable | None:
    """Find a built-in role; None: it is none, or an organization's own."""
    return _grantable_built_in().get(role)


async def get_grantable(db: Connection, role: str, org_id: OrgId | None) -> Grantable:
    """Return a role by the name of a built-in one or the id of the organization's own.

    Raises:
        RoleUnknown
    """
    if built_in := find_built_in(role):
        return built_in
    try:
        role_id = RoleId(UUID(role))
    except ValueError:
        role_id = None
    custom = None if role_id is None or org_id is None else await store.find_role_of(db, org_id, role_id)
    if custom is None:
        raise RoleUnknown(f"{role} is no role here; GET /v1/roles lists them", pointer="/role")
    return Grantable(name=custom.name, scope="run", permissions=tuple(custom.permissions), id=custom.id)


async def list_roles(
    caller: Principal, org_id: OrgId | None, *, ids: list[RoleId] | None, after: str | None, limit: int
) -> list[ShownRole]:
    """List roles in the order of their names: the built-in ones and, with `org_id`, the organization's own."""
    caller.person()
    shown = [
        ShownRole(name=role.name, title=role.title, scope=role.scope, permissions=permissions_of_role(role.name))
        for role in built_in_roles()
        if ids is None and (after is None or role.name > after)
    ]
    if org_id is not None:
        await permit(caller, "role:read", within(org_id=org_id))
        async with read() as db:
            shown += [_shown(role) for role in await store.list_roles(db, org_id, ids=ids, after=after, limit=limit)]
    return sorted(shown, key=lambda role: role.name)[:limit]


async def get_role(caller: Principal, role_id: RoleId) -> ShownRole:
    return _shown(await permitted(caller, "role:read", store.find_role, role_id, missing=RoleNotFound))


async def create_role(
    caller: Principal, org_id: OrgId, *, name: str, title: str, permissions: Sequence[str]
) -> ShownRole:
    """Create a role of an organization's own.

    Raises:
        PermissionUnknown, BeyondOwnRights, RoleNameTaken, TooManyRoles
    """
    await permit(caller, "role:manage", within(org_id=org_id))
    _check_permissions(permissions)
    await _check_held(caller, org_id, permissions)
    if name in {role.name for role in built_in_roles()} or name in RELATIONS:
        raise _name_taken(name)
    role_id = RoleId(new_id())
    async with write(caller, result=role_id, status=201) as tx:
        try:
            role = await store.insert_role(
                tx,
                role_id,
                org_id,
                name=name,
                title=title,
                permissions=sorted(set(permissions)),
                max_roles=MAX_ROLES,
            )
        except asyncpg.UniqueViolationError:
            raise _name_taken(name) from None
        if role is None:
            raise TooManyRoles(f"an organization may have {MAX_ROLES} roles of its own: delete one that nobody needs")
        emit(tx, RoleCreated(role_id=role.id, org_id=org_id, permissions=role.permissions), version=role.version)
    return _shown(role)


async def change_role(caller: Principal, role_id: RoleId, changes: dict[str, Any], expected_version: int) -> ShownRole:
    """Change the title or permissions of a role. The caller must hold all that it held and will hold.

    Raises:
        RoleNotFound, PermissionUnknown, BeyondOwnRights, Stale
    """
    seen = await permitted(caller, "role:manage", store.find_role, role_id, missing=RoleNotFound)
    if seen.version != expected_version:
        raise Stale(seen.version)
    if "permissions" in changes:
        _check_permissions(changes["permissions"])
        changes = changes | {"permissions": sorted(set(changes["permissions"]))}
    wanted = replace(seen, **changes)
    await _check_held(caller, seen.org_id, sorted({*wanted.permissions, *seen.permissions}))
    added = sorted(set(wanted.permissions) - set(seen.permissions))
    if lapse := await lapsing(caller, added, within(org_id=seen.org_id), None):
        # The holders of the role would keep these permissions after the caller's own rights have ended.
        raise BeyondOwnRights("your own rights to these end: ask somebody who has them for good", permissions=lapse)
    async with write(caller, result=role_id) as tx:
        role = await store.lock_role(tx, role_id)
        if role is None:
            raise RoleNotFound
        if role.version != expected_version:
            raise Stale(role.version)
        changed = await store.update_role(tx, wanted)
        emit(
            tx,
            RoleUpdated(role_id=role_id, org_id=changed.org_id, permissions=changed.permissions),
            version=changed.version,
        )
        if changed.permissions != role.permissions:
            for user_id in await list_holders(tx, role_id=role_id):
                announce(tx, "access", {"user_id": str(user_id)})
    return _shown(changed)


async def delete_role(caller: Principal, role_id: RoleId, expected_version: int) -> None:
    """Delete a role without grants.

    Raises:
        RoleNotFound, RoleInUse, BeyondOwnRights, Stale
    """
    seen = await permitted(caller, "role:manage", store.find_role, role_id, missing=RoleNotFound)
    await _check_held(caller, seen.org_id, seen.permissions)
    async with write(caller, result=role_id, status=204) as tx:
        role = await store.lock_role(tx, role_id)
        if role is None:
            raise RoleNotFound
        if role.version != expected_version:
            raise Stale(role.version)
        last_version = await store.delete_role(tx, role_id)
        if last_version is None:
            raise RoleInUse("end its grants first: GET /v1/grants?role= with the role's id lists them")
        emit(tx, RoleDeleted(role_id=role_id, org_id=role.org_id), version=last_version)


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


def _name_taken(name: str) -> RoleNameTaken:
    return RoleNameTaken(f"there is a role {name} already; choose another name", pointer="/name")


def _check_permissions(permissions: Sequence[str]) -> None:
    known = {permission.name for permission in offers(Permission)}
    errors = tuple(
        FieldError(f"/permissions/{index}", PermissionUnknown.slug(), f"there is no permission {name}: check its name")
        for index, name in enumerate(permissions)
        if name not in known
    )
    if errors:
        raise PermissionUnknown("GET /v1/roles shows which permissions the built-in roles have", errors=errors)


async def _check_held(caller: Principal, org_id: OrgId, permissions: Sequence[str]) -> None:
    missing = await lacking(caller, permissions, within(org_id=org_id))
    if missing:
        raise BeyondOwnRights("a role may hold what you hold in the organization yourself", permissions=missing)
