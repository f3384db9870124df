"""Frozen outlines in memory. They never change, so what was read once is right for ever; only the room is bounded."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import orjson

from api.learning.content import text
from api.learning.content.contract import BlockId, BlockType, FrozenBlock, FrozenId, FrozenOutline, OutlineNotFound
from api.learning.content.outline import store
from api.learning.content.outline.store import FrozenRow
from api.learning.content.rules import in_tree_order
from api.learning.content.store import Block
from cluster.data import read

CACHE_BYTES = 64 * 1024 * 1024


@dataclass(slots=True)
class Kept:
    """A frozen outline, its texts as HTML, and room for its rendering when everything is open."""

    outline: FrozenOutline
    html: dict[BlockId, str]
    size_bytes: int
    by_id: dict[BlockId, FrozenBlock] = field(init=False)
    rendered_open: bytes | None = None

    def __post_init__(self) -> None:
        self.by_id = {block.id: block for block in self.outline.blocks}


_kept: OrderedDict[FrozenId, Kept] = OrderedDict()
_loading: dict[FrozenId, asyncio.Task[Kept]] = {}


async def get(frozen_id: FrozenId) -> Kept:
    """Return a frozen outline, from memory or else with one statement.

    Raises:
        OutlineNotFound
    """
    kept = _kept.get(frozen_id)
    if kept is not None:
        _kept.move_to_end(frozen_id)
        return kept
    loading = _loading.get(frozen_id)
    if loading is None:
        loading = _loading[frozen_id] = asyncio.create_task(_load(frozen_id))
        loading.add_done_callback(lambda _: _loading.pop(frozen_id, None))
    # Shielded: a client that leaves does not take the answer from the others who wait for it.
    return await asyncio.shield(loading)


async def _load(frozen_id: FrozenId) -> Kept:
    async with read() as db:
        row = await store.find_frozen(db, frozen_id)
    if row is None:
        raise OutlineNotFound
    kept = await decode(row)
    _kept[frozen_id] = kept
    while len(_kept) > 1 and sum(each.size_bytes for each in _kept.values()) > CACHE_BYTES:
        _kept.popitem(last=False)
    return kept


async def decode(row: FrozenRow) -> Kept:
    """Make the values of a row. Texts that an older renderer made are rendered again."""
    blocks = msgspec.convert(row.blocks, tuple[FrozenBlock, ...])
    html: dict[BlockId, str] = {}
    size_bytes = 0
    for block, kept in zip(blocks, row.blocks, strict=True):
        made = await text.current(kept["html"], kept["renderer"], block.body.get("markdown"))
        if made is not None:
            html[block.id] = made
        # The body, the HTML and both once more in the rendered answer; 1 kB for the rest.
        size_bytes += 1_000 + 2 * (len(made or "") + len(orjson.dumps(block.body)))
    outline = FrozenOutline(id=row.id, course_id=row.course_id, org_id=row.org_id, blocks=blocks)
    return Kept(outline, html, size_bytes)


def freeze(blocks: Sequence[Block], types: dict[str, BlockType]) -> tuple[list[dict[str, Any]], bytes]:
    """Return a working outline in the form it is kept in, and the SHA-256 of what authors made of it.

    Left out of the hash are counters and renderings: an outline that was changed and changed back is the same again.
    """
    frozen = [_frozen(block, types[block.type]) for block in in_tree_order(blocks)]
    uncounted = ("version", "html", "renderer")
    told = [{name: value for name, value in block.items() if name not in uncounted} for block in frozen]
    return frozen, hashlib.sha256(orjson.dumps(told, option=orjson.OPT_SORT_KEYS)).digest()


def _frozen(block: Block, type: BlockType) -> dict[str, Any]:
    return {
        "id": str(block.id),
        "parent_id": None if block.parent_id is None else str(block.parent_id),
        "type": block.type,
        "title": block.title,
        "body": block.body,
        "html": block.html,
        "renderer": block.renderer,
        "version": block.content_version,
        "min_version": block.min_version,
        "completes": type.completes,
        "min_ratio": type.min_ratio,
        "release_at": None if block.release_at is None else block.release_at.isoformat(),
        "release_after_days": block.release_after_days,
        "source_id": None if block.source_id is None else str(block.source_id),
        "source_version": block.source_version,
    }
