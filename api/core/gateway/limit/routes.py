"""HTTP of what callers may ask."""

from typing import Annotated, Literal

from fastapi import Request
from pydantic import Field

from api.core.gateway.contract import RouteNotFound
from api.core.gateway.limit.rules import price_of
from cluster.http import Body, Caller, Router, View
from cluster.http.passage import Passage, Standing
from cluster.people import door

router = Router("gateway")


class LimitView(View):
    """One of the caller's buckets."""

    policy: str = Field(description="As `RateLimit-Policy` names it: key, person, organization, address or route")
    units: int
    window_s: int
    left: int
    full_in_s: int = Field(description="How many seconds until the bucket is full again")


class LimitsView(View):
    """What the caller may ask. An organization that is asked for has a limit of its own, if its plan says so."""

    plan: str = Field(description="The most specific plan that holds for the caller")
    items: list[LimitView]


class Call(Body):
    """A call that is not made yet."""

    method: Annotated[Literal["GET", "POST", "PUT", "PATCH", "DELETE"], Field(examples=["GET"])]
    path: Annotated[str, Field(pattern="^/", max_length=2000, examples=["/v1/courses"])]


class PriceView(View):
    """What a call would cost, and what of."""

    method: str
    path: str = Field(description="As the API document writes it")
    cost: int
    items: list[LimitView]


@router.get("/v1/gateway/-/limits", public=True)
async def get_limits(caller: Caller, request: Request) -> LimitsView:
    """Return the caller's limits, and what is left of them."""
    key_id = caller.id if caller.kind == "service_account" else None
    plan = door.current().limits(key_id, caller.bound_org).plan
    return LimitsView(plan=plan, items=await _standing(request, ""))


@router.post("/v1/gateway/-/price", public=True, raises=(RouteNotFound,), cost=1)
async def get_price(request: Request, call: Call) -> PriceView:
    """Say what a call would cost the caller, before it is made."""
    priced = price_of(call.method, call.path)
    if priced is None:
        raise RouteNotFound("/openapi.json lists them all", pointer="/path")
    return PriceView(
        method=call.method,
        path=priced.path,
        cost=priced.cost,
        items=await _standing(request, f"{call.method} {priced.path}"),
    )


async def _standing(request: Request, route: str) -> list[LimitView]:
    passage: Passage | None = request.scope["state"].get("passage")
    return [] if passage is None else [_view(each) for each in await passage.standing(route)]


def _view(standing: Standing) -> LimitView:
    quota = standing.quota
    return LimitView(
        policy=standing.policy,
        units=quota.units,
        window_s=quota.window_s,
        left=standing.left,
        full_in_s=standing.full_in_s,
    )
