"""Use cases of overrides: give an organization or a key another rate plan, and take it back."""

from datetime import datetime

from api.core.gateway.contract import (
    KeyId,
    RateOverrideCreated,
    RateOverrideEnded,
    RateOverrideId,
    RateOverrideNotFound,
    RatePlanUnknown,
)
from api.core.gateway.door import logic as doors
from api.core.gateway.organizations import ensure_organization
from api.core.gateway.rate_override import store
from api.core.gateway.rate_override.store import NewRateOverride, RateOverride
from api.core.gateway.rate_plan import store as plans
from api.core.gateway.rate_plan.logic import MANAGE, take_turns
from cluster.base.ids import OrgId, new_id
from cluster.base.principal import Principal
from cluster.base.problems import Invalid
from cluster.data import read, write
from cluster.events import emit
from cluster.people.access import permit, permitted, within


async def create_rate_override(
    caller: Principal,
    *,
    plan_slug: str,
    org_id: OrgId | None,
    key_id: KeyId | None,
    reason: str,
    ends_at: datetime | None,
) -> RateOverride:
    """Put an organization or a key under another plan. Of several the newest holds.

    Raises:
        RatePlanUnknown: no version of it is active.
        OrganizationUnknown
        Invalid: the end is past.
    """
    await permit(caller, MANAGE, within())
    await ensure_organization(org_id)
    id = RateOverrideId(new_id())
    new = NewRateOverride(id=id, plan_slug=plan_slug, org_id=org_id, key_id=key_id, reason=reason, ends_at=ends_at)
    async with write(caller, result=id, status=201) as tx:
        if ends_at is not None and ends_at <= tx.now:
            raise Invalid("an override ends in the future", pointer="/ends_at")
        await take_turns(tx)
        if await plans.find_active(tx, plan_slug) is None:
            raise RatePlanUnknown("GET /v1/rate-plans?state=active lists those that are", pointer="/plan")
        override = await store.insert_rate_override(tx, new)
        created = RateOverrideCreated(rate_override_id=override.id, key_id=key_id, org_id=org_id)
        emit(tx, created, version=override.version)
        await doors.changed(tx)
    return override


async def get_rate_override(caller: Principal, rate_override_id: RateOverrideId) -> RateOverride:
    return await permitted(caller, MANAGE, store.find_rate_override, rate_override_id, missing=RateOverrideNotFound)


async def list_rate_overrides(
    caller: Principal,
    *,
    org_id: OrgId | None,
    key_id: KeyId | None,
    ids: list[RateOverrideId] | None,
    before: RateOverrideId | None,
    limit: int,
) -> list[RateOverride]:
    """List overrides, newest first, also those that are over."""
    await permit(caller, MANAGE, within())
    async with read() as db:
        return await store.list_rate_overrides(db, org_id=org_id, key_id=key_id, ids=ids, before=before, limit=limit)


async def end_rate_override(caller: Principal, rate_override_id: RateOverrideId) -> RateOverride:
    """End an override before its time. Over already: nothing changes."""
    known = await get_rate_override(caller, rate_override_id)
    async with write(caller, result=rate_override_id) as tx:
        ended = await store.update_ended(tx, rate_override_id)
        if ended is not None:
            told = RateOverrideEnded(rate_override_id=ended.id, key_id=ended.key_id, org_id=ended.org_id)
            emit(tx, told, version=ended.version)
            await doors.changed(tx)
    return ended or known
