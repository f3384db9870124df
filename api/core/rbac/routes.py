"""HTTP of roles and grants."""

from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from fastapi import Query
from pydantic import AwareDatetime, BaseModel, Field, model_validator
from starlette.responses import Response

from api.core.rbac import logic, roles
from api.core.rbac.contract import (
    BeyondOwnRights,
    GrantId,
    GrantNotFound,
    LastOwner,
    PermissionUnknown,
    PlaceUnknown,
    RoleDoesNotFit,
    RoleId,
    RoleInUse,
    RoleNameTaken,
    RoleNotFound,
    RoleUnknown,
    TooManyRoles,
)
from api.core.rbac.logic import NewGrant
from api.core.rbac.roles import Explained, ShownRole
from api.core.rbac.store import Grant, GrantFilter
from cluster.base.ids import OrgId, UserId
from cluster.base.problems import Stale
from cluster.http import Body, Caller, IfMatch, Page, Paging, Patch, Router, Several, once, set_etag

router = Router("rbac")

WireScope = Literal["platform", "organization", "course", "run"]
Name = Annotated[str, Field(min_length=2, max_length=60, pattern=r"^[a-z][a-z0-9_]*$")]
Title = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
Permissions = Annotated[list[str], Field(min_length=1, max_length=200)]


class GrantRequest(Body):
    """A grant to create. `role` is the name of a built-in role or the id of a role of the organization."""

    user_id: UserId
    role: Annotated[str, Field(min_length=1, max_length=60)]
    scope: WireScope
    scope_id: UUID | None = None
    organization_id: OrgId | None = None
    expires_at: AwareDatetime | None = None

    @model_validator(mode="after")
    def _place_is_whole(self) -> Self:
        if self.scope == "platform":
            if self.scope_id is not None or self.organization_id is not None:
                raise ValueError("a grant on the platform has neither scope_id nor organization_id")
        elif self.organization_id is None:
            raise ValueError("organization_id is missing: it says whose place this is")
        elif self.scope == "organization":
            if self.scope_id not in (None, self.organization_id):
                raise ValueError("scope_id of a grant on an organization is its organization_id, or left out")
        elif self.scope_id is None:
            raise ValueError("scope_id is missing: the id of the course or run")
        return self


class GrantView(BaseModel):
    id: GrantId
    user_id: UserId
    role: str
    role_id: RoleId | None
    scope: str
    scope_id: UUID | None
    organization_id: OrgId | None
    expires_at: datetime | None
    granted_by: UserId | None
    created_at: datetime
    ended_at: datetime | None


def render_grant(grant: Grant) -> GrantView:
    return GrantView(
        id=grant.id,
        user_id=grant.user_id,
        role=grant.role,
        role_id=grant.role_id,
        scope=grant.scope,
        scope_id=grant.scope_id,
        organization_id=grant.org_id,
        expires_at=grant.expires_at,
        granted_by=grant.granted_by,
        created_at=grant.created_at,
        ended_at=grant.ended_at,
    )


@router.get("/v1/grants")
async def list_grants(
    caller: Caller,
    paging: Paging,
    organization_id: UUID | None = None,
    user_id: UUID | None = None,
    scope: WireScope | None = None,
    scope_id: UUID | None = None,
    role: Annotated[str | None, Query(max_length=60)] = None,
    id: Several[UUID] = None,
) -> Page[GrantView]:
    """List grants, newest first: the caller's own, and those that the caller may see."""
    wanted = GrantFilter(org_id=organization_id, user_id=user_id, scope=scope, scope_id=scope_id, role=role, ids=id)
    after = paging.after(
        organization_id=organization_id, user_id=user_id, scope=scope, scope_id=scope_id, role=role, id=id
    )
    rows = await logic.list_grants(caller, wanted, after[0] if after else None, paging.limit + 1)
    return paging.page(rows, render=render_grant)


@router.post(
    "/v1/grants",
    status_code=201,
    raises=(RoleUnknown, RoleDoesNotFit, PlaceUnknown, BeyondOwnRights),
    responses={200: {"description": "Granted already", "model": GrantView}},
    example={
        "user_id": "0198c0de-0000-7000-8000-000000000002",
        "role": "org_admin",
        "scope": "organization",
        "organization_id": "0198c0de-0000-7000-8000-000000000001",
    },
)
async def create_grant(caller: Caller, new: GrantRequest, response: Response) -> GrantView:
    """Grant a person a role at a scope. If the grant exists, answer 200 with it, its end set to `expires_at`."""

    async def work() -> Grant:
        grant, created = await logic.create_grant(
            caller,
            NewGrant(
                user_id=new.user_id,
                role=new.role,
                scope=new.scope,
                scope_id=new.organization_id if new.scope == "organization" else new.scope_id,
                org_id=new.organization_id,
                expires_at=new.expires_at,
            ),
        )
        response.status_code = 201 if created else 200
        return grant

    grant = await once(response, work(), again=lambda id: logic.get_grant(caller, GrantId(id)))
    response.headers["Location"] = f"/v1/grants/{grant.id}"
    return render_grant(grant)


