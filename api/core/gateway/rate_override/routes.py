"""HTTP of overrides."""

from datetime import datetime
from typing import Annotated

from fastapi import Response
from pydantic import AwareDatetime, ConfigDict, Field, model_validator

from api.core.gateway.contract import (
    KeyId,
    OrganizationUnknown,
    RateOverrideId,
    RateOverrideNotFound,
    RatePlanUnknown,
)
from api.core.gateway.rate_override import logic
from api.core.gateway.rate_plan.routes import Slug
from cluster.base.ids import OrgId
from cluster.http import Answer, Body, Caller, Page, Paging, Router, Several, View

router = Router("gateway")


class NewRateOverride(Body):
    """Another plan for an organization, or for a key. It replaces, it does not add: the key's holds before the organization's."""

    plan: Slug
    organization_id: OrgId | None = None
    key_id: Annotated[KeyId | None, Field(description="Of an API key or a service account")] = None
    reason: Annotated[str, Field(min_length=1, max_length=500)]
    ends_at: Annotated[AwareDatetime | None, Field(description="Null: until it is ended")] = None

    @model_validator(mode="after")
    def _names_one(self) -> "NewRateOverride":
        if (self.organization_id is None) == (self.key_id is None):
            raise ValueError("name an organization or a key")
        return self

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "plan": "generous",
                    "organization_id": "0198c0de-0000-7000-8000-000000000003",
                    "reason": "moves its courses here",
                    "ends_at": "2031-05-04T20:00:00Z",
                }
            ]
        }
    )


class RateOverrideView(View):
    """An organization or a key with another rate plan."""

    id: RateOverrideId
    plan: Annotated[str, Field(validation_alias="plan_slug")]
    organization_id: Annotated[OrgId | None, Field(validation_alias="org_id")]
    key_id: KeyId | None
    reason: str
    ends_at: datetime | None
    created_at: datetime


RATE_OVERRIDE = Answer(get=logic.get_rate_override, view=RateOverrideView, path="/v1/rate-overrides/{id}")


@router.post("/v1/rate-overrides", status_code=201, raises=(RatePlanUnknown, OrganizationUnknown))
async def create_rate_override(caller: Caller, new: NewRateOverride, response: Response) -> RateOverrideView:
    """Put an organization or a key under another rate plan. Only for the platform's administrators."""
    work = logic.create_rate_override(
        caller,
        plan_slug=new.plan,
        org_id=new.organization_id,
        key_id=new.key_id,
        reason=new.reason,
        ends_at=new.ends_at,
    )
    return await RATE_OVERRIDE.created(response, caller, work)


@router.get("/v1/rate-overrides")
async def list_rate_overrides(
    caller: Caller,
    paging: Paging,
    organization_id: OrgId | None = None,
    key_id: KeyId | None = None,
    id: Several[RateOverrideId] = None,
) -> Page[RateOverrideView]:
    """List overrides, newest first, also those that are over. Only for the platform's administrators."""
    after = paging.after(org=organization_id, key=key_id, id=id)
    found = await logic.list_rate_overrides(
        caller,
        org_id=organization_id,
        key_id=key_id,
        ids=id,
        before=RateOverrideId(after[0]) if after else None,
        limit=paging.rows,
    )
    return paging.page(found, render=RateOverrideView.of)


@router.get("/v1/rate-overrides/{rate_override_id}", raises=(RateOverrideNotFound,))
async def get_rate_override(caller: Caller, rate_override_id: RateOverrideId) -> RateOverrideView:
    """Return an override."""
    return RateOverrideView.of(await logic.get_rate_override(caller, rate_override_id))


@router.post("/v1/rate-overrides/{rate_override_id}/end", raises=(RateOverrideNotFound,))
async def end_rate_override(caller: Caller, rate_override_id: RateOverrideId, response: Response) -> RateOverrideView:
    """End an override before its time."""
    return await RATE_OVERRIDE.once(response, caller, logic.end_rate_override(caller, rate_override_id))
