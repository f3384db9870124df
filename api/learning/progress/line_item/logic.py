"""Use cases of line items: make, change, delete, and keep those of other services."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from api.learning.course.contract import CourseCalls, CourseId, RunId
from api.learning.progress.category.store import lock_category
from api.learning.progress.contract import (
    CategoryId,
    CategoryUnknown,
    LineItem,
    LineItemCreated,
    LineItemDeleted,
    LineItemEvent,
    LineItemHasScores,
    LineItemId,
    LineItemNotFound,
    LineItemUpdated,
    PutLineItem,
    RunUnknown,
    ScoreMaximumInvalid,
    TooManyLineItems,
)
from api.learning.progress.line_item import rules, store
from api.learning.progress.line_item.store import Place
from api.learning.progress.score.posting import release_later
from api.learning.progress.totals.logic import scheme_changed
from cluster.base.ids import new_id
from cluster.base.principal import Principal
from cluster.base.problems import Stale
from cluster.data import Transaction, read, write
from cluster.events import emit
from cluster.people.access import permit, permitted, reach_of
from cluster.people.calls import client

_KEPT = timedelta(days=30)
_BLANK: dict[str, Any] = {
    "extra_credit": False,
    "due_at": None,
    "released": False,
    "category_id": None,
    "weight": None,
    "service": None,
    "resource_id": None,
}


async def create_line_item(caller: Principal, run_id: UUID, fields: dict[str, Any]) -> LineItem:
    """Make a line item by hand.

    Raises:
        RunUnknown: there is no such run, or the caller may not know of it.
        Forbidden, TooManyLineItems
        CategoryUnknown: its category is not of the run.
    """
    caller.person()
    place = await permitted_place(caller, "line_item:edit", run_id)
    return await _insert(caller, place, fields)


async def permitted_place(caller: Principal, permission: str, run_id: UUID) -> Place:
    """Return where a run lies that the caller may do this in.

    Raises:
        RunUnknown, Forbidden
    """
    place = await find_place(run_id)
    return await permit(caller, permission, None if place is None else place.guarded(), missing=RunUnknown)


async def find_place(run_id: UUID, course_id: UUID | None = None) -> Place | None:
    """Find where a run lies, also before course's news has arrived; `course_id` finds runs of drafts then."""
    async with read() as db:
        place = await store.find_run(db, run_id)
    if place is not None:
        return place
    # Its event may still be on the way.
    if course_id is None:
        found = await client(CourseCalls).find_open_run(RunId(run_id), datetime.now(UTC))
        run = None if found is None else found.run
    else:
        runs = await client(CourseCalls).runs_of_course(CourseId(course_id))
        run = next((each for each in runs if each.id == run_id), None)
    return None if run is None else Place(run_id=run.id, org_id=run.org_id, course_id=run.course_id)


async def get_line_item(caller: Principal, line_item_id: LineItemId) -> LineItem:
    return await permitted(caller, "line_item:read", store.find_line_item, line_item_id, missing=LineItemNotFound)


async def list_line_items(
    caller: Principal, run_id: UUID, *, ids: list[LineItemId] | None, after: LineItemId | None, limit: int
) -> list[LineItem]:
    """List the line items of a run that the caller may see, oldest first."""
    reach = await reach_of(caller, "line_item:read")
    async with read() as db:
        return await store.list_line_items(db, reach, run_id, ids=ids, after=after, limit=limit)


async def change_line_item(
    caller: Principal, line_item_id: LineItemId, changes: dict[str, Any], expected_version: int
) -> LineItem:
    """Change a line item.

    Raises:
        Stale: somebody changed it since.
        CategoryUnknown: its category is not of the run.
    """
    item = await _editable(caller, line_item_id)
    async with write(caller, result=line_item_id) as tx:
        await _hold_category(tx, item.run_id, changes.get("category_id"))
        changed = await store.update_line_item(tx, replace(item, **changes), expected_version)
        if changed is None:
            version = await store.find_version(tx, line_item_id)
            raise LineItemNotFound() if version is None else Stale(version)
        await _changed(tx, LineItemUpdated, changed)
        if changed.released and not item.released:
            release_later(tx, line_item_id)
    return changed


