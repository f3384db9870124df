"""The SQL of line items, and of the runs that they stand in."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from api.learning.progress.contract import LineItem, LineItemId, PutLineItem
from cluster.base.ids import OrgId
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded, Reach


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a run lies."""

    run_id: UUID
    org_id: OrgId
    course_id: UUID

    def guarded(self) -> "Guarded[Place]":
        """Wrap it: who may not see its grade book does not learn that it is there."""
        return Guarded(self, org_id=self.org_id, course_id=self.course_id, run_id=self.run_id, see="line_item:read")


UPSERT_RUN = """
INSERT INTO progress.runs (run_id, org_id, course_id, version) VALUES ($run_id, $org_id, $course_id, $version)
ON CONFLICT (run_id) DO UPDATE SET version = excluded.version WHERE runs.version < excluded.version
"""


async def upsert_run(tx: Transaction, place: Place, version: int) -> None:
    """Remember what course tells; older news change nothing."""
    await tx.run(UPSERT_RUN, place, version=version)


FIND_RUN = "SELECT run_id, org_id, course_id FROM progress.runs WHERE run_id = $run_id"


async def find_run(db: Connection, run_id: UUID) -> Place | None:
    return await db.maybe(Place, FIND_RUN, run_id=run_id)


_ITEM = """id, org_id, course_id, run_id, label, score_maximum, extra_credit, due_at, released, category_id, weight, service,
    resource_id, version, created_at, updated_at"""


def guard(item: LineItem) -> Guarded[LineItem]:
    """Guard a line item; only who may read the grade book knows of it."""
    return Guarded(item, org_id=item.org_id, course_id=item.course_id, run_id=item.run_id, see="line_item:read")


FIND_LINE_ITEM = "SELECT " + _ITEM + " FROM progress.line_items WHERE id = $line_item_id AND deleted_at IS NULL"


async def find_line_item(db: Connection, line_item_id: LineItemId) -> Guarded[LineItem] | None:
    item = await db.maybe(LineItem, FIND_LINE_ITEM, line_item_id=line_item_id)
    return None if item is None else guard(item)


FIND_OF_RESOURCE = (
    "SELECT "
    + _ITEM
    + """ FROM progress.line_items
    WHERE run_id = $run_id AND service = $service AND resource_id = $resource_id AND deleted_at IS NULL"""
)


async def find_of_resource(db: Connection, run_id: UUID, service: str, resource_id: UUID) -> LineItem | None:
    return await db.maybe(LineItem, FIND_OF_RESOURCE, run_id=run_id, service=service, resource_id=resource_id)


LIST_LINE_ITEMS = (
    "SELECT "
    + _ITEM
    + """ FROM progress.line_items
    WHERE run_id = $run_id AND deleted_at IS NULL
      AND ($everywhere OR org_id = ANY($org_ids::uuid[]) OR course_id = ANY($course_ids::uuid[])
           OR run_id = ANY($run_ids::uuid[]))
      AND ($ids::uuid[] IS NULL OR id = ANY($ids)) AND ($after::uuid IS NULL OR id > $after)
    ORDER BY id LIMIT $limit"""
)


async def list_line_items(
    db: Connection, reach: Reach, run_id: UUID, *, ids: list[LineItemId] | None, after: LineItemId | None, limit: int
) -> list[LineItem]:
    """List the line items of a run within reach, oldest first."""
    return await db.all(LineItem, LIST_LINE_ITEMS, reach, run_id=run_id, ids=ids, after=after, limit=limit)


COUNT_OF_RUN = "SELECT count(*) FROM progress.line_items WHERE run_id = $run_id AND deleted_at IS NULL"


async def count_of_run(tx: Transaction, run_id: UUID) -> int:
    return await tx.value(COUNT_OF_RUN, run_id=run_id)


INSERT_LINE_ITEM = """
INSERT INTO progress.line_items (id, org_id, course_id, run_id, label, score_maximum, extra_credit, due_at, released,
                                 category_id, weight, service, resource_id, created_at, updated_at)
VALUES ($id, $org_id, $course_id, $run_id, $label, $score_maximum, $extra_credit, $due_at, $released,
        $category_id, $weight, $service, $resource_id, $created_at, $updated_at)
"""


