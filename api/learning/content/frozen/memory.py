"""Frozen outlines in memory. They never change, so an entry is never wrong; only the room is bounded."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field, replace

import msgspec
import orjson

from api.learning.content import text
from api.learning.content.contract import BlockId, FrozenBlock, FrozenId, FrozenOutline, OutlineNotFound
from api.learning.content.frozen import store
from api.learning.content.frozen.store import FrozenRow
from api.learning.content.things import things_of
from cluster.data import read
from cluster.data.uses import Ref

CACHE_BYTES = 64 * 1024 * 1024


@dataclass(slots=True)
class Kept:
    """A frozen outline, its texts as HTML, what its blocks use, and room for its rendering when everything is open."""

    outline: FrozenOutline
    html: dict[BlockId, str]
    things: dict[BlockId, frozenset[Ref]]
    """Of the blocks that use something."""
    size_bytes: int
    by_id: dict[BlockId, FrozenBlock] = field(init=False)
    dated: bool = field(init=False)
    """Some blocks open at a time of their own."""
    rendered_open: bytes | None = None
    _shown: "tuple[frozenset[BlockId], Kept] | None" = None
    """What is left of it without some blocks, as it was last asked for."""

    def __post_init__(self) -> None:
        blocks = self.outline.blocks
        self.by_id = {block.id: block for block in blocks}
        self.dated = any(block.release_at is not None or block.release_after_days is not None for block in blocks)

    def without(self, hidden: frozenset[BlockId]) -> "Kept":
        """Return the outline as learners see it: without these blocks and all that is below them."""
        hidden &= self.by_id.keys()
        if not hidden:
            return self
        if self._shown is None or self._shown[0] != hidden:
            gone = set(hidden)
            # Parents come before their children.
            for block in self.outline.blocks:
                if block.parent_id in gone:
                    gone.add(block.id)
            blocks = tuple(block for block in self.outline.blocks if block.id not in gone)
            html = {id: each for id, each in self.html.items() if id not in gone}
            things = {id: each for id, each in self.things.items() if id not in gone}
            self._shown = hidden, Kept(replace(self.outline, blocks=blocks), html, things, self.size_bytes)
        return self._shown[1]


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
    named = await things_of([(block.type, block.body) for block in blocks])
    things = {block.id: frozenset(used) for block, used in zip(blocks, named, strict=True) if used}
    return Kept(outline, html, things, size_bytes)
