"""The SQL of usage."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from cluster.base.ids import OrgId
from cluster.data import Connection, Transaction
from cluster.people.usage import UsageOf, Used


@dataclass(frozen=True, slots=True, kw_only=True)
class HourOfUsage:
    """How much was asked of a route in an hour."""

    hour: datetime
    route: str
    calls: int
    units: int


# Rows are taken in the order of their key, so that processes that add to the same ones wait in one order.
UPSERT_USAGE = """
WITH fresh AS (
    INSERT INTO gateway.usage_lots (id, added_at) VALUES ($lot_id, $now) ON CONFLICT (id) DO NOTHING RETURNING id
)
INSERT INTO gateway.usage AS known (subject_id, hour, route, subject, org_id, calls, units)
SELECT lot.subject_id, lot.hour, lot.route, lot.subject, lot.org_id, lot.calls, lot.units
FROM fresh CROSS JOIN unnest(
    $subject_ids::uuid[], $hours::timestamptz[], $routes::text[], $subjects::text[], $org_ids::uuid[],
    $calls::bigint[], $units::bigint[]
) AS lot (subject_id, hour, route, subject, org_id, calls, units)
ORDER BY lot.subject_id, lot.hour, lot.route
ON CONFLICT (subject_id, hour, route)
DO UPDATE SET calls = known.calls + excluded.calls, units = known.units + excluded.units
"""


async def upsert_usage(tx: Transaction, lot_id: UUID, used: list[Used]) -> None:
    """Add what was used to what is known; a lot that was added before changes nothing."""
    await tx.run(
        UPSERT_USAGE,
        lot_id=lot_id,
        subject_ids=[each.subject_id for each in used],
        hours=[each.hour for each in used],
        routes=[each.route for each in used],
        subjects=[each.of for each in used],
        org_ids=[each.org_id for each in used],
        calls=[each.calls for each in used],
        units=[each.units for each in used],
    )


FIND_ORGANIZATION_OF_KEY = """
SELECT CASE WHEN subject = 'key' THEN org_id END FROM gateway.usage
WHERE subject_id = $key_id ORDER BY hour DESC, route DESC LIMIT 1
"""


async def find_organization_of_key(db: Connection, key_id: UUID) -> OrgId | None:
    """Find the organization that a key was bound to when it asked last."""
    return await db.value(FIND_ORGANIZATION_OF_KEY, key_id=key_id)


LIST_USAGE = """
SELECT hour, route, calls, units FROM gateway.usage
WHERE subject_id = $subject_id AND subject = ANY($subjects::text[])
  AND hour >= $since AND hour < $until AND (hour, route) < ($before_hour, $before_route)
ORDER BY hour DESC, route DESC LIMIT $limit
"""


async def list_usage(
    db: Connection,
    subject_id: UUID,
    subjects: list[UsageOf],
    *,
    since: datetime,
    until: datetime,
    before: tuple[datetime, str],
    limit: int,
) -> list[HourOfUsage]:
    """List what was used, the last hour first."""
    return await db.all(
        HourOfUsage,
        LIST_USAGE,
        subject_id=subject_id,
        subjects=subjects,
        since=since,
        until=until,
        before_hour=before[0],
        before_route=before[1],
        limit=limit,
    )


DELETE_OLD_USAGE = """
DELETE FROM gateway.usage WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM gateway.usage WHERE hour < $before ORDER BY hour LIMIT $limit
))
"""


async def delete_old_usage(tx: Transaction, before: datetime, limit: int) -> int:
    return await tx.run(DELETE_OLD_USAGE, before=before, limit=limit)


DELETE_OLD_USAGE_OF_PEOPLE = """
DELETE FROM gateway.usage WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM gateway.usage WHERE subject = 'person' AND hour < $before ORDER BY hour LIMIT $limit
))
"""


async def delete_old_usage_of_people(tx: Transaction, before: datetime, limit: int) -> int:
    return await tx.run(DELETE_OLD_USAGE_OF_PEOPLE, before=before, limit=limit)


DELETE_OLD_LOTS = """
DELETE FROM gateway.usage_lots WHERE id = ANY(ARRAY(
    SELECT id FROM gateway.usage_lots WHERE added_at < $before ORDER BY added_at LIMIT $limit
))
"""


async def delete_old_lots(tx: Transaction, before: datetime, limit: int) -> int:
    return await tx.run(DELETE_OLD_LOTS, before=before, limit=limit)