async def insert_line_item(tx: Transaction, item: LineItem) -> None:
    await tx.run(INSERT_LINE_ITEM, item)


UPDATE_LINE_ITEM = (
    """UPDATE progress.line_items
    SET label = $label, score_maximum = $score_maximum, extra_credit = $extra_credit, due_at = $due_at,
        released = $released, category_id = $category_id, weight = $weight, version = version + 1, updated_at = $now
    WHERE id = $id AND version = $expected_version AND deleted_at IS NULL
    RETURNING """
    + _ITEM
)


async def update_line_item(tx: Transaction, item: LineItem, expected_version: int) -> LineItem | None:
    """Write all changeable fields; None when its version is another or it is deleted."""
    return await tx.maybe(LineItem, UPDATE_LINE_ITEM, item, expected_version=expected_version)


UPDATE_AS_PUT = (
    """UPDATE progress.line_items
    SET label = $label, score_maximum = $score_maximum, due_at = $due_at, version = version + 1, updated_at = $now
    WHERE run_id = $run_id AND service = $service AND resource_id = $resource_id AND deleted_at IS NULL
      AND (label, score_maximum, due_at) IS DISTINCT FROM ($label, $score_maximum::numeric(12, 4), $due_at)
    RETURNING """
    + _ITEM
)


async def update_as_put(tx: Transaction, wanted: PutLineItem) -> LineItem | None:
    """Change the line item of a thing as its service wants it; None when nothing is to be changed."""
    return await tx.maybe(LineItem, UPDATE_AS_PUT, wanted)


FIND_VERSION = "SELECT version FROM progress.line_items WHERE id = $line_item_id AND deleted_at IS NULL"


async def find_version(tx: Transaction, line_item_id: LineItemId) -> int | None:
    return await tx.value(FIND_VERSION, line_item_id=line_item_id)


UPDATE_DELETED = (
    """UPDATE progress.line_items SET deleted_at = $now, version = version + 1, updated_at = $now
    WHERE id = $line_item_id AND deleted_at IS NULL RETURNING """
    + _ITEM
)


async def update_deleted(tx: Transaction, line_item_id: LineItemId) -> LineItem | None:
    """Delete a line item; None when it is deleted."""
    return await tx.maybe(LineItem, UPDATE_DELETED, line_item_id=line_item_id)


FIND_GIVEN = "SELECT true FROM progress.results WHERE line_item_id = $line_item_id AND state <> 'withdrawn' LIMIT 1"


async def find_given(tx: Transaction, line_item_id: LineItemId) -> bool:
    """Tell whether a learner has a score that is not withdrawn."""
    return await tx.value(FIND_GIVEN, line_item_id=line_item_id) or False


DELETE_SCORES = """
DELETE FROM progress.scores WHERE id IN (
    SELECT s.id FROM progress.line_items i JOIN progress.scores s ON s.line_item_id = i.id
    WHERE i.deleted_at < $before LIMIT $limit)
"""
DELETE_RESULTS = """
DELETE FROM progress.results WHERE id IN (
    SELECT r.id FROM progress.line_items i JOIN progress.results r ON r.line_item_id = i.id
    WHERE i.deleted_at < $before LIMIT $limit)
"""
DELETE_LINE_ITEMS = """
DELETE FROM progress.line_items WHERE id IN (
    SELECT id FROM progress.line_items WHERE deleted_at < $before LIMIT $limit)
"""


async def delete_purged(tx: Transaction, before: datetime, limit: int) -> int:
    """Delete for good: rows of the history, then results, then the line items, when nothing is left of them."""
    if await tx.run(DELETE_SCORES, before=before, limit=limit) or await tx.run(
        DELETE_RESULTS, before=before, limit=limit
    ):
        return limit
    return await tx.run(DELETE_LINE_ITEMS, before=before, limit=limit)
