"""HTTP of rate plans."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Query, Response
from pydantic import ConfigDict, Field, model_validator

from api.core.gateway.contract import (
    RatePlanId,
    RatePlanInUse,
    RatePlanNotActive,
    RatePlanNotDraft,
    RatePlanNotFound,
    RatePlanState,
    RouteUnknown,
)
from api.core.gateway.rate_plan import logic
from cluster.base.problems import Stale
from cluster.http import Answer, Body, Caller, IfMatch, Page, Paging, Patch, Router, Several, View
from cluster.people.door import BucketKind

router = Router("gateway")

Slug = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$", examples=["default"])]


class LimitOf(Body):
    """How many units a bucket gives in a window. A read costs 1, a write 3, unless the route says otherwise."""

    bucket: BucketKind
    units: Annotated[int, Field(ge=1, le=1_000_000_000, examples=[12_000])]
    window_s: Annotated[int, Field(ge=1, le=86_400, examples=[60])]
    route: Annotated[
        str | None,
        Field(
            pattern=r"^(GET|POST|PUT|PATCH|DELETE) /[!-~]{1,500}$",
            description="Of the bucket `route`: a method and a path as the API document writes it",
        ),
    ] = None

    @model_validator(mode="after")
    def _route_fits(self) -> "LimitOf":
        if (self.bucket == "route") != (self.route is not None):
            raise ValueError("the bucket `route`, and no other, names a route")
        return self


Limits = Annotated[list[LimitOf], Field(min_length=1, max_length=100)]


class NewRatePlan(Body):
    """The next version of a plan. The plan `default` holds where no override says otherwise."""

    slug: Slug
    limits: Limits

    @model_validator(mode="after")
    def _each_once(self) -> "NewRatePlan":
        _check_each_once(self.limits)
        return self

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"slug": "default", "limits": [{"bucket": "person", "units": 12000, "window_s": 60}]}]
        }
    )


class RatePlanChanges(Patch):
    """Changes of a draft."""

    limits: Limits = []

    @model_validator(mode="after")
    def _each_once(self) -> "RatePlanChanges":
        _check_each_once(self.limits)
        return self

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"limits": [{"bucket": "person", "units": 6000, "window_s": 60}]}]}
    )


class RatePlanView(View):
    """A version of a rate plan."""

    id: RatePlanId
    slug: str
    number: int
    state: RatePlanState
    limits: list[dict[str, Any]]
    created_at: datetime
    activated_at: datetime | None
    retired_at: datetime | None


RATE_PLAN = Answer(get=logic.get_rate_plan, view=RatePlanView, etag="version", path="/v1/rate-plans/{id}")


@router.post("/v1/rate-plans", status_code=201, raises=(RouteUnknown,))
async def create_rate_plan(caller: Caller, new: NewRatePlan, response: Response) -> RatePlanView:
    """Draft the next version of a rate plan. Only for the platform's administrators."""
    return await RATE_PLAN.created(response, caller, logic.create_rate_plan(caller, new.slug, _plain(new.limits)))


@router.get("/v1/rate-plans")
async def list_rate_plans(
    caller: Caller,
    paging: Paging,
    slug: Annotated[str | None, Query(max_length=63)] = None,
    state: RatePlanState | None = None,
    id: Several[RatePlanId] = None,
) -> Page[RatePlanView]:
    """List versions of rate plans, newest first. Only for the platform's administrators."""
    after = paging.after(slug=slug, state=state, id=id)
    found = await logic.list_rate_plans(
        caller, slug=slug, state=state, ids=id, before=RatePlanId(after[0]) if after else None, limit=paging.rows
    )
    return paging.page(found, render=RatePlanView.of)


@router.get("/v1/rate-plans/{rate_plan_id}", raises=(RatePlanNotFound,))
async def get_rate_plan(caller: Caller, rate_plan_id: RatePlanId, response: Response) -> RatePlanView:
    """Return a version of a rate plan."""
    return RATE_PLAN.show(response, await logic.get_rate_plan(caller, rate_plan_id))


@router.patch("/v1/rate-plans/{rate_plan_id}", raises=(RatePlanNotFound, RatePlanNotDraft, RouteUnknown, Stale))
async def change_rate_plan(
    caller: Caller, rate_plan_id: RatePlanId, changes: RatePlanChanges, version: IfMatch, response: Response
) -> RatePlanView:
    """Change the limits of a draft."""
    limits = _plain(changes.limits) if "limits" in changes.model_fields_set else None
    return await RATE_PLAN.once(response, caller, logic.change_rate_plan(caller, rate_plan_id, limits, version))


@router.post("/v1/rate-plans/{rate_plan_id}/activate", raises=(RatePlanNotFound, RatePlanNotDraft))
async def activate_rate_plan(caller: Caller, rate_plan_id: RatePlanId, response: Response) -> RatePlanView:
    """Let a draft hold, in place of the version that holds now. Every process obeys within a second."""
    return await RATE_PLAN.once(response, caller, logic.activate_rate_plan(caller, rate_plan_id))


@router.post("/v1/rate-plans/{rate_plan_id}/retire", raises=(RatePlanNotFound, RatePlanNotActive, RatePlanInUse))
async def retire_rate_plan(caller: Caller, rate_plan_id: RatePlanId, response: Response) -> RatePlanView:
    """End an active plan. Without an active `default` the limits of the release hold."""
    return await RATE_PLAN.once(response, caller, logic.retire_rate_plan(caller, rate_plan_id))


def _plain(limits: list[LimitOf]) -> list[dict[str, Any]]:
    return [each.model_dump(exclude_none=True) for each in limits]


def _check_each_once(limits: list[LimitOf]) -> None:
    if len({(each.bucket, each.route) for each in limits}) < len(limits):
        raise ValueError("each bucket, and each route, stands once")
