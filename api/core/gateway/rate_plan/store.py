"""The SQL of rate plans."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from api.core.gateway.contract import RatePlanId, RatePlanState
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded


@dataclass(frozen=True, slots=True, kw_only=True)
class RatePlan:
    """A version of a rate plan."""

    id: RatePlanId
    slug: str
    number: int
    state: RatePlanState
    limits: list[dict[str, Any]]
    version: int
    created_at: datetime
    activated_at: datetime | None
    retired_at: datetime | None


_COLUMNS = "id, slug, number, state, limits, version, created_at, activated_at, retired_at"

INSERT_RATE_PLAN = (
    """INSERT INTO gateway.rate_plans (id, slug, number, state, limits, created_at)
    VALUES ($rate_plan_id, $slug,
        (SELECT coalesce(max(number), 0) + 1 FROM gateway.rate_plans WHERE slug = $slug), 'draft', $limits::jsonb, $now)
    RETURNING """
    + _COLUMNS
)


async def insert_rate_plan(
    tx: Transaction, rate_plan_id: RatePlanId, slug: str, limits: list[dict[str, Any]]
) -> RatePlan:
    """Insert the next version of a plan, while the transaction has the turn of its slug."""
    return await tx.one(RatePlan, INSERT_RATE_PLAN, rate_plan_id=rate_plan_id, slug=slug, limits=limits)


FIND_RATE_PLAN = "SELECT " + _COLUMNS + " FROM gateway.rate_plans WHERE id = $rate_plan_id"


async def find_rate_plan(db: Connection, rate_plan_id: RatePlanId) -> Guarded[RatePlan] | None:
    found = await db.maybe(RatePlan, FIND_RATE_PLAN, rate_plan_id=rate_plan_id)
    return None if found is None else Guarded(found, see="rate_plan:manage")


LOCK_RATE_PLAN = FIND_RATE_PLAN + " FOR UPDATE"


async def lock_rate_plan(tx: Transaction, rate_plan_id: RatePlanId) -> RatePlan | None:
    return await tx.maybe(RatePlan, LOCK_RATE_PLAN, rate_plan_id=rate_plan_id)


FIND_ACTIVE = "SELECT " + _COLUMNS + " FROM gateway.rate_plans WHERE slug = $slug AND state = 'active'"


async def find_active(db: Connection, slug: str) -> RatePlan | None:
    return await db.maybe(RatePlan, FIND_ACTIVE, slug=slug)


LIST_RATE_PLANS = (
    "SELECT "
    + _COLUMNS
    + """ FROM gateway.rate_plans
    WHERE ($slug::text IS NULL OR slug = $slug) AND ($state::text IS NULL OR state = $state)
      AND ($ids::uuid[] IS NULL OR id = ANY($ids)) AND ($before::uuid IS NULL OR id < $before)
    ORDER BY id DESC LIMIT $limit"""
)


async def list_rate_plans(
    db: Connection,
    *,
    slug: str | None,
    state: RatePlanState | None,
    ids: list[RatePlanId] | None,
    before: RatePlanId | None,
    limit: int,
) -> list[RatePlan]:
    """List versions of plans, newest first."""
    return await db.all(RatePlan, LIST_RATE_PLANS, slug=slug, state=state, ids=ids, before=before, limit=limit)


UPDATE_LIMITS = (
    "UPDATE gateway.rate_plans SET limits = $limits::jsonb, version = version + 1 WHERE id = $rate_plan_id RETURNING "
    + _COLUMNS
)


async def update_limits(tx: Transaction, rate_plan_id: RatePlanId, limits: list[dict[str, Any]]) -> RatePlan:
    return await tx.one(RatePlan, UPDATE_LIMITS, rate_plan_id=rate_plan_id, limits=limits)


UPDATE_STATE = (
    """UPDATE gateway.rate_plans SET state = $state, version = version + 1,
        activated_at = CASE WHEN $state = 'active' THEN $now ELSE activated_at END,
        retired_at = CASE WHEN $state = 'retired' THEN $now::timestamptz END
    WHERE id = $rate_plan_id RETURNING """
    + _COLUMNS
)


async def update_state(tx: Transaction, rate_plan_id: RatePlanId, state: RatePlanState) -> RatePlan:
    return await tx.one(RatePlan, UPDATE_STATE, rate_plan_id=rate_plan_id, state=state)


FIND_USE = """
SELECT true FROM gateway.rate_overrides WHERE plan_slug = $slug AND coalesce(ends_at, 'infinity'::timestamptz) > $now LIMIT 1
"""


async def find_use(tx: Transaction, slug: str) -> bool:
    """Tell whether an override that holds names the plan."""
    return bool(await tx.value(FIND_USE, slug=slug))
