"""The SQL of working outlines. Every change locks the outline's row first, so changes of one course come one after another."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from api.learning.content.contract import BlockId
from api.learning.content.rules import Node, Placement
from cluster.base.ids import OrgId
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A block of the working outline."""

    id: BlockId
    course_id: UUID
    org_id: OrgId
    parent_id: BlockId | None
    type: str
    position: int
    title: str
    body: dict[str, Any]
    html: str | None
    renderer: int
    text_bytes: int
    release_at: datetime | None
    release_after_days: int | None
    content_version: int
    min_version: int
    source_id: BlockId | None
    source_version: int | None
    deleted_at: datetime | None
    deleted_root: BlockId | None
    version: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedBlock:
    """A block and its place in the whole tree: `path` sorts as the outline is read."""

    block: Block
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    course_id: UUID
    org_id: OrgId
    version: int
    copied_from: UUID | None


_BLOCK = """id, course_id, org_id, parent_id, type, position, title, body, html, renderer, text_bytes, release_at,
    release_after_days, content_version, min_version, source_id, source_version, deleted_at, deleted_root, version,
    created_at, updated_at"""

# A published course is no secret, nor that it has an outline: who may not edit it is told so.
_PUBLIC = """coalesce(k.frozen_id IS NOT NULL AND NOT k.archived AND k.visibility <> 'organization', false) AS public"""

# Begins a change: counts the outline up and gives the siblings their new positions.
# $1: course, $2: now, $3 and $4: siblings and their positions, $5: block.
_CHANGED = """WITH outline AS (
        UPDATE content.outlines SET version = version + 1, changed_at = $2 WHERE course_id = $1 RETURNING version
    ), shifted AS (
        UPDATE content.blocks AS b SET position = s.position FROM unnest($3::uuid[], $4::int[]) AS s (id, position)
        WHERE b.id = s.id
    ), changed AS ("""
_AND_OUTLINE = ") SELECT changed.*, outline.version AS outline_version FROM changed, outline WHERE changed.id = $5"


@dataclass(frozen=True, slots=True)
class BlockBody:
    """What a block says, as far as it names things."""

    id: BlockId
    type: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Changed:
    """A block after a change, and its outline's version."""

    block: Block
    outline_version: int


async def insert_outline(tx: Transaction, course_id: UUID, org_id: OrgId) -> None:
    await tx.run(
        """INSERT INTO content.outlines (course_id, org_id, created_at, changed_at) VALUES ($1, $2, $3, $3)
           ON CONFLICT (course_id) DO NOTHING""",
        course_id,
        org_id,
        tx.now,
    )


async def find_outline(db: Connection, course_id: UUID) -> Guarded[Outline] | None:
    rows = await db.rows(
        "SELECT o.course_id, o.org_id, o.version, o.copied_from, "
        + _PUBLIC
        + " FROM content.outlines o LEFT JOIN content.courses k USING (course_id) WHERE o.course_id = $1",
        course_id,
    )
    return _guarded(Outline, rows)


async def list_changed_outlines(db: Connection, after: UUID, limit: int) -> list[Outline]:
    """List outlines by the ids of their courses, but those that are empty since they were made: no event told them."""
    return await db.all(
        Outline,
        """SELECT course_id, org_id, version, copied_from FROM content.outlines
           WHERE course_id > $1 AND version > 1 ORDER BY course_id LIMIT $2""",
        after,
        limit,
    )


async def get_outline(db: Connection, course_id: UUID) -> Outline:
    return await db.one(
        Outline, "SELECT course_id, org_id, version, copied_from FROM content.outlines WHERE course_id = $1", course_id
    )


async def lock_outline(tx: Transaction, course_id: UUID) -> list[Node]:
    """Make other changes of this outline wait, and return its blocks as they are now."""
    return await tx.all(
        Node,
        "SELECT id, parent_id, type, position, text_bytes, version FROM content.lock_outline($1)",
        course_id,
    )


