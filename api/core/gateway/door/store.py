"""The SQL of the door: all rules that hold, and how often they changed."""

from dataclasses import dataclass
from typing import Any

from cluster.data import Connection, Transaction
from cluster.people.door import Origin, Override, Window


@dataclass(frozen=True, slots=True)
class ActivePlan:
    slug: str
    limits: list[dict[str, Any]]


FIND_VERSION = "SELECT version FROM gateway.door WHERE id = 1"


async def find_version(db: Connection) -> int:
    return await db.value(FIND_VERSION)


UPDATE_VERSION = "UPDATE gateway.door SET version = version + 1 WHERE id = 1 RETURNING version"


async def update_version(tx: Transaction) -> int:
    """Count a change. The row stays locked until the transaction ends: changes have an order."""
    return await tx.value(UPDATE_VERSION)


LIST_ACTIVE_PLANS = "SELECT slug, limits FROM gateway.rate_plans WHERE state = 'active' ORDER BY slug LIMIT 1000"


async def list_active_plans(db: Connection) -> list[ActivePlan]:
    return await db.all(ActivePlan, LIST_ACTIVE_PLANS)


LIST_OVERRIDES = """
SELECT plan_slug AS plan, org_id, key_id, ends_at AS until FROM gateway.rate_overrides
WHERE coalesce(ends_at, 'infinity'::timestamptz) > now() ORDER BY id LIMIT 50000
"""


async def list_overrides(db: Connection) -> list[Override]:
    """List the overrides that hold. Of two for one organization or key the newer one comes later."""
    return await db.all(Override, LIST_OVERRIDES)


LIST_WINDOWS = """
SELECT id, scope, mode, starts_at, ends_at, service, org_id FROM gateway.maintenance_windows
WHERE ends_at > now() ORDER BY ends_at LIMIT 1000
"""


async def list_windows(db: Connection) -> list[Window]:
    return await db.all(Window, LIST_WINDOWS)


LIST_ORIGINS = """
SELECT origin, bool_or(credentials) AS credentials FROM gateway.cors_origins GROUP BY origin ORDER BY origin LIMIT 50000
"""


async def list_origins(db: Connection) -> list[Origin]:
    return await db.all(Origin, LIST_ORIGINS)
