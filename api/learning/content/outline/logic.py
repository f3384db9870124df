"""Use cases of whole working outlines: make one, fill it with a copy, delete it when its course never came to be."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from api.learning.content.block.logic import block_ref, use_things
from api.learning.content.block.store import BlockBody
from api.learning.content.block_types import block_types
from api.learning.content.contract import (
    BlockId,
    CopiedOutline,
    FrozenId,
    OutlineChanged,
    OutlineNotEmpty,
    OutlineNotFound,
)
from api.learning.content.frozen.rules import freeze
from api.learning.content.frozen.store import find_frozen
from api.learning.content.moderated.store import list_hidden
from api.learning.content.outline import store
from api.learning.course.contract import CourseExistence
from cluster.base.ids import OrgId, new_id
from cluster.base.principal import platform
from cluster.data import read, uses, write
from cluster.events import emit
from cluster.people.calls import client

_PLATFORM = platform("content")
_UNCONFIRMED_FOR = timedelta(days=1)
_EXPIRE_BATCH = 500


async def create_outline(course_id: UUID, org_id: OrgId) -> None:
    """Make the empty outline of a course. Safe to repeat."""
    async with write(_PLATFORM) as tx:
        await store.insert_outline(tx, course_id, org_id)


async def expire_outlines(now: datetime, after: UUID | None = None) -> UUID | None:
    """Delete outlines of courses that did not come to be within a day: a batch after `after`; return where the next begins.

    course itself is asked: news of a course may take longer than a day.
    """
    async with read() as db:
        waiting = await store.list_unconfirmed(db, now - _UNCONFIRMED_FOR, after, _EXPIRE_BATCH)
    if not waiting:
        return None
    found = await client(CourseExistence, of="course").existence_of(waiting)
    async with write(_PLATFORM) as tx:
        await store.update_confirmed(tx, found.existing)
    for course_id in set(waiting) - {*found.existing, *found.pending}:
        async with write(_PLATFORM) as tx:
            blocks = await store.delete_unconfirmed(tx, course_id)
            await uses.use_each(tx, {block_ref(each): () for each in blocks}, org_id=None)
    return waiting[-1]


async def copy_outline(
    source_course_id: UUID, target_course_id: UUID, org_id: OrgId, frozen_id: FrozenId | None
) -> CopiedOutline:
    """Fill a course's empty outline with copies of another's blocks. Safe to repeat.

    Raises:
        OutlineNotFound: there is no such source.
        OutlineNotEmpty: the target has blocks of its own.
        ThingGone: something that the blocks use was deleted.
    """
    copies = await _copies(source_course_id, frozen_id)
    async with write(_PLATFORM) as tx:
        await store.insert_outline(tx, target_course_id, org_id)
        present = await store.lock_outline(tx, target_course_id)
        target = await store.get_outline(tx, target_course_id)
        if target.copied_from == source_course_id:
            return CopiedOutline(course_id=target_course_id, blocks=len(present))
        if present or target.copied_from is not None:
            raise OutlineNotEmpty("copy into a new course")
        version = await store.insert_copies(tx, target, source_course_id, copies)
        bodies = [BlockBody(BlockId(UUID(each["id"])), each["type"], each["body"]) for each in copies]
        await use_things(tx, bodies, target_course_id, org_id)
        emit(tx, OutlineChanged(course_id=target_course_id, org_id=org_id, outline_version=version), version=version)
    return CopiedOutline(course_id=target_course_id, blocks=len(copies))


async def _copies(source_course_id: UUID, frozen_id: FrozenId | None) -> list[dict[str, Any]]:
    """Return copies of blocks under new ids. What a moderator removed is not copied, nor what is below it."""
    async with read() as db:
        if frozen_id is None:
            found = await store.find_whole_outline(db, source_course_id)
            rows = None if found is None else freeze(found[1], block_types())[0]
        else:
            row = await find_frozen(db, frozen_id)
            rows = None if row is None or row.course_id != source_course_id else row.blocks
        hidden = {str(each) for each in await list_hidden(db, source_course_id)}
    if rows is None:
        raise OutlineNotFound
    rows = list(_without(rows, hidden))
    ids = {row["id"]: str(new_id()) for row in rows}
    siblings: dict[str | None, int] = {}
    copies: list[dict[str, Any]] = []
    for row in rows:
        position = siblings.get(row["parent_id"], 0)
        siblings[row["parent_id"]] = position + 1
        copies.append(
            row
            | {
                "id": ids[row["id"]],
                "parent_id": row["parent_id"] and ids[row["parent_id"]],
                "position": position,
                "text_bytes": len(orjson.dumps(row["body"])),
                "source_id": row["id"],
                "source_version": row["version"],
            }
        )
    return copies


def _without(rows: Sequence[dict[str, Any]], hidden: set[str]) -> Iterator[dict[str, Any]]:
    for row in rows:
        if row["id"] in hidden or row["parent_id"] in hidden:
            hidden.add(row["id"])
        else:
            yield row
