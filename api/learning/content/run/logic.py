"""Use cases of what a run shows: open its outline or one block of it, and say what it requires."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from api.learning.content import rules
from api.learning.content.block_types import block_types
from api.learning.content.contract import (
    BlockId,
    BlockNotFound,
    BlockNotReleased,
    FrozenId,
    OpenBlock,
    OutlineNotFound,
    RequiredBlock,
    RunOutline,
)
from api.learning.content.frozen import memory
from api.learning.content.frozen.memory import Kept
from api.learning.content.frozen.rules import freeze
from api.learning.content.frozen.store import FrozenRow
from api.learning.content.outline.store import find_whole_outline
from api.learning.content.run import store
from api.learning.content.run.kept import find_run
from api.learning.content.run.store import RunState
from api.media.media.contract import AssetId, ShownIn, asset_ref
from cluster.base.ids import UserId, new_id
from cluster.base.principal import Principal, platform
from cluster.data import read, uses
from cluster.data.uses import Ref
from cluster.people.access import permit, permitted, reach_of

_PLATFORM = platform("content")


@dataclass(frozen=True, slots=True)
class Opened:
    """An outline as somebody may see it now."""

    run: RunState
    kept: Kept
    release_times: dict[BlockId, datetime | None]
    now: datetime
    preview: bool
    """Dates do not hold this person back: they edit the course."""


async def open_outline(caller: Principal, run_id: UUID, now: datetime) -> Opened:
    """Return the outline of a run's current revision, for its learners and staff.

    Raises:
        OutlineNotFound: no such run, or nothing is published, or its existence is not for this caller to know.
        Forbidden: the caller is not enrolled.
    """
    run = await permit(caller, "run:attend", await find_run(run_id), missing=OutlineNotFound)
    kept = await _shown(run)
    times = rules.release_times(kept.outline.blocks, run.starts_at)
    locked = any(not rules.is_released(time, now) for time in times.values())
    return Opened(run, kept, times, now, preview=locked and await _edits(caller, run))


async def undated_outline(caller: Principal, run_id: UUID) -> RunState | None:
    """Return the run whose outline this caller may open, None when it is not the same at all times.

    Raises:
        OutlineNotFound, Forbidden: as `open_outline`.
    """
    run = await permit(caller, "run:attend", await find_run(run_id), missing=OutlineNotFound)
    kept = await _shown(run)
    return None if kept.dated or run.starts_at is not None else run


async def preview_outline(caller: Principal, run_id: UUID, now: datetime) -> Opened:
    """Return the working outline as the run's learners would see it once it is published, for those who edit it.

    What a moderator removed is not in it; `GET /v1/blocks` shows editors that too, with its state.

    Raises:
        OutlineNotFound: no such run, or it is not for this caller to know.
        Forbidden: the caller does not edit the course.
    """
    run = await permitted(caller, "course:edit", store.find_run, run_id, missing=OutlineNotFound)
    async with read() as db:
        found = await find_whole_outline(db, run.course_id)
    if found is None:
        raise OutlineNotFound
    rows, _ = freeze(found[1], block_types())
    draft = FrozenRow(id=FrozenId(new_id()), course_id=run.course_id, org_id=run.org_id, blocks=rows)
    kept = (await memory.decode(draft)).without(frozenset(run.hidden))
    return Opened(run, kept, rules.release_times(kept.outline.blocks, run.starts_at), now, preview=True)


async def may_open(user_id: UserId, run_id: UUID, block_id: BlockId, *, fresh: bool, now: datetime) -> OpenBlock:
    """Return a block of a run's current revision if this person may open it now.

    Raises:
        OutlineNotFound, BlockNotFound, Forbidden
        BlockNotReleased: its date is still to come.
    """
    person = Principal(kind="person", id=user_id)
    if fresh:
        run = await permitted(person, "run:attend", store.find_run, run_id, missing=OutlineNotFound, fresh=True)
    else:
        run = await permit(person, "run:attend", await find_run(run_id), missing=OutlineNotFound)
    kept = await _shown(run)
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


async def shown_in(asset_id: AssetId, run_ids: list[UUID], now: datetime) -> list[ShownIn]:
    """Return those of these runs whose outlines show a file."""
    ref = asset_ref(asset_id)
    async with read() as db:
        runs = await store.list_published_runs(db, run_ids)
        outlines = {Ref("outline", run.frozen_id) for run in runs if run.frozen_id is not None}
        showing = await uses.users_among(db, ref, outlines)
    found: list[ShownIn] = []
    for run in runs:
        if run.frozen_id is None or Ref("outline", run.frozen_id) not in showing:
            continue
        kept = await _shown(run)
        times = rules.release_times(kept.outline.blocks, run.starts_at)
        released = any(
            ref in used and rules.is_released(times[block_id], now) for block_id, used in kept.things.items()
        )
        found.append(ShownIn(run_id=run.run_id, course_id=run.course_id, org_id=run.org_id, released=released))
    return found


async def required_blocks(run_id: UUID, now: datetime) -> RunOutline:
    """Return what a run requires now, in tree order.

    Raises:
        OutlineNotFound
    """
    run = await permitted(_PLATFORM, "run:attend", store.find_run, run_id, missing=OutlineNotFound)
    kept = await _shown(run)
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


async def _edits(caller: Principal, run: RunState) -> bool:
    """Tell whether dates do not hold this person back."""
    # Most callers are learners: reach_of answers from memory, permit would ask the owners again before it refuses.
    reach = await reach_of(caller, "course:edit")
    return (
        reach.everywhere
        or run.org_id in reach.org_ids
        or run.course_id in reach.course_ids
        or run.run_id in reach.run_ids
    )


async def _shown(run: RunState) -> Kept:
    """Return the outline that the run shows, without what a moderator removed."""
    return (await memory.get(_published(run))).without(frozenset(run.hidden))


def _published(run: RunState) -> FrozenId:
    if run.frozen_id is None:
        raise OutlineNotFound("nothing is published yet; ?draft=true shows the working outline to those who edit it")
    return run.frozen_id


def _not_released(release_at: datetime | None) -> BlockNotReleased:
    assert release_at is not None
    return BlockNotReleased(
        f"it opens at {release_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}", release_at=release_at.isoformat()
    )
