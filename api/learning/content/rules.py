"""Decisions about outlines that need no database: where a block may stand, what shifts, and when it opens."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar, cast
from uuid import UUID

from api.learning.content.contract import (
    ROOT,
    BlockId,
    BlockNotFound,
    BlockType,
    FrozenBlock,
    Missing,
    OutlineFull,
    UnknownBlockType,
    WrongParent,
)
from cluster.base.ids import OrgId
from cluster.data.uses import Ref, Thing, fault_of, thing_kind

FILE_PURPOSE = "course-file"
"""The purpose of uploads that texts may name."""
MAX_BLOCKS = 2_000
MAX_TEXT_BYTES = 8 * 1024 * 1024
"""Of all texts of one outline together: it is frozen, kept in memory and sent as a whole."""


@dataclass(frozen=True, slots=True)
class Node:
    """A block of the working outline, as far as the tree is concerned."""

    id: BlockId
    parent_id: BlockId | None
    type: str
    position: int
    text_bytes: int
    version: int


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a block stands now, and the new positions of the siblings that made room or closed up."""

    parent_id: BlockId | None
    position: int
    shifted: dict[BlockId, int]


class Tree:
    """The working outline of one course. Siblings are numbered 0, 1, 2, ... without gaps, before and after every change."""

    def __init__(self, nodes: Iterable[Node], types: Mapping[str, BlockType]) -> None:
        self._types = types
        self._nodes = {node.id: node for node in nodes}
        self._children: dict[BlockId | None, list[BlockId]] = {}
        for node in sorted(self._nodes.values(), key=lambda node: node.position):
            self._children.setdefault(node.parent_id, []).append(node.id)

    def __contains__(self, block_id: BlockId) -> bool:
        return block_id in self._nodes

    def node(self, block_id: BlockId) -> Node:
        """Return a block of the tree.

        Raises:
            BlockNotFound: it is not there, or not any more.
        """
        if block_id not in self._nodes:
            raise BlockNotFound
        return self._nodes[block_id]

    def children(self, parent_id: BlockId | None) -> list[BlockId]:
        return list(self._children.get(parent_id, ()))

    def below(self, block_id: BlockId) -> list[BlockId]:
        """Return a block and everything under it, parents first."""
        found = [block_id]
        for each in found:
            found.extend(self._children.get(each, ()))
        return found

    def insert(
        self, block_id: BlockId, type: str, parent_id: BlockId | None, position: int | None, *, text_bytes: int = 0
    ) -> Placement:
        """Put a new block under `parent_id` before the sibling at `position`, at the end without one.

        Raises:
            WrongParent, OutlineFull
        """
        self.check_parent(type, parent_id)
        self.check_room(1, text_bytes)
        self._nodes[block_id] = Node(block_id, parent_id, type, 0, text_bytes, 1)
        return self._place(block_id, parent_id, position, self._numbering(parent_id))

    def graft(self, nodes: Sequence[Node]) -> Placement:
        """Put a deleted subtree back, its root first, where it was or as near as the siblings of today allow.

        Raises:
            OutlineFull
        """
        root = nodes[0]
        self.check_parent(root.type, root.parent_id)
        self.check_room(len(nodes), sum(node.text_bytes for node in nodes))
        before = self._numbering(root.parent_id)
        self._nodes.update((node.id, node) for node in nodes)
        for node in sorted(nodes[1:], key=lambda node: node.position):
            self._children.setdefault(node.parent_id, []).append(node.id)
        return self._place(root.id, root.parent_id, root.position, before)

    def move(self, block_id: BlockId, parent_id: BlockId | None, position: int | None) -> Placement:
        """Put a block elsewhere. `position` counts without the block itself.

        Raises:
            BlockNotFound, WrongParent
        """
        node = self.node(block_id)
        self.check_parent(node.type, parent_id)
        if parent_id is not None and parent_id in self.below(block_id):
            raise WrongParent("a block cannot stand below itself", pointer="/parent_id")
        before = self._numbering(node.parent_id) | self._numbering(parent_id)
        self._children[node.parent_id].remove(block_id)
        placed = self._place(block_id, parent_id, position, before)
        if node.parent_id != parent_id:
            placed.shifted.update(self._renumbered(node.parent_id, before))
        return placed

    def remove(self, block_id: BlockId) -> tuple[list[BlockId], dict[BlockId, int]]:
        """Take a block out with everything below it; return all of them and the siblings' new positions.

        Raises:
            BlockNotFound
        """
        node = self.node(block_id)
        before = self._numbering(node.parent_id)
        removed = self.below(block_id)
        self._children[node.parent_id].remove(block_id)
        for each in removed:
            del self._nodes[each]
            self._children.pop(each, None)
        return removed, self._renumbered(node.parent_id, before)

    def check_room(self, blocks: int, text_bytes: int) -> None:
        """Check that so many more blocks and bytes of text fit.

        Raises:
            OutlineFull
        """
        if len(self._nodes) + blocks > MAX_BLOCKS:
            raise OutlineFull(f"a course has at most {MAX_BLOCKS} blocks: split it into two courses", limit=MAX_BLOCKS)
        if text_bytes > 0 and sum(node.text_bytes for node in self._nodes.values()) + text_bytes > MAX_TEXT_BYTES:
            raise OutlineFull(
                f"the texts of a course have at most {MAX_TEXT_BYTES} bytes together: split it into two courses",
                limit_bytes=MAX_TEXT_BYTES,
            )

    def check_parent(self, type: str, parent_id: BlockId | None) -> None:
        """Check that a block of this type may stand directly under `parent_id`.

        Raises:
            UnknownBlockType, WrongParent
        """
        if type not in self._types:
            raise UnknownBlockType(f"the types are {', '.join(sorted(self._types))}", pointer="/type")
        if parent_id is not None and parent_id not in self._nodes:
            raise WrongParent("no such block in the outline of this course", pointer="/parent_id")
        parent = ROOT if parent_id is None else self._nodes[parent_id].type
        allowed = self._types[type].parents
        if parent not in allowed:
            places = " or ".join("at the top (parent_id null)" if each == ROOT else f"in a {each}" for each in allowed)
            raise WrongParent(f"a {type} stands {places}", pointer="/parent_id")

    def _place(
        self, block_id: BlockId, parent_id: BlockId | None, position: int | None, before: dict[BlockId, int]
    ) -> Placement:
        siblings = self._children.setdefault(parent_id, [])
        at = len(siblings) if position is None else min(position, len(siblings))
        siblings.insert(at, block_id)
        shifted = self._renumbered(parent_id, before)
        shifted.pop(block_id, None)
        node = self._nodes[block_id]
        self._nodes[block_id] = Node(block_id, parent_id, node.type, at, node.text_bytes, node.version)
        return Placement(parent_id, at, shifted)

    def _numbering(self, parent_id: BlockId | None) -> dict[BlockId, int]:
        return {block_id: number for number, block_id in enumerate(self._children.get(parent_id, ()))}

    def _renumbered(self, parent_id: BlockId | None, before: dict[BlockId, int]) -> dict[BlockId, int]:
        now = self._numbering(parent_id)
        return {block_id: number for block_id, number in now.items() if before.get(block_id) != number}


