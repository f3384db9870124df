"""Use cases of categories: make, change and delete; every change makes the totals of the run anew."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from api.learning.progress.category import store
from api.learning.progress.contract import (
    Category,
    CategoryCreated,
    CategoryDeleted,
    CategoryEvent,
    CategoryId,
    CategoryInUse,
    CategoryNotFound,
    CategoryUpdated,
    TooManyCategories,
)
from api.learning.progress.line_item.logic import permitted_place
from api.learning.progress.totals.logic import scheme_changed
from cluster.base.ids import new_id
from cluster.base.principal import Principal
from cluster.base.problems import Stale
from cluster.data import Transaction, read, write
from cluster.events import emit
from cluster.people.access import permitted, reach_of

MOST_CATEGORIES = 50
"""Of one run."""


async def create_category(caller: Principal, run_id: UUID, fields: dict[str, Any]) -> Category:
    """Make a category of a run.

    Raises:
        RunUnknown, Forbidden, TooManyCategories
    """
    place = await permitted_place(caller, "line_item:edit", run_id)
    id = CategoryId(new_id())
    async with write(caller, result=id, status=201) as tx:
        await tx.take_turns("progress.categories", run_id)
        if await store.count_of_run(tx, run_id) >= MOST_CATEGORIES:
            raise TooManyCategories(f"a run has {MOST_CATEGORIES} categories at most: delete one first")
        category = Category(
            id=id,
            org_id=place.org_id,
            course_id=place.course_id,
            run_id=run_id,
            version=1,
            created_at=tx.now,
            updated_at=tx.now,
            **fields,
        )
        await store.insert_category(tx, category)
        await _changed(tx, CategoryCreated, category)
    return category


async def get_category(caller: Principal, category_id: CategoryId) -> Category:
    return await permitted(caller, "line_item:read", store.find_category, category_id, missing=CategoryNotFound)


async def list_categories(
    caller: Principal, run_id: UUID, *, ids: list[CategoryId] | None, after: CategoryId | None, limit: int
) -> list[Category]:
    """List the categories of a run that the caller may see, oldest first."""
    reach = await reach_of(caller, "line_item:read")
    async with read() as db:
        return await store.list_categories(db, reach, run_id, ids=ids, after=after, limit=limit)


async def change_category(
    caller: Principal, category_id: CategoryId, changes: dict[str, Any], expected_version: int
) -> Category:
    """Change a category.

    Raises:
        Stale: somebody changed it since.
    """
    category = await _editable(caller, category_id)
    async with write(caller, result=category_id) as tx:
        changed = await store.update_category(tx, replace(category, **changes), expected_version)
        if changed is None:
            version = await store.find_version(tx, category_id)
            raise CategoryNotFound() if version is None else Stale(version)
        await _changed(tx, CategoryUpdated, changed)
    return changed


async def delete_category(caller: Principal, category_id: CategoryId) -> None:
    """Delete a category.

    Raises:
        CategoryInUse: line items stand in it.
    """
    await _editable(caller, category_id)
    async with write(caller, result=category_id, status=204) as tx:
        deleted = await store.delete_category(tx, category_id)
        # Whoever puts a line item into it holds it meanwhile, so none is overlooked.
        if deleted is not None and await store.find_line_item(tx, category_id):
            raise CategoryInUse("move its line items first: PATCH /v1/line-items/{id} with another category_id")
        if deleted is not None:
            await _changed(tx, CategoryDeleted, replace(deleted, version=deleted.version + 1))


async def _editable(caller: Principal, category_id: CategoryId) -> Category:
    return await permitted(caller, "line_item:edit", store.find_category, category_id, missing=CategoryNotFound)


async def _changed(tx: Transaction, kind: type[CategoryEvent], category: Category) -> None:
    place: dict[str, Any] = {name: getattr(category, name) for name in ("run_id", "org_id", "course_id")}
    await scheme_changed(tx, **place)
    emit(tx, kind(category_id=category.id, **place), version=category.version)