async def find_block(db: Connection, block_id: BlockId) -> Guarded[Block] | None:
    """Find a block of a working outline, deleted ones too."""
    rows = await db.rows(
        "WITH block AS (SELECT "
        + _BLOCK
        + " FROM content.blocks WHERE id = $1) SELECT block.*, "
        + _PUBLIC
        + " FROM block LEFT JOIN content.courses k USING (course_id)",
        block_id,
    )
    return _guarded(Block, rows)


def _guarded(kind: type[T], rows: Sequence[Any]) -> Guarded[T] | None:
    if not rows:
        return None
    fields = dict(rows[0])
    public = fields.pop("public")
    return Guarded(kind(**fields), org_id=fields["org_id"], course_id=fields["course_id"], public=public)


def _guarded_list(listed: list[T], rows: Sequence[Any], course_id: UUID) -> Guarded[list[T]] | None:
    if not rows:
        return None
    return Guarded(listed, org_id=rows[0]["outline_org_id"], course_id=course_id, public=rows[0]["public"])


async def list_blocks(
    db: Connection, course_id: UUID, *, ids: list[BlockId] | None, after: str, limit: int
) -> Guarded[list[ListedBlock]] | None:
    """List a working outline as it is read: parents before children, siblings in order. None: there is no such outline."""
    rows = await db.rows(
        """WITH RECURSIVE tree AS (
               SELECT b.id, to_char(b.position, 'FM000000') COLLATE "C" AS path
               FROM content.blocks b WHERE b.course_id = $1 AND b.parent_id IS NULL AND b.deleted_at IS NULL
               UNION ALL
               SELECT b.id, tree.path || '.' || to_char(b.position, 'FM000000')
               FROM tree JOIN content.blocks b ON b.parent_id = tree.id AND b.deleted_at IS NULL
           ), page AS (
               SELECT id, path FROM tree WHERE path > $2 COLLATE "C" AND ($4::uuid[] IS NULL OR id = ANY($4))
               ORDER BY path LIMIT $3
           ), shown AS (
               SELECT path, """
        + _BLOCK
        + """
               FROM page JOIN content.blocks USING (id)
           )
           SELECT o.org_id AS outline_org_id, """
        + _PUBLIC
        + """, shown.*
           FROM content.outlines o LEFT JOIN content.courses k USING (course_id) LEFT JOIN shown ON true
           WHERE o.course_id = $1 ORDER BY shown.path""",
        course_id,
        after,
        limit,
        ids,
    )
    listed = [ListedBlock(path=row["path"], block=_block(row)) for row in rows if row["id"] is not None]
    return _guarded_list(listed, rows, course_id)


async def list_deleted_blocks(
    db: Connection, course_id: UUID, *, before: BlockId | None, limit: int
) -> Guarded[list[Block]] | None:
    """List what can be restored, newest first: blocks that were deleted themselves, not only with their parent."""
    rows = await db.rows(
        """WITH shown AS (
               SELECT """
        + _BLOCK
        + """
               FROM content.blocks
               WHERE course_id = $1 AND deleted_root = id AND deleted_at > now() - interval '30 days'
                 AND ($2::uuid IS NULL OR id < $2)
               ORDER BY id DESC LIMIT $3
           )
           SELECT o.org_id AS outline_org_id, """
        + _PUBLIC
        + """, shown.*
           FROM content.outlines o LEFT JOIN content.courses k USING (course_id) LEFT JOIN shown ON true
           WHERE o.course_id = $1 ORDER BY shown.id DESC""",
        course_id,
        before,
        limit,
    )
    deleted = [_block(row) for row in rows if row["id"] is not None]
    return _guarded_list(deleted, rows, course_id)


