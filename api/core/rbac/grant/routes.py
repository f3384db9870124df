"""HTTP of grants."""

from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from fastapi import Query, Response
from pydantic import AwareDatetime, Field, model_validator

from api.core.rbac.contract import (
    BeyondOwnRights,
    GrantId,
    GrantNotFound,
    LastOwner,
    PlaceUnknown,
    RoleDoesNotFit,
    RoleId,
    RoleUnknown,
)
from api.core.rbac.grant import logic
from api.core.rbac.grant.store import Grant, GrantFilter, NewGrant
from cluster.base.ids import OrgId, UserId
from cluster.http import Answer, Body, Caller, Page, Paging, Router, Several, View

router = Router("rbac")

WireScope = Literal["platform", "organization", "course", "run"]


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


class GrantView(View):
    id: GrantId
    user_id: UserId
    role: str
    role_id: RoleId | None
    scope: str
    scope_id: UUID | None
    organization_id: Annotated[OrgId | None, Field(validation_alias="org_id")]
    expires_at: datetime | None
    granted_by: UserId | None
    created_at: datetime
    ended_at: datetime | None


GRANT = Answer(get=logic.get_grant, view=GrantView, path="/v1/grants/{id}")


@router.get("/v1/grants")
async def list_grants(
    caller: Caller,
    paging: Paging,
    organization_id: OrgId | None = None,
    user_id: UserId | None = None,
    scope: WireScope | None = None,
    scope_id: UUID | None = None,
    role: Annotated[str | None, Query(max_length=60)] = None,
    id: Several[GrantId] = None,
) -> Page[GrantView]:
    """List grants, newest first: the caller's own, and those that the caller may see."""
    wanted = GrantFilter(org_id=organization_id, user_id=user_id, scope=scope, scope_id=scope_id, role=role, ids=id)
    after = paging.after(
        organization_id=organization_id, user_id=user_id, scope=scope, scope_id=scope_id, role=role, id=id
    )
    grants = await logic.list_grants(caller, wanted, before=GrantId(after[0]) if after else None, limit=paging.rows)
    return paging.page(grants, render=GrantView.of)


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
async def create_grant(caller: Caller, wanted: GrantRequest, response: Response) -> GrantView:
    """Grant a person a role at a scope. If the grant exists, answer 200 with it, its end set to `expires_at`."""
    new = NewGrant(
        user_id=wanted.user_id,
        role=wanted.role,
        scope=wanted.scope,
        scope_id=wanted.organization_id if wanted.scope == "organization" else wanted.scope_id,
        org_id=wanted.organization_id,
        expires_at=wanted.expires_at,
    )

    async def work() -> Grant:
        grant, created = await logic.create_grant(caller, new)
        response.status_code = 201 if created else 200
        return grant

    return await GRANT.created(response, caller, work())


@router.get("/v1/grants/{grant_id}", raises=(GrantNotFound,))
async def get_grant(caller: Caller, grant_id: GrantId, response: Response) -> GrantView:
    """Return a grant, also one that has ended."""
    return GRANT.show(response, await logic.get_grant(caller, grant_id))


@router.post("/v1/grants/{grant_id}/end", raises=(GrantNotFound, BeyondOwnRights, LastOwner))
async def end_grant(caller: Caller, grant_id: GrantId, response: Response) -> GrantView:
    """End a grant: revoke another person's role, or give up one's own."""
    return await GRANT.once(response, caller, logic.end_grant(caller, grant_id))
