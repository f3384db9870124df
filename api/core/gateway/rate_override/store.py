"""The SQL of overrides."""

from dataclasses import dataclass
from datetime import datetime

from api.core.gateway.contract import KeyId, RateOverrideId
from cluster.base.ids import OrgId
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded


@dataclass(frozen=True, slots=True, kw_only=True)
class RateOverride:
    """An organization or a key with another rate plan."""

    id: RateOverrideId
    plan_slug: str
    org_id: OrgId | None
    key_id: KeyId | None
    reason: str
    ends_at: datetime | None
    version: int
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRateOverride:
    id: RateOverrideId
    plan_slug: str
    org_id: OrgId | None
    key_id: KeyId | None
    reason: str
    ends_at: datetime | None


_COLUMNS = "id, plan_slug, org_id, key_id, reason, ends_at, version, created_at"

INSERT_RATE_OVERRIDE = (
    """INSERT INTO gateway.rate_overrides (id, plan_slug, org_id, key_id, reason, ends_at, created_at)
    VALUES ($id, $plan_slug, $org_id, $key_id, $reason, $ends_at, $now) RETURNING """
    + _COLUMNS
)


async def insert_rate_override(tx: Transaction, new: NewRateOverride) -> RateOverride:
    return await tx.one(RateOverride, INSERT_RATE_OVERRIDE, new)


FIND_RATE_OVERRIDE = "SELECT " + _COLUMNS + " FROM gateway.rate_overrides WHERE id = $rate_override_id"


async def find_rate_override(db: Connection, rate_override_id: RateOverrideId) -> Guarded[RateOverride] | None:
    found = await db.maybe(RateOverride, FIND_RATE_OVERRIDE, rate_override_id=rate_override_id)
    return None if found is None else Guarded(found, see="rate_plan:manage")


LIST_RATE_OVERRIDES = (
    "SELECT "
    + _COLUMNS
    + """ FROM gateway.rate_overrides
    WHERE ($org_id::uuid IS NULL OR org_id = $org_id) AND ($key_id::uuid IS NULL OR key_id = $key_id)
      AND ($ids::uuid[] IS NULL OR id = ANY($ids)) AND ($before::uuid IS NULL OR id < $before)
    ORDER BY id DESC LIMIT $limit"""
)


async def list_rate_overrides(
    db: Connection,
    *,
    org_id: OrgId | None,
    key_id: KeyId | None,
    ids: list[RateOverrideId] | None,
    before: RateOverrideId | None,
    limit: int,
) -> list[RateOverride]:
    """List overrides, newest first, also those that are over."""
    return await db.all(
        RateOverride, LIST_RATE_OVERRIDES, org_id=org_id, key_id=key_id, ids=ids, before=before, limit=limit
    )


UPDATE_ENDED = (
    """UPDATE gateway.rate_overrides SET ends_at = $now, version = version + 1
    WHERE id = $rate_override_id AND coalesce(ends_at, 'infinity'::timestamptz) > $now RETURNING """
    + _COLUMNS
)


async def update_ended(tx: Transaction, rate_override_id: RateOverrideId) -> RateOverride | None:
    """End an override now; None: it is over."""
    return await tx.maybe(RateOverride, UPDATE_ENDED, rate_override_id=rate_override_id)
