"""The SQL of categories."""

from uuid import UUID

from api.learning.progress.contract import Category, CategoryId
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded, Reach

_CATEGORY = """id, org_id, course_id, run_id, name, weight, drop_lowest, extra_credit, missing_as_zero, version, created_at,
    updated_at"""

FIND_CATEGORY = "SELECT " + _CATEGORY + " FROM progress.categories WHERE id = $category_id"


async def find_category(db: Connection, category_id: CategoryId) -> Guarded[Category] | None:
    """Find a category; only who may read the grade book knows of it."""
    found = await db.maybe(Category, FIND_CATEGORY, category_id=category_id)
    if found is None:
        return None
    return Guarded(found, org_id=found.org_id, course_id=found.course_id, run_id=found.run_id, see="line_item:read")


LOCK_CATEGORY = "SELECT true FROM progress.categories WHERE id = $category_id AND run_id = $run_id FOR SHARE"


async def lock_category(tx: Transaction, category_id: CategoryId, run_id: UUID) -> bool:
    """Hold a category of a run so that it is not deleted meanwhile; False: there is none."""
    return await tx.value(LOCK_CATEGORY, category_id=category_id, run_id=run_id) or False


LIST_CATEGORIES = (
    "SELECT "
    + _CATEGORY
    + """ FROM progress.categories
    WHERE run_id = $run_id
      AND ($everywhere OR org_id = ANY($org_ids::uuid[]) OR course_id = ANY($course_ids::uuid[])
           OR run_id = ANY($run_ids::uuid[]))
      AND ($ids::uuid[] IS NULL OR id = ANY($ids)) AND ($after::uuid IS NULL OR id > $after)
    ORDER BY id LIMIT $limit"""
)


async def list_categories(
    db: Connection, reach: Reach, run_id: UUID, *, ids: list[CategoryId] | None, after: CategoryId | None, limit: int
) -> list[Category]:
    """List the categories of a run within reach, oldest first."""
    return await db.all(Category, LIST_CATEGORIES, reach, run_id=run_id, ids=ids, after=after, limit=limit)


COUNT_OF_RUN = "SELECT count(*) FROM progress.categories WHERE run_id = $run_id"


async def count_of_run(tx: Transaction, run_id: UUID) -> int:
    return await tx.value(COUNT_OF_RUN, run_id=run_id)


INSERT_CATEGORY = """
INSERT INTO progress.categories (id, org_id, course_id, run_id, name, weight, drop_lowest, extra_credit, missing_as_zero,
                                 created_at, updated_at)
VALUES ($id, $org_id, $course_id, $run_id, $name, $weight, $drop_lowest, $extra_credit, $missing_as_zero,
        $created_at, $updated_at)
"""


async def insert_category(tx: Transaction, category: Category) -> None:
    await tx.run(INSERT_CATEGORY, category)


UPDATE_CATEGORY = (
    """UPDATE progress.categories
    SET name = $name, weight = $weight, drop_lowest = $drop_lowest, extra_credit = $extra_credit,
        missing_as_zero = $missing_as_zero, version = version + 1, updated_at = $now
    WHERE id = $id AND version = $expected_version
    RETURNING """
    + _CATEGORY
)


async def update_category(tx: Transaction, category: Category, expected_version: int) -> Category | None:
    """Write all changeable fields; None when its version is another or it is deleted."""
    return await tx.maybe(Category, UPDATE_CATEGORY, category, expected_version=expected_version)


FIND_VERSION = "SELECT version FROM progress.categories WHERE id = $category_id"


async def find_version(tx: Transaction, category_id: CategoryId) -> int | None:
    return await tx.value(FIND_VERSION, category_id=category_id)


DELETE_CATEGORY = "DELETE FROM progress.categories WHERE id = $category_id RETURNING " + _CATEGORY


async def delete_category(tx: Transaction, category_id: CategoryId) -> Category | None:
    """Delete a category; None when it is deleted."""
    return await tx.maybe(Category, DELETE_CATEGORY, category_id=category_id)


FIND_LINE_ITEM = "SELECT true FROM progress.line_items WHERE category_id = $category_id AND deleted_at IS NULL LIMIT 1"


async def find_line_item(tx: Transaction, category_id: CategoryId) -> bool:
    """Tell whether a line item stands in a category."""
    return await tx.value(FIND_LINE_ITEM, category_id=category_id) or False
