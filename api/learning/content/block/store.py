"""The SQL of blocks. Every change locks the outline's row first, so changes of one course come one after another."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeVar
from uuid import UUID

from api.learning.content.block_types import block_types
from api.learning.content.contract import BlockId, Completes
from api.learning.content.rules import Node, Placement
from cluster.base.ids import OrgId
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a block says, and when learners may open it."""

    title: str
    body: dict[str, Any]
    html: str | None
    renderer: int
    """The renderer that made `html`."""
    text_bytes: int
    release_at: datetime | None
    release_after_days: int | None
    content_version: int = 1
    min_version: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Block(Content):
    """A block of the working outline."""

    id: BlockId
    course_id: UUID
    org_id: OrgId
    parent_id: BlockId | None
    type: str
    position: int
    source_id: BlockId | None
    source_version: int | None
    deleted_at: datetime | None
    deleted_root: BlockId | None
    moderation_state: Literal["removed"] | None
    """What a moderator decided of it."""
    version: int
    created_at: datetime
    updated_at: datetime

    @property
    def completes(self) -> Completes | None:
        return block_types()[self.type].completes

    @property
    def min_ratio(self) -> float | None:
        return block_types()[self.type].min_ratio


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedBlock:
    """A block and its place in the whole tree: `path` sorts as the outline is read."""

    block: Block
    path: str


@dataclass(frozen=True, slots=True)
class BlockBody:
    """The body of a block, which names what the block uses."""

    id: BlockId
    type: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Changed:
    """A block after a change, and its outline's version."""

    block: Block
    outline_version: int


BLOCK = """id, course_id, org_id, parent_id, type, position, title, body, html, renderer, text_bytes, release_at,
    release_after_days, content_version, min_version, source_id, source_version, deleted_at, deleted_root,
    (SELECT state FROM content.moderated_blocks WHERE block_id = blocks.id) AS moderation_state, version, created_at,
    updated_at"""

# A published course is no secret, nor that it has an outline: those who may not edit it are told so.
SEE = """CASE WHEN k.frozen_id IS NOT NULL AND NOT k.archived AND k.visibility <> 'organization' THEN 'catalog:read' END AS see"""


def block_of(row: Any) -> Block:
    """Make a block of a row with further columns."""
    return Block(**{name: row[name] for name in Block.__dataclass_fields__})


FIND_BLOCK = (
    "WITH block AS (SELECT "
    + BLOCK
    + " FROM content.blocks WHERE id = $block_id) SELECT block.*, "
    + SEE
    + " FROM block LEFT JOIN content.courses k USING (course_id)"
)


async def find_block(db: Connection, block_id: BlockId) -> Guarded[Block] | None:
    """Find a block of a working outline, deleted ones too."""
    rows = await db.rows(FIND_BLOCK, block_id=block_id)
    if not rows:
        return None
    block = block_of(rows[0])
    return Guarded(block, org_id=block.org_id, course_id=block.course_id, see=rows[0]["see"])


_SHOWN_OF_OUTLINE = (
    """SELECT o.org_id AS outline_org_id, """
    + SEE
    + """, shown.*
    FROM content.outlines o LEFT JOIN content.courses k USING (course_id) LEFT JOIN shown ON true
    WHERE o.course_id = $course_id ORDER BY """
)

FIND_BLOCKS = (
    """WITH RECURSIVE tree AS (
        SELECT b.id, to_char(b.position, 'FM000000') COLLATE "C" AS path
        FROM content.blocks b WHERE b.course_id = $course_id AND b.parent_id IS NULL AND b.deleted_at IS NULL
        UNION ALL
        SELECT b.id, tree.path || '.' || to_char(b.position, 'FM000000')
        FROM tree JOIN content.blocks b ON b.parent_id = tree.id AND b.deleted_at IS NULL
    ), page AS (
        SELECT id, path FROM tree WHERE path > $after COLLATE "C" AND ($ids::uuid[] IS NULL OR id = ANY($ids))
        ORDER BY path LIMIT $limit
    ), shown AS (
        SELECT path, """
    + BLOCK
    + """ FROM page JOIN content.blocks USING (id)
    ) """
    + _SHOWN_OF_OUTLINE
    + "shown.path"
)


