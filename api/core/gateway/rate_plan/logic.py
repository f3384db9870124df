"""Use cases of rate plans: draft, change, activate and retire them."""

from typing import Any

from api.core.gateway.contract import (
    RatePlanActivated,
    RatePlanCreated,
    RatePlanEvent,
    RatePlanId,
    RatePlanInUse,
    RatePlanNotActive,
    RatePlanNotDraft,
    RatePlanNotFound,
    RatePlanRetired,
    RatePlanState,
    RatePlanUpdated,
    RouteUnknown,
)
from api.core.gateway.door import logic as doors
from api.core.gateway.limit.rules import is_route
from api.core.gateway.rate_plan import store
from api.core.gateway.rate_plan.store import RatePlan
from cluster.base.ids import new_id
from cluster.base.principal import Principal
from cluster.base.problems import FieldError, Stale
from cluster.data import Transaction, read, write
from cluster.events import emit
from cluster.people.access import permit, permitted, within

MANAGE = "rate_plan:manage"


async def create_rate_plan(caller: Principal, slug: str, limits: list[dict[str, Any]]) -> RatePlan:
    """Draft the next version of a plan.

    Raises:
        RouteUnknown
    """
    await permit(caller, MANAGE, within())
    _check_routes(limits)
    rate_plan_id = RatePlanId(new_id())
    async with write(caller, result=rate_plan_id, status=201) as tx:
        await take_turns(tx)
        plan = await store.insert_rate_plan(tx, rate_plan_id, slug, limits)
        _tell(tx, RatePlanCreated, plan)
    return plan


async def get_rate_plan(caller: Principal, rate_plan_id: RatePlanId) -> RatePlan:
    return await permitted(caller, MANAGE, store.find_rate_plan, rate_plan_id, missing=RatePlanNotFound)


async def list_rate_plans(
    caller: Principal,
    *,
    slug: str | None,
    state: RatePlanState | None,
    ids: list[RatePlanId] | None,
    before: RatePlanId | None,
    limit: int,
) -> list[RatePlan]:
    """List versions of plans, newest first."""
    await permit(caller, MANAGE, within())
    async with read() as db:
        return await store.list_rate_plans(db, slug=slug, state=state, ids=ids, before=before, limit=limit)


async def change_rate_plan(
    caller: Principal, rate_plan_id: RatePlanId, limits: list[dict[str, Any]] | None, expected_version: int
) -> RatePlan:
    """Give a draft other limits; None: keep them.

    Raises:
        RouteUnknown, RatePlanNotDraft, Stale
    """
    await get_rate_plan(caller, rate_plan_id)
    _check_routes(limits or [])
    async with write(caller, result=rate_plan_id) as tx:
        plan = await _lock(tx, rate_plan_id)
        if plan.version != expected_version:
            raise Stale(plan.version)
        if plan.state != "draft":
            raise RatePlanNotDraft("POST /v1/rate-plans drafts the next version")
        if limits is not None:
            plan = await store.update_limits(tx, rate_plan_id, limits)
            _tell(tx, RatePlanUpdated, plan)
    return plan


async def activate_rate_plan(caller: Principal, rate_plan_id: RatePlanId) -> RatePlan:
    """Let a draft hold, in place of the version that holds now. Active already: nothing changes.

    Raises:
        RatePlanNotDraft: it is retired.
    """
    await get_rate_plan(caller, rate_plan_id)
    async with write(caller, result=rate_plan_id) as tx:
        await take_turns(tx)
        plan = await _lock(tx, rate_plan_id)
        if plan.state == "active":
            return plan
        if plan.state == "retired":
            raise RatePlanNotDraft("draft its limits anew")
        before = await store.find_active(tx, plan.slug)
        if before is not None:
            _tell(tx, RatePlanRetired, await store.update_state(tx, before.id, "retired"))
        plan = await store.update_state(tx, rate_plan_id, "active")
        _tell(tx, RatePlanActivated, plan)
        await doors.changed(tx)
    return plan


async def retire_rate_plan(caller: Principal, rate_plan_id: RatePlanId) -> RatePlan:
    """End an active plan. Without an active `default` the limits that the code has hold.

    Raises:
        RatePlanNotActive: it is a draft.
        RatePlanInUse: overrides name it.
    """
    await get_rate_plan(caller, rate_plan_id)
    async with write(caller, result=rate_plan_id) as tx:
        await take_turns(tx)
        plan = await _lock(tx, rate_plan_id)
        if plan.state == "retired":
            return plan
        if plan.state == "draft":
            raise RatePlanNotActive("a draft needs no end: it holds nowhere")
        if await store.find_use(tx, plan.slug):
            raise RatePlanInUse("end these overrides first: GET /v1/rate-overrides lists them")
        plan = await store.update_state(tx, rate_plan_id, "retired")
        _tell(tx, RatePlanRetired, plan)
        await doors.changed(tx)
    return plan


async def take_turns(tx: Transaction) -> None:
    """Let nobody else change which versions of plans are active, or name a plan, until this transaction ends."""
    await tx.take_turns("gateway.rate_plans", None)


async def _lock(tx: Transaction, rate_plan_id: RatePlanId) -> RatePlan:
    plan = await store.lock_rate_plan(tx, rate_plan_id)
    if plan is None:
        raise RatePlanNotFound
    return plan


def _check_routes(limits: list[dict[str, Any]]) -> None:
    """Refuse limits of routes that no request takes: they would limit nothing, and say nothing.

    Raises:
        RouteUnknown
    """
    errors = tuple(
        FieldError(
            f"/limits/{n}/route",
            RouteUnknown.slug(),
            "write the path as /openapi.json does, with the names of its parameters",
            {"route": route},
        )
        for n, limit in enumerate(limits)
        if (route := limit.get("route")) is not None and not is_route(route)
    )
    if errors:
        raise RouteUnknown(errors[0].detail, errors=errors)


def _tell(tx: Transaction, event: type[RatePlanEvent], plan: RatePlan) -> None:
    emit(tx, event(rate_plan_id=plan.id, number=plan.number), version=plan.version)