@router.get("/v1/grants/{grant_id}", raises=(GrantNotFound,))
async def get_grant(caller: Caller, grant_id: UUID) -> GrantView:
    """Return a grant, also one that has ended."""
    return render_grant(await logic.get_grant(caller, GrantId(grant_id)))


@router.post("/v1/grants/{grant_id}/end", raises=(GrantNotFound, BeyondOwnRights, LastOwner))
async def end_grant(caller: Caller, grant_id: UUID, response: Response) -> GrantView:
    """End a grant: revoke another person's role, or give up one's own."""
    return render_grant(
        await once(
            response,
            logic.end_grant(caller, GrantId(grant_id)),
            again=lambda id: logic.get_grant(caller, GrantId(id)),
        )
    )


class NewRole(Body):
    organization_id: OrgId
    name: Name
    title: Title
    permissions: Permissions


class RolePatch(Patch):
    title: Title = ""
    permissions: Permissions = Field(default_factory=list)


class RoleView(BaseModel):
    """A role. Built-in roles have neither `id` nor `organization_id`; requests name them by `name`."""

    id: RoleId | None
    organization_id: OrgId | None
    name: str
    title: str
    scope: str
    permissions: list[str]


def render_role(role: ShownRole, response: Response | None = None) -> RoleView:
    if response is not None and role.version is not None:
        set_etag(response, role.version)
    return RoleView(
        id=role.id,
        organization_id=role.org_id,
        name=role.name,
        title=role.title,
        scope=role.scope,
        permissions=list(role.permissions),
    )


@router.get("/v1/roles")
async def list_roles(
    caller: Caller, paging: Paging, organization_id: UUID | None = None, id: Several[UUID] = None
) -> Page[RoleView]:
    """List the built-in roles and, with `organization_id`, that organization's own roles, by name."""
    after = paging.after(str, sort="name", organization_id=organization_id, id=id)
    rows = await roles.list_roles(
        caller,
        None if organization_id is None else OrgId(organization_id),
        ids=id,
        after=after[0] if after else None,
        limit=paging.limit + 1,
    )
    return paging.page(rows, key=lambda role: role.name, render=render_role)


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
    role = await once(
        response,
        roles.create_role(
            caller, new.organization_id, name=new.name, title=new.title, permissions=tuple(new.permissions)
        ),
        again=lambda id: roles.get_role(caller, RoleId(id)),
    )
    response.headers["Location"] = f"/v1/roles/{role.id}"
    return render_role(role, response)


@router.get("/v1/roles/-/explain", raises=(PermissionUnknown,))
async def explain(
    caller: Caller,
    user_id: UUID,
    permission: Annotated[str, Query(max_length=100)],
    organization_id: UUID | None = None,
    course_id: UUID | None = None,
    run_id: UUID | None = None,
) -> Explained:
    """Explain why a person has or lacks a permission at a scope: the caller, or a person whose grants the caller may see."""
    return await roles.explain(
        caller,
        UserId(user_id),
        permission,
        org_id=None if organization_id is None else OrgId(organization_id),
        course_id=course_id,
        run_id=run_id,
    )


@router.get("/v1/roles/{role_id}", raises=(RoleNotFound,))
async def get_role(caller: Caller, role_id: UUID, response: Response) -> RoleView:
    """Return a role of an organization."""
    return render_role(await roles.get_role(caller, RoleId(role_id)), response)


@router.patch(
    "/v1/roles/{role_id}",
    raises=(RoleNotFound, PermissionUnknown, BeyondOwnRights, Stale),
    example={"title": "Keeper of roles"},
)
async def change_role(
    caller: Caller, role_id: UUID, patch: RolePatch, version: IfMatch, response: Response
) -> RoleView:
    """Change the title or permissions of a role, for all who have it, at once. The name stays."""
    role = await once(
        response,
        roles.change_role(caller, RoleId(role_id), version, patch.changes()),
        again=lambda id: roles.get_role(caller, RoleId(id)),
    )
    return render_role(role, response)


@router.delete("/v1/roles/{role_id}", status_code=204, raises=(RoleNotFound, RoleInUse, BeyondOwnRights, Stale))
async def delete_role(caller: Caller, role_id: UUID, version: IfMatch) -> None:
    """Delete a role that has no grants."""
    await roles.delete_role(caller, RoleId(role_id), version)
