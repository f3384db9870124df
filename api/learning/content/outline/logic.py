"""Use cases of frozen outlines: freeze, copy, and open what a run teaches."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from api.learning.content import rules
from api.learning.content import store as working
from api.learning.content.contract import (
    BlockId,
    BlockNotFound,
    BlockNotReleased,
    CopiedOutline,
    Frozen,
    FrozenId,
    FrozenOutline,
    OpenBlock,
    OutlineChanged,
    OutlineNotEmpty,
    OutlineNotFound,
    RequiredBlock,
    RunOutline,
)
from api.learning.content.logic import block_ref, block_types, use_things
from api.learning.content.outline import frozen, store
from api.learning.content.outline.frozen import Kept
from api.learning.content.outline.store import FrozenRow, RunState
from api.learning.content.store import BlockBody
from api.learning.course.contract import CourseExistence
from cluster.base.ids import OrgId, UserId, new_id
from cluster.base.principal import Principal, platform
from cluster.data import read, uses, write
from cluster.data.uses import Ref
from cluster.events import emit
from cluster.people.access import permit, reach_of
from cluster.people.calls import client

_PLATFORM = platform("content")
_UNCONFIRMED_FOR = timedelta(days=1)
_EXPIRE_BATCH = 500


@dataclass(frozen=True, slots=True)
class Opened:
    """An outline as somebody may see it now."""

    run: RunState
    kept: Kept
    release_times: dict[BlockId, datetime | None]
    now: datetime
    preview: bool
    """Dates do not hold this person back: they edit the course."""


async def create_outline(course_id: UUID, org_id: OrgId) -> None:
    """Make the empty outline of a course. Safe to repeat."""
    async with write(_PLATFORM) as tx:
        await working.insert_outline(tx, course_id, org_id)


async def expire_outlines(now: datetime, after: UUID | None = None) -> UUID | None:
    """Delete outlines of courses that did not come to be within a day: a batch after `after`; return where the next begins.

    course itself is asked: news of a course may take longer than a day.
    """
    async with read() as db:
        waiting = await working.list_unconfirmed(db, now - _UNCONFIRMED_FOR, after, _EXPIRE_BATCH)
    if not waiting:
        return None
    found = await client(CourseExistence, of="course").existence_of(waiting)
    async with write(_PLATFORM) as tx:
        await working.update_confirmed(tx, found.existing)
    for course_id in set(waiting) - {*found.existing, *found.pending}:
        async with write(_PLATFORM) as tx:
            blocks = await working.delete_unconfirmed(tx, course_id)
            await uses.use_each(tx, {block_ref(each): () for each in blocks}, org_id=None)
    return waiting[-1]


async def freeze(course_id: UUID) -> Frozen:
    """Keep the working outline for ever, or say what is missing in it. The same outline gets the same id.

    A kept outline uses what its blocks name, so that nothing that was published can be deleted.

    Raises:
        OutlineNotFound
        ThingGone: something was deleted in this moment.
    """
    async with read() as db:
        outline, blocks = await working.list_whole_outline(db, course_id)
    if outline is None:
        raise OutlineNotFound
    rows, sha256 = frozen.freeze(blocks, block_types())
    row = FrozenRow(id=FrozenId(new_id()), course_id=course_id, org_id=outline.org_id, blocks=rows)
    kept = await frozen.decode(row)
    things = _things_of(kept.outline)
    async with read() as db:
        known = await uses.states(db, things)
        frozen_id = await store.find_frozen_id(db, course_id, sha256)
    missing = [
        *rules.missing_lessons(kept.outline.blocks),
        *rules.missing_things(kept.outline.blocks, block_types(), known, outline.org_id),
    ]
    if frozen_id is None and not missing:
        async with write(_PLATFORM) as tx:
            frozen_id = await store.insert_frozen(tx, row, sha256)
            if frozen_id is not None:
                by = Ref("outline", frozen_id)
                await uses.use(tx, by=by, org_id=outline.org_id, course_id=course_id, things=things)
            else:
                frozen_id = await store.find_frozen_id(tx, course_id, sha256)
    return Frozen(
        frozen_id=frozen_id or row.id,
        outline_version=outline.version,
        lessons=rules.lessons_with_content(kept.outline.blocks),
        blocks=len(rows),
        missing=tuple(missing),
    )


def _things_of(outline: FrozenOutline) -> set[Ref]:
    types = block_types()
    return {ref for block in outline.blocks for ref in rules.things_of(types[block.type], block.body)}


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
        await working.insert_outline(tx, target_course_id, org_id)
        present = await working.lock_outline(tx, target_course_id)
        target = await working.get_outline(tx, target_course_id)
        if target.copied_from == source_course_id:
            return CopiedOutline(course_id=target_course_id, blocks=len(present))
        if present or target.copied_from is not None:
            raise OutlineNotEmpty("copy into a new course")
        version = await working.insert_copies(tx, target, source_course_id, copies)
        bodies = [BlockBody(BlockId(UUID(each["id"])), each["type"], each["body"]) for each in copies]
        await use_things(tx, bodies, target_course_id, org_id)
        emit(tx, OutlineChanged(course_id=target_course_id, org_id=org_id, outline_version=version), version=version)
    return CopiedOutline(course_id=target_course_id, blocks=len(copies))


async def _copies(source_course_id: UUID, frozen_id: FrozenId | None) -> list[dict[str, Any]]:
    async with read() as db:
        if frozen_id is None:
            outline, blocks = await working.list_whole_outline(db, source_course_id)
            rows = None if outline is None else frozen.freeze(blocks, block_types())[0]
        else:
            row = await store.find_frozen(db, frozen_id)
            rows = None if row is None or row.course_id != source_course_id else row.blocks
    if rows is None:
        raise OutlineNotFound
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


async def outline_of(frozen_id: FrozenId) -> FrozenOutline:
    """Return a frozen outline.

    Raises:
        OutlineNotFound
    """
    return (await frozen.get(frozen_id)).outline


async def open_outline(caller: Principal, run_id: UUID, now: datetime) -> Opened:
    """Return the outline of a run's current revision, for its learners and staff.

    Raises:
        OutlineNotFound: no such run, or nothing is published, or its existence is not for this caller to know.
        Forbidden: the caller is not enrolled.
    """
    run = await _attend(caller, run_id, fresh=False)
    kept = await frozen.get(_published(run))
    times = rules.release_times(kept.outline.blocks, run.starts_at)
    locked = any(not rules.is_released(time, now) for time in times.values())
    return Opened(run, kept, times, now, preview=locked and await _edits(caller, run))


async def preview_outline(caller: Principal, run_id: UUID, now: datetime) -> Opened:
    """Return the working outline as the run's learners would see it once it is published, for those who edit it.

    Raises:
        OutlineNotFound: no such run, or it is not for this caller to know.
        Forbidden: the caller does not edit the course.
    """
    async with read() as db:
        guarded = await store.find_run(db, run_id)
    run = await permit(caller, "course:edit", guarded, missing=OutlineNotFound)
    async with read() as db:
        outline, blocks = await working.list_whole_outline(db, run.course_id)
    if outline is None:
        raise OutlineNotFound
    rows, _ = frozen.freeze(blocks, block_types())
    draft = FrozenRow(id=FrozenId(new_id()), course_id=run.course_id, org_id=run.org_id, blocks=rows)
    kept = await frozen.decode(draft)
    return Opened(run, kept, rules.release_times(kept.outline.blocks, run.starts_at), now, preview=True)


async def may_open(user_id: UserId, run_id: UUID, block_id: BlockId, *, fresh: bool, now: datetime) -> OpenBlock:
    """Return a block of a run's current revision if this person may open it now.

    Raises:
        OutlineNotFound, BlockNotFound, Forbidden
        BlockNotReleased: its date is still to come.
    """
    person = Principal(kind="person", id=user_id)
    run = await _attend(person, run_id, fresh=fresh)
    kept = await frozen.get(_published(run))
    block = kept.by_id.get(block_id)
    if block is None:
        raise BlockNotFound("the run's current revision does not have this block")
    release_at = rules.release_times(kept.outline.blocks, run.starts_at)[block_id]
    preview = not rules.is_released(release_at, now)
    if preview and not await _edits(person, run):
        raise _not_released(release_at)
    return OpenBlock(
        block_id=block.id,
        type=block.type,
        title=block.title,
        body=block.body,
        completes=block.completes,
        min_ratio=block.min_ratio,
        version=block.version,
        course_id=run.course_id,
        org_id=run.org_id,
        run_id=run.run_id,
        revision=run.revision or 0,
        preview=preview,
    )


async def required_blocks(run_id: UUID, now: datetime) -> RunOutline:
    """Return what a run requires now, in tree order.

    Raises:
        OutlineNotFound
    """
    async with read() as db:
        guarded = await store.find_run(db, run_id)
    run = await permit(_PLATFORM, "run:attend", guarded, missing=OutlineNotFound)
    kept = await frozen.get(_published(run))
    times = rules.release_times(kept.outline.blocks, run.starts_at)
    required = tuple(
        RequiredBlock(
            block_id=block.id,
            type=block.type,
            version=block.version,
            min_version=block.min_version,
            completes=block.completes,
            min_ratio=block.min_ratio,
            released=rules.is_released(times[block.id], now),
            release_at=times[block.id],
        )
        for block in kept.outline.blocks
        if block.completes is not None
    )
    return RunOutline(
        run_id=run_id, course_id=run.course_id, org_id=run.org_id, revision=run.revision or 0, required=required
    )


async def _attend(caller: Principal, run_id: UUID, *, fresh: bool) -> RunState:
    async with read() as db:
        guarded = await store.find_run(db, run_id)
    return await permit(caller, "run:attend", guarded, missing=OutlineNotFound, fresh=fresh)


async def _edits(caller: Principal, run: RunState) -> bool:
    """Tell whether dates do not hold this person back."""
    # By reach_of, not permit: most who ask are learners, and permit asks the owners again before it says no.
    reach = await reach_of(caller, "course:edit")
    return (
        reach.everywhere
        or run.org_id in reach.org_ids
        or run.course_id in reach.course_ids
        or run.run_id in reach.run_ids
    )


def _published(run: RunState) -> FrozenId:
    if run.frozen_id is None:
        raise OutlineNotFound("nothing is published yet; ?draft=true shows the working outline to those who edit it")
    return run.frozen_id


def _not_released(release_at: datetime | None) -> BlockNotReleased:
    assert release_at is not None
    return BlockNotReleased(
        f"it opens at {release_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}", release_at=release_at.isoformat()
    )