async def find_blocks(
    db: Connection, course_id: UUID, *, ids: list[BlockId] | None, after: str, limit: int
) -> Guarded[list[ListedBlock]] | None:
    """Find the blocks of a working outline as it is read: parents before children, siblings in order.

    None: there is no such outline.
    """
    rows = await db.rows(FIND_BLOCKS, course_id=course_id, ids=ids, after=after, limit=limit)
    listed = [ListedBlock(path=row["path"], block=block_of(row)) for row in rows if row["id"] is not None]
    return _of_outline(listed, rows, course_id)


FIND_DELETED_BLOCKS = (
    """WITH shown AS (
        SELECT """
    + BLOCK
    + """ FROM content.blocks
        WHERE course_id = $course_id AND deleted_root = id AND deleted_at > $deleted_after
          AND ($before::uuid IS NULL OR id < $before)
        ORDER BY id DESC LIMIT $limit
    ) """
    + _SHOWN_OF_OUTLINE
    + "shown.id DESC"
)


async def find_deleted_blocks(
    db: Connection, course_id: UUID, *, deleted_after: datetime, before: BlockId | None, limit: int
) -> Guarded[list[Block]] | None:
    """Find what can be restored, newest first: blocks that were deleted themselves, not only with their parent.

    None: there is no such outline.
    """
    rows = await db.rows(
        FIND_DELETED_BLOCKS, course_id=course_id, deleted_after=deleted_after, before=before, limit=limit
    )
    return _of_outline([block_of(row) for row in rows if row["id"] is not None], rows, course_id)


def _of_outline(listed: list[T], rows: Sequence[Any], course_id: UUID) -> Guarded[list[T]] | None:
    if not rows:
        return None
    return Guarded(listed, org_id=rows[0]["outline_org_id"], course_id=course_id, see=rows[0]["see"])


# Begins a change: counts the outline up and gives the siblings their new positions.
_CHANGED = """WITH outline AS (
        UPDATE content.outlines SET version = version + 1, changed_at = $now WHERE course_id = $course_id RETURNING version
    ), shifted AS (
        UPDATE content.blocks AS b SET position = s.position
        FROM unnest($shifted_ids::uuid[], $shifted_positions::int[]) AS s (id, position) WHERE b.id = s.id
    ), changed AS ("""
_WITH_OUTLINE = (
    " RETURNING "
    + BLOCK
    + ") SELECT changed.*, outline.version AS outline_version FROM changed, outline WHERE changed.id = $block_id"
)


def _shifts(shifted: dict[BlockId, int]) -> dict[str, object]:
    return {"shifted_ids": list(shifted), "shifted_positions": list(shifted.values())}


def _changed(rows: Sequence[Any]) -> Changed:
    return Changed(block_of(rows[0]), rows[0]["outline_version"])


INSERT_BLOCK = (
    _CHANGED
    + """
        INSERT INTO content.blocks (id, course_id, org_id, parent_id, type, position, title, body, html, renderer, text_bytes,
                                    release_at, release_after_days, content_version, min_version, written_by, created_at,
                                    updated_at)
        VALUES ($block_id, $course_id, $org_id, $parent_id, $type, $position, $title, $body, $html, $renderer, $text_bytes,
                $release_at, $release_after_days, $content_version, $min_version, $by, $now, $now)"""
    + _WITH_OUTLINE
)


async def insert_block(
    tx: Transaction,
    content: Content,
    placed: Placement,
    *,
    block_id: BlockId,
    course_id: UUID,
    org_id: OrgId,
    type: str,
    by: UUID | None,
) -> Changed:
    named = {"block_id": block_id, "course_id": course_id, "org_id": org_id, "type": type, "by": by}
    return _changed(await tx.rows(INSERT_BLOCK, content, placed, **named, **_shifts(placed.shifted)))