class _Placed(Protocol):
    @property
    def id(self) -> BlockId: ...
    @property
    def parent_id(self) -> BlockId | None: ...
    @property
    def position(self) -> int: ...


P = TypeVar("P", bound=_Placed)


def in_tree_order(blocks: Iterable[P]) -> list[P]:
    """Sort blocks as they are read: each parent before its children, siblings by position."""
    children: dict[BlockId | None, list[P]] = {}
    for block in blocks:
        children.setdefault(block.parent_id, []).append(block)
    for siblings in children.values():
        siblings.sort(key=lambda block: block.position, reverse=True)
    ordered: list[P] = []
    waiting = children.get(None, [])
    while waiting:
        block = waiting.pop()
        ordered.append(block)
        waiting.extend(children.get(block.id, ()))
    return ordered


def release_times(blocks: Sequence[FrozenBlock], starts_at: datetime | None) -> dict[BlockId, datetime | None]:
    """Return when each block opens in a run that starts at `starts_at`; None: it always was.

    A block opens with the latest of the run's start, its own date and those of the blocks around it. `blocks` are in
    tree order.
    """
    times: dict[BlockId, datetime | None] = {}
    for block in blocks:
        own = block.release_at
        if block.release_after_days is not None and starts_at is not None:
            own = starts_at + timedelta(days=block.release_after_days)
        above = starts_at if block.parent_id is None else times[block.parent_id]
        times[block.id] = max(own, above) if own is not None and above is not None else own or above
    return times