async def delete_line_item(caller: Principal, line_item_id: LineItemId) -> None:
    """Delete a line item; it and its history go for good after 30 days.

    Raises:
        LineItemHasScores: learners have scores that are not withdrawn.
    """
    await _editable(caller, line_item_id)
    async with write(caller, result=line_item_id, status=204) as tx:
        deleted = await store.update_deleted(tx, line_item_id)
        # Whoever posts a score holds the line item meanwhile, so none is overlooked.
        if deleted is not None and await store.find_given(tx, line_item_id):
            raise LineItemHasScores("withdraw them first: POST /v1/scores/{id}/withdraw")
        if deleted is not None:
            await _changed(tx, LineItemDeleted, deleted)


async def purge(platform: Principal, limit: int) -> int:
    """Delete for good what was deleted 30 days ago, history first; return how many rows."""
    async with write(platform) as tx:
        return await store.delete_purged(tx, tx.now - _KEPT, limit)


async def put_line_item(caller: Principal, wanted: PutLineItem) -> LineItem:
    """Make or change the line item of a thing; see `ProgressCalls.put_line_item`."""
    if not rules.is_maximum(wanted.score_maximum):
        raise ScoreMaximumInvalid(rules.MAXIMUM, pointer="/score_maximum")
    place = await find_place(wanted.run_id, wanted.course_id)
    if place is None:
        raise RunUnknown("it was deleted, or is not of this course", pointer="/run_id")
    fields: dict[str, Any] = {
        "label": wanted.label,
        "score_maximum": rules.stored(wanted.score_maximum),
        "due_at": wanted.due_at,
    }
    async with read() as db:
        present = await store.find_of_resource(db, wanted.run_id, wanted.service, wanted.resource_id)
    if present is not None and all(getattr(present, name) == value for name, value in fields.items()):
        return present
    fields |= {"released": wanted.released, "service": wanted.service, "resource_id": wanted.resource_id}
    return await _insert(caller, place, fields, put=wanted)


async def _insert(
    caller: Principal, place: Place, fields: dict[str, Any], *, put: PutLineItem | None = None
) -> LineItem:
    """Insert a line item; one that a service puts is changed if it is there."""
    id = LineItemId(new_id())
    async with write(caller, result=id, status=201) as tx:
        # One after the other: the limit holds, and two that put the same thing make one.
        await tx.take_turns("progress.line_items", place.run_id)
        if put is not None:
            changed = await store.update_as_put(tx, put)
            if changed is not None:
                await _changed(tx, LineItemUpdated, changed)
                return changed
            present = await store.find_of_resource(tx, put.run_id, put.service, put.resource_id)
            if present is not None:
                return present
        if await store.count_of_run(tx, place.run_id) >= rules.MOST_LINE_ITEMS:
            raise TooManyLineItems(f"a run has {rules.MOST_LINE_ITEMS} line items at most: delete one first")
        await _hold_category(tx, place.run_id, fields.get("category_id"))
        fixed: dict[str, Any] = {"id": id, "version": 1, "created_at": tx.now, "updated_at": tx.now}
        where: dict[str, Any] = {"org_id": place.org_id, "course_id": place.course_id, "run_id": place.run_id}
        item = LineItem(**_BLANK | fields | where | fixed)
        await store.insert_line_item(tx, item)
        await _changed(tx, LineItemCreated, item)
    return item


async def _editable(caller: Principal, line_item_id: LineItemId) -> LineItem:
    return await permitted(caller, "line_item:edit", store.find_line_item, line_item_id, missing=LineItemNotFound)


async def _hold_category(tx: Transaction, run_id: UUID, category_id: CategoryId | None) -> None:
    if category_id is not None and not await lock_category(tx, category_id, run_id):
        raise CategoryUnknown("GET /v1/grade-categories?run_id= lists those of the run", pointer="/category_id")


async def _changed(tx: Transaction, kind: type[LineItemEvent], item: LineItem) -> None:
    await scheme_changed(tx, run_id=item.run_id, org_id=item.org_id, course_id=item.course_id)
    told = kind(line_item_id=item.id, org_id=item.org_id, course_id=item.course_id, run_id=item.run_id)
    emit(tx, told, version=item.version)