UPDATE_BLOCK = (
    _CHANGED
    + """
        UPDATE content.blocks
        SET title = $title, body = $body, html = $html, renderer = $renderer, text_bytes = $text_bytes,
            release_at = $release_at, release_after_days = $release_after_days, content_version = $content_version,
            min_version = $min_version, written_by = CASE WHEN $rewritten THEN $by::uuid ELSE written_by END,
            version = version + 1, updated_at = $now
        WHERE id = $block_id"""
    + _WITH_OUTLINE
)


async def update_block(tx: Transaction, block: Block, content: Content, *, by: UUID | None, rewritten: bool) -> Changed:
    """Write what a block says from now on. `rewritten`: its words are others now, and `by` wrote them."""
    named = {"block_id": block.id, "by": by, "rewritten": rewritten}
    return _changed(await tx.rows(UPDATE_BLOCK, content, block, **named, **_shifts({})))


UPDATE_PLACE = (
    _CHANGED
    + """
        UPDATE content.blocks SET parent_id = $parent_id, position = $position, version = version + 1, updated_at = $now
        WHERE id = $block_id"""
    + _WITH_OUTLINE
)


async def update_place(tx: Transaction, block: Block, placed: Placement) -> Changed:
    return _changed(await tx.rows(UPDATE_PLACE, placed, block, block_id=block.id, **_shifts(placed.shifted)))


UPDATE_DELETED = (
    _CHANGED
    + """
        UPDATE content.blocks SET deleted_at = $now, deleted_root = $block_id, version = version + 1, updated_at = $now
        WHERE id = ANY($removed::uuid[])"""
    + _WITH_OUTLINE
)


async def update_deleted(tx: Transaction, block: Block, removed: list[BlockId], shifted: dict[BlockId, int]) -> Changed:
    """Take a block and all below it out of the outline, to be restored together."""
    return _changed(await tx.rows(UPDATE_DELETED, block, block_id=block.id, removed=removed, **_shifts(shifted)))


LIST_DELETED_WITH = """
SELECT id, parent_id, type, position, text_bytes, version FROM content.blocks WHERE deleted_root = $root_id
ORDER BY id <> $root_id LIMIT 5000
"""


async def list_deleted_with(db: Connection, root_id: BlockId) -> list[Node]:
    """List a deleted block and what was deleted with it, the block first."""
    return await db.all(Node, LIST_DELETED_WITH, root_id=root_id)


LIST_BODIES = "SELECT id, type, body FROM content.blocks WHERE id = ANY($block_ids::uuid[]) LIMIT 5000"


async def list_bodies(db: Connection, block_ids: Sequence[BlockId]) -> list[BlockBody]:
    return await db.all(BlockBody, LIST_BODIES, block_ids=block_ids)


UPDATE_RESTORED = (
    _CHANGED
    + """
        UPDATE content.blocks
        SET deleted_at = NULL, deleted_root = NULL, position = CASE WHEN id = $block_id THEN $position ELSE position END,
            version = version + 1, updated_at = $now
        WHERE deleted_root = $block_id"""
    + _WITH_OUTLINE
)


async def update_restored(tx: Transaction, block: Block, placed: Placement) -> Changed:
    return _changed(await tx.rows(UPDATE_RESTORED, placed, block, block_id=block.id, **_shifts(placed.shifted)))


DELETE_PURGED = """
DELETE FROM content.blocks WHERE id = ANY(ARRAY(
    SELECT id FROM content.blocks WHERE deleted_at < $until ORDER BY deleted_at LIMIT $limit FOR UPDATE SKIP LOCKED
))
"""


async def delete_purged(tx: Transaction, until: datetime, limit: int) -> int:
    """Delete for good what was deleted before then. What is below goes with it: it was deleted at that time or earlier."""
    return await tx.run(DELETE_PURGED, until=until, limit=limit)