async def list_whole_outline(db: Connection, course_id: UUID) -> tuple[Outline | None, list[Block]]:
    """Read a working outline at one moment. The blocks are in no order."""
    rows = await db.rows(
        """SELECT o.course_id AS outline_course_id, o.org_id AS outline_org_id, o.version AS outline_version, o.copied_from,
                  b.id, b.course_id, b.org_id, b.parent_id, b.type, b.position, b.title, b.body, b.html, b.renderer,
                  b.text_bytes, b.release_at, b.release_after_days, b.content_version, b.min_version, b.source_id,
                  b.source_version, b.deleted_at, b.deleted_root, b.version, b.created_at, b.updated_at
           FROM content.outlines o LEFT JOIN content.blocks b ON b.course_id = o.course_id AND b.deleted_at IS NULL
           WHERE o.course_id = $1 LIMIT 5000""",
        course_id,
    )
    if not rows:
        return None, []
    first = rows[0]
    outline = Outline(
        course_id=first["outline_course_id"],
        org_id=first["outline_org_id"],
        version=first["outline_version"],
        copied_from=first["copied_from"],
    )
    return outline, [_block(row) for row in rows if row["id"] is not None]


async def insert_block(
    tx: Transaction,
    *,
    block_id: BlockId,
    course_id: UUID,
    org_id: OrgId,
    type: str,
    placed: Placement,
    title: str,
    body: dict[str, Any],
    html: str | None,
    renderer: int,
    text_bytes: int,
    release_at: datetime | None,
    release_after_days: int | None,
) -> Changed:
    return await _change(
        tx,
        """INSERT INTO content.blocks (id, course_id, org_id, parent_id, type, position, title, body, html, renderer,
                                       text_bytes, release_at, release_after_days, created_at, updated_at)
           VALUES ($5, $1, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $2, $2)
           RETURNING """
        + _BLOCK,
        course_id,
        placed.shifted,
        block_id,
        org_id,
        placed.parent_id,
        type,
        placed.position,
        title,
        body,
        html,
        renderer,
        text_bytes,
        release_at,
        release_after_days,
    )


async def update_block(
    tx: Transaction,
    block: Block,
    *,
    title: str,
    body: dict[str, Any],
    html: str | None,
    renderer: int,
    text_bytes: int,
    release_at: datetime | None,
    release_after_days: int | None,
    content_version: int,
    min_version: int,
) -> Changed:
    return await _change(
        tx,
        """UPDATE content.blocks
           SET title = $6, body = $7, html = $8, renderer = $9, text_bytes = $10, release_at = $11,
               release_after_days = $12, content_version = $13, min_version = $14, version = version + 1, updated_at = $2
           WHERE id = $5
           RETURNING """
        + _BLOCK,
        block.course_id,
        {},
        block.id,
        title,
        body,
        html,
        renderer,
        text_bytes,
        release_at,
        release_after_days,
        content_version,
        min_version,
    )


async def update_place(tx: Transaction, block: Block, placed: Placement) -> Changed:
    return await _change(
        tx,
        """UPDATE content.blocks SET parent_id = $6, position = $7, version = version + 1, updated_at = $2
           WHERE id = $5
           RETURNING """
        + _BLOCK,
        block.course_id,
        placed.shifted,
        block.id,
        placed.parent_id,
        placed.position,
    )


async def update_deleted(tx: Transaction, block: Block, removed: list[BlockId], shifted: dict[BlockId, int]) -> Changed:
    """Take a block and all below it out of the outline, to be restored together."""
    return await _change(
        tx,
        """UPDATE content.blocks SET deleted_at = $2, deleted_root = $5, version = version + 1, updated_at = $2
           WHERE id = ANY($6::uuid[])
           RETURNING """
        + _BLOCK,
        block.course_id,
        shifted,
        block.id,
        removed,
    )


async def list_deleted_with(db: Connection, root_id: BlockId) -> list[Node]:
    """List a deleted block and what was deleted with it, the block first."""
    return await db.all(
        Node,
        """SELECT id, parent_id, type, position, text_bytes, version FROM content.blocks WHERE deleted_root = $1
           ORDER BY id <> $1 LIMIT 5000""",
        root_id,
    )


async def list_bodies(db: Connection, block_ids: Sequence[BlockId]) -> list[BlockBody]:
    return await db.all(
        BlockBody, "SELECT id, type, body FROM content.blocks WHERE id = ANY($1::uuid[]) LIMIT 5000", block_ids
    )


