"""The SQL of bulk."""

from collections.abc import Sequence
from uuid import UUID

from cluster.data import Connection
from cluster.jobs.bulk.declare import Line, RowState

_BULK = """operation_id, job_kind, org_id, context, all_or_nothing, dry_run, items, bucket, object_key, phase, position,
    (SELECT true FROM hub.operations WHERE id = operation_id AND state = 'running' AND undo_until IS NOT NULL LIMIT 1) IS TRUE
        AS undoing"""
INSERT_BULK = """
INSERT INTO hub.bulks (operation_id, job_kind, service, org_id, context, all_or_nothing, dry_run, items, bucket,
                       object_key, phase, created_at)
VALUES ($operation_id, $job_kind, $service, $org_id, $context, $all_or_nothing, $dry_run, $items, $bucket, $object_key,
        $phase, $now)
"""
FIND_BULK = "SELECT " + _BULK + " FROM hub.bulks WHERE operation_id = $operation_id"
LOCK_BULK = (
    "SELECT "
    + _BULK
    + " FROM hub.bulks WHERE operation_id = $operation_id AND phase = $phase AND position = $position "
    "FOR UPDATE"
)
UPDATE_BULK = """
UPDATE hub.bulks SET phase = $phase, position = $position,
    items = CASE WHEN $phase = 'over' AND items IS NOT NULL THEN '[]' ELSE items END
WHERE operation_id = $operation_id
"""
# A probe of the index for each key, whatever the statistics of a table that grows just now say. The sum keeps the planner
# from reading the operation in the order of its rows.
LIST_KEYS = """
SELECT wanted.key, line.row
FROM unnest($keys::text[]) AS wanted (key), LATERAL (
    SELECT row FROM hub.bulk_rows WHERE operation_id = $operation_id AND bulk_rows.key = wanted.key ORDER BY row + 0 LIMIT 1
) AS line
"""
INSERT_LINES = """
INSERT INTO hub.bulk_rows (operation_id, row, org_id, user_id, key, state, id, problem, before, after)
SELECT $operation_id, row, $org_id, user_id, key, state, id, problem, before, after
FROM unnest($rows::int[], $user_ids::uuid[], $keys::text[], $states::text[], $ids::uuid[], $problems::jsonb[],
            $states_before::jsonb[], $states_after::jsonb[])
    AS line (row, user_id, key, state, id, problem, before, after)
"""
DELETE_LINES = "DELETE FROM hub.bulk_rows WHERE operation_id = $operation_id"
COUNT_LINES = "SELECT state, count(*) AS count FROM hub.bulk_rows WHERE operation_id = $operation_id GROUP BY state"
_LINE = "row, key, state, id, problem, before, after"
LIST_LINES = (
    "SELECT "
    + _LINE
    + """ FROM hub.bulk_rows
    WHERE operation_id = $operation_id AND row > $after::bigint AND ($states::text[] IS NULL OR state = ANY($states))
    ORDER BY row LIMIT $limit"""
)
# Each half in the order of the index by state: those undone are not read again.
LIST_DONE = (
    "(SELECT "
    + _LINE
    + " FROM hub.bulk_rows WHERE operation_id = $operation_id AND state = 'created' ORDER BY row DESC LIMIT $limit) "
    "UNION ALL (SELECT "
    + _LINE
    + " FROM hub.bulk_rows WHERE operation_id = $operation_id AND state = 'changed' ORDER BY row DESC LIMIT $limit) "
    "ORDER BY row DESC LIMIT $limit"
)
UPDATE_LINES = """
UPDATE hub.bulk_rows SET
    state = CASE WHEN wanted.problem IS NULL THEN 'taken_back' ELSE 'kept' END,
    problem = wanted.problem
FROM unnest($rows::int[], $problems::jsonb[]) AS wanted (row, problem)
WHERE operation_id = $operation_id AND bulk_rows.row = wanted.row
"""
LOCK_UNFINISHED = (
    "SELECT " + _BULK + " FROM hub.bulks WHERE operation_id = $operation_id AND phase <> 'over' FOR UPDATE"
)
# A job's arguments stand in its row. The kind leads to the few that are not finished.
LIST_ABANDONED = """
SELECT operation_id FROM hub.bulks JOIN hub.operations ON operations.id = operation_id
WHERE phase <> 'over' AND operations.state IN ('queued', 'running') AND NOT EXISTS (
    SELECT FROM hub.jobs WHERE jobs.kind = bulks.job_kind AND jobs.state IN ('queued', 'running')
        AND jobs.args ->> 'operation_id' = operation_id::text
)
ORDER BY operation_id LIMIT $limit
"""
LOCK_UNDO = """
SELECT hub.bulks.job_kind, hub.bulks.service FROM hub.bulks JOIN hub.operations ON id = operation_id
WHERE operation_id = $operation_id AND phase = 'over' AND undo_until > $now FOR UPDATE
"""


async def list_lines(
    db: Connection, operation_id: UUID, *, states: Sequence[RowState] | None, after: int, limit: int
) -> list[Line]:
    """List the rows of the report, in the order of the table."""
    return await db.all(Line, LIST_LINES, operation_id=operation_id, states=states, after=after, limit=limit)