def is_released(release_at: datetime | None, now: datetime) -> bool:
    return release_at is None or release_at <= now


def lessons_with_content(blocks: Sequence[FrozenBlock]) -> int:
    """Count the lessons that hold something to learn: a block that completes, and not an empty text."""
    holding = {block.parent_id for block in blocks if block.completes is not None and block.body.get("markdown") != ""}
    return sum(1 for block in blocks if block.type == "lesson" and block.id in holding)


def missing_lessons(blocks: Sequence[FrozenBlock]) -> list[Missing]:
    """Return what a course without anything to learn lacks."""
    if lessons_with_content(blocks) > 0:
        return []
    first = next((block.id for block in blocks if block.type == "lesson"), None)
    return [
        Missing(
            code="no-lesson-with-content",
            block_id=first,
            detail="put a text or a film into a lesson first"
            if first
            else "add a module, a lesson and a text or a film",
        )
    ]


def things_of(type: BlockType, body: Mapping[str, Any]) -> dict[Ref, str]:
    """Return what a block with this body uses, and where the body names it (RFC 6901)."""
    found = {Ref(kind, UUID(body[name])): f"/body/{name}" for name, kind in type.things.items() if body.get(name)}
    if type.things_in is not None:
        found |= {ref: f"/body{pointer}" for ref, pointer in type.things_in(body).items()}
    return found


def may_be_shown(thing: Thing) -> bool:
    """Tell whether a block may show this thing: of files, those that were uploaded to be shown."""
    return thing.kind != "asset" or thing.facts.get("purpose") == FILE_PURPOSE


def missing_things(
    blocks: Sequence[FrozenBlock],
    things: Mapping[BlockId, Collection[Ref]],
    known: Mapping[Ref, Thing],
    org_id: OrgId,
) -> list[Missing]:
    """Return what stands in the way of publishing: blocks whose things are gone, not ready, or another organization's."""
    missing: list[Missing] = []
    for block in blocks:
        for ref in things.get(block.id, ()):
            kind, thing = thing_kind(ref.kind), known.get(ref)
            is_here = thing is not None and thing.org_id == org_id and may_be_shown(thing)
            fault = fault_of(kind, thing if is_here else None)
            if fault is not None:
                code = f"{kind.title}-not-ready".replace(" ", "-")
                missing.append(Missing(code=code, block_id=block.id, detail=f"{block.title}: {fault}"))
    return missing


def merge_patch(target: Any, patch: Any) -> Any:
    """Apply a JSON merge patch: objects merge, null removes, everything else replaces. Source: RFC 7396, section 2."""
    if not isinstance(patch, dict):
        return patch
    merged: dict[str, Any] = dict(cast(dict[str, Any], target)) if isinstance(target, dict) else {}
    for name, value in cast(dict[str, Any], patch).items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def released_by(
    release_at: datetime | None, release_after_days: int | None, changes: Mapping[str, Any]
) -> tuple[datetime | None, int | None]:
    """Return a block's release after `changes`: naming one way gives up the other, unless both were named."""
    changed_at = changes.get("release_at", release_at)
    changed_days = changes.get("release_after_days", release_after_days)
    if changes.get("release_at") is not None and "release_after_days" not in changes:
        changed_days = None
    if changes.get("release_after_days") is not None and "release_at" not in changes:
        changed_at = None
    return changed_at, changed_days
