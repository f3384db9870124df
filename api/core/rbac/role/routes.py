"""HTTP of roles."""

from typing import Annotated

from fastapi import Response
from pydantic import Field

from api.core.rbac.contract import (
    BeyondOwnRights,
    PermissionUnknown,
    RoleId,
    RoleInUse,
    RoleNameTaken,
    RoleNotFound,
    TooManyRoles,
)
from api.core.rbac.role import logic
from cluster.base.ids import OrgId
from cluster.base.problems import Stale
from cluster.http import Answer, Body, Caller, IfMatch, Page, Paging, Patch, Router, Several, View

router = Router("rbac")

Name = Annotated[str, Field(min_length=2, max_length=60, pattern=r"^[a-z][a-z0-9_]*$")]
Title = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
Permissions = Annotated[list[str], Field(min_length=1, max_length=200)]


class NewRole(Body):
    organization_id: OrgId
    name: Name
    title: Title
    permissions: Permissions


class RolePatch(Patch):
    title: Title = ""
    permissions: Permissions = Field(default_factory=list)


class RoleView(View):
    """A role. Built-in roles have neither `id` nor `organization_id`; requests name them by `name`."""

    id: RoleId | None
    organization_id: Annotated[OrgId | None, Field(validation_alias="org_id")]
    name: str
    title: str
    scope: str
    permissions: list[str]


ROLE = Answer(get=logic.get_role, view=RoleView, etag="version", path="/v1/roles/{id}")


@router.get("/v1/roles")
async def list_roles(
    caller: Caller, paging: Paging, organization_id: OrgId | None = None, id: Several[RoleId] = None
) -> Page[RoleView]:
    """List the built-in roles and, with `organization_id`, that organization's own roles, by name."""
    after = paging.after(str, sort="name", organization_id=organization_id, id=id)
    roles = await logic.list_roles(
        caller, organization_id, ids=id, after=after[0] if after else None, limit=paging.rows
    )
    return paging.page(roles, key=lambda role: role.name, render=RoleView.of)


@router.post(
    "/v1/roles",
    status_code=201,
    raises=(RoleNameTaken, PermissionUnknown, BeyondOwnRights, TooManyRoles),
    example={
        "organization_id": "0198c0de-0000-7000-8000-000000000001",
        "name": "role_keeper",
        "title": "Role keeper",
        "permissions": ["grant:read", "role:read"],
    },
)
async def create_role(caller: Caller, new: NewRole, response: Response) -> RoleView:
    """Create a role of an organization, from permissions that the caller holds."""
    work = logic.create_role(caller, new.organization_id, name=new.name, title=new.title, permissions=new.permissions)
    return await ROLE.created(response, caller, work)


@router.get("/v1/roles/{role_id}", raises=(RoleNotFound,))
async def get_role(caller: Caller, role_id: RoleId, response: Response) -> RoleView:
    """Return a role of an organization."""
    return ROLE.show(response, await logic.get_role(caller, role_id))


@router.patch(
    "/v1/roles/{role_id}",
    raises=(RoleNotFound, PermissionUnknown, BeyondOwnRights, Stale),
    example={"title": "Keeper of roles"},
)
async def change_role(
    caller: Caller, role_id: RoleId, patch: RolePatch, version: IfMatch, response: Response
) -> RoleView:
    """Change the title or permissions of a role, for all who have it, at once. The name stays."""
    return await ROLE.once(response, caller, logic.change_role(caller, role_id, patch.changes(), version))


@router.delete("/v1/roles/{role_id}", status_code=204, raises=(RoleNotFound, RoleInUse, BeyondOwnRights, Stale))
async def delete_role(caller: Caller, role_id: RoleId, version: IfMatch) -> None:
    """Delete a role that has no grants."""
    await logic.delete_role(caller, role_id, version)