async def update_restored(tx: Transaction, block: Block, placed: Placement) -> Changed:
    return await _change(
        tx,
        """UPDATE content.blocks
           SET deleted_at = NULL, deleted_root = NULL, position = CASE WHEN id = $5 THEN $6 ELSE position END,
               version = version + 1, updated_at = $2
           WHERE deleted_root = $5
           RETURNING """
        + _BLOCK,
        block.course_id,
        placed.shifted,
        block.id,
        placed.position,
    )


async def insert_copies(tx: Transaction, outline: Outline, source_course_id: UUID, copies: list[dict[str, Any]]) -> int:
    """Fill an empty outline; returns its version."""
    return await tx.value(
        """WITH copies AS (
               INSERT INTO content.blocks (id, course_id, org_id, parent_id, type, position, title, body, html, renderer,
                                           text_bytes, release_at, release_after_days, source_id, source_version, created_at,
                                           updated_at)
               SELECT c.id, $1, $2, c.parent_id, c.type, c.position, c.title, c.body, c.html, c.renderer, c.text_bytes,
                      c.release_at, c.release_after_days, c.source_id, c.source_version, $3, $3
               FROM jsonb_to_recordset($4) AS c (id uuid, parent_id uuid, type text, position int, title text, body jsonb,
                                                 html text, renderer smallint, text_bytes int,
                                                 release_at timestamptz, release_after_days int,
                                                 source_id uuid, source_version int)
           )
           UPDATE content.outlines SET version = version + 1, changed_at = $3, copied_from = $5 WHERE course_id = $1
           RETURNING version""",
        outline.course_id,
        outline.org_id,
        tx.now,
        copies,
        source_course_id,
    )


async def delete_purged(tx: Transaction, before: datetime, limit: int) -> int:
    """Delete for good what was deleted before a time. What is below goes with it: it was deleted at that time or earlier."""
    return await tx.run(
        """DELETE FROM content.blocks WHERE id IN (
               SELECT id FROM content.blocks WHERE deleted_at < $1 ORDER BY deleted_at LIMIT $2 FOR UPDATE SKIP LOCKED
           )""",
        before,
        limit,
    )


async def _change(tx: Transaction, sql: str, course_id: UUID, shifted: dict[BlockId, int], *args: object) -> Changed:
    """Run one change of a block with what every change does to its outline."""
    rows = await tx.rows(
        _CHANGED + sql + _AND_OUTLINE,
        course_id,
        tx.now,
        list(shifted),
        list(shifted.values()),
        *args,
    )
    return Changed(_block(rows[0]), rows[0]["outline_version"])


def _block(row: Any) -> Block:
    return Block(**{name: row[name] for name in Block.__dataclass_fields__})


async def list_unconfirmed(db: Connection, before: datetime, after: UUID | None, limit: int) -> list[UUID]:
    """List courses whose outlines were made before a time, and that were not found to exist yet."""
    rows = await db.rows(
        """SELECT course_id FROM content.outlines
           WHERE confirmed_at IS NULL AND created_at < $1 AND ($2::uuid IS NULL OR course_id > $2)
           ORDER BY course_id LIMIT $3""",
        *(before, after, limit),
    )
    return [row["course_id"] for row in rows]


async def update_confirmed(tx: Transaction, course_ids: Sequence[UUID]) -> None:
    await tx.run("UPDATE content.outlines SET confirmed_at = $2 WHERE course_id = ANY($1::uuid[])", course_ids, tx.now)


async def delete_unconfirmed(tx: Transaction, course_id: UUID) -> list[BlockId]:
    """Delete the outline of a course that never came to be, and return the blocks that went with it."""
    sql = "SELECT course_id FROM content.outlines WHERE course_id = $1 AND confirmed_at IS NULL FOR UPDATE"
    if await tx.value(sql, course_id) is None:
        return []
    rows = await tx.rows("DELETE FROM content.blocks WHERE course_id = $1 RETURNING id", course_id)
    await tx.run("DELETE FROM content.outlines WHERE course_id = $1", course_id)
    return [row["id"] for row in rows]
