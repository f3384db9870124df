"""The SQL of working outlines. The row of an outline is the lock of all changes of its blocks."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from api.learning.content.block.store import BLOCK, SEE, Block, block_of
from api.learning.content.contract import BlockId
from api.learning.content.rules import Node
from cluster.base.ids import OrgId
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    course_id: UUID
    org_id: OrgId
    version: int
    copied_from: UUID | None


INSERT_OUTLINE = """
INSERT INTO content.outlines (course_id, org_id, created_at, changed_at) VALUES ($course_id, $org_id, $now, $now)
ON CONFLICT (course_id) DO NOTHING
"""


async def insert_outline(tx: Transaction, course_id: UUID, org_id: OrgId) -> None:
    """Insert an empty outline; one that is there stays."""
    await tx.run(INSERT_OUTLINE, course_id=course_id, org_id=org_id)


_OUTLINE = "o.course_id, o.org_id, o.version, o.copied_from"

FIND_OUTLINE = (
    "SELECT "
    + _OUTLINE
    + ", "
    + SEE
    + " FROM content.outlines o LEFT JOIN content.courses k USING (course_id) WHERE o.course_id = $course_id"
)


async def find_outline(db: Connection, course_id: UUID) -> Guarded[Outline] | None:
    rows = await db.rows(FIND_OUTLINE, course_id=course_id)
    if not rows:
        return None
    fields = dict(rows[0])
    see = fields.pop("see")
    return Guarded(Outline(**fields), org_id=fields["org_id"], course_id=course_id, see=see)


GET_OUTLINE = "SELECT " + _OUTLINE + " FROM content.outlines o WHERE o.course_id = $course_id"


async def get_outline(db: Connection, course_id: UUID) -> Outline:
    return await db.one(Outline, GET_OUTLINE, course_id=course_id)


LIST_CHANGED_OUTLINES = (
    "SELECT "
    + _OUTLINE
    + """ FROM content.outlines o
    WHERE o.course_id > $after AND o.version > 1 ORDER BY o.course_id LIMIT $limit"""
)


async def list_changed_outlines(db: Connection, after: UUID, limit: int) -> list[Outline]:
    """List outlines by the ids of their courses, but those that are empty since they were made: no event told them."""
    return await db.all(Outline, LIST_CHANGED_OUTLINES, after=after, limit=limit)


LOCK_OUTLINE = "SELECT id, parent_id, type, position, text_bytes, version FROM content.lock_outline($course_id)"


async def lock_outline(tx: Transaction, course_id: UUID) -> list[Node]:
    """Make other changes of this outline wait, and return its blocks as they are now."""
    return await tx.all(Node, LOCK_OUTLINE, course_id=course_id)


FIND_WHOLE_OUTLINE = (
    """SELECT o.course_id AS outline_course_id, o.org_id AS outline_org_id, o.version AS outline_version, o.copied_from, b.*
    FROM content.outlines o
    LEFT JOIN (SELECT """
    + BLOCK
    + """ FROM content.blocks WHERE deleted_at IS NULL) b ON b.course_id = o.course_id
    WHERE o.course_id = $course_id LIMIT 5000"""
)


async def find_whole_outline(db: Connection, course_id: UUID) -> tuple[Outline, list[Block]] | None:
    """Read a working outline with its blocks at one moment. The blocks are in no order."""
    rows = await db.rows(FIND_WHOLE_OUTLINE, course_id=course_id)
    if not rows:
        return None
    first = rows[0]
    outline = Outline(
        course_id=first["outline_course_id"],
        org_id=first["outline_org_id"],
        version=first["outline_version"],
        copied_from=first["copied_from"],
    )
    return outline, [block_of(row) for row in rows if row["id"] is not None]


INSERT_COPIES = """
WITH copies AS (
    INSERT INTO content.blocks (id, course_id, org_id, parent_id, type, position, title, body, html, renderer, text_bytes,
                                release_at, release_after_days, source_id, source_version, written_by, created_at, updated_at)
    SELECT c.id, $course_id, $org_id, c.parent_id, c.type, c.position, c.title, c.body, c.html, c.renderer, c.text_bytes,
           c.release_at, c.release_after_days, c.source_id, c.source_version,
           (SELECT s.written_by FROM content.blocks s WHERE s.id = c.source_id), $now, $now
    FROM jsonb_to_recordset($copies) AS c (id uuid, parent_id uuid, type text, position int, title text, body jsonb, html text,
                                           renderer smallint, text_bytes int, release_at timestamptz, release_after_days int,
                                           source_id uuid, source_version int)
)
UPDATE content.outlines SET version = version + 1, changed_at = $now, copied_from = $source_course_id
WHERE course_id = $course_id
RETURNING version
"""


async def insert_copies(tx: Transaction, outline: Outline, source_course_id: UUID, copies: list[dict[str, Any]]) -> int:
    """Fill an empty outline; return its version."""
    return await tx.value(INSERT_COPIES, outline, source_course_id=source_course_id, copies=copies)


LIST_UNCONFIRMED = """
SELECT course_id FROM content.outlines
WHERE confirmed_at IS NULL AND created_at < $until AND ($after::uuid IS NULL OR course_id > $after)
ORDER BY course_id LIMIT $limit
"""


async def list_unconfirmed(db: Connection, until: datetime, after: UUID | None, limit: int) -> list[UUID]:
    """List courses whose outlines were made before then, and that were not found to exist yet."""
    return [row["course_id"] for row in await db.rows(LIST_UNCONFIRMED, until=until, after=after, limit=limit)]


UPDATE_CONFIRMED = "UPDATE content.outlines SET confirmed_at = $now WHERE course_id = ANY($course_ids::uuid[])"


async def update_confirmed(tx: Transaction, course_ids: Sequence[UUID]) -> None:
    await tx.run(UPDATE_CONFIRMED, course_ids=course_ids)


LOCK_UNCONFIRMED = """
SELECT course_id FROM content.outlines WHERE course_id = $course_id AND confirmed_at IS NULL FOR UPDATE
"""
DELETE_BLOCKS = "DELETE FROM content.blocks WHERE course_id = $course_id RETURNING id"
DELETE_OUTLINE = "DELETE FROM content.outlines WHERE course_id = $course_id"


async def delete_unconfirmed(tx: Transaction, course_id: UUID) -> list[BlockId]:
    """Delete the outline of a course that never came to be, and return the blocks that went with it."""
    if await tx.value(LOCK_UNCONFIRMED, course_id=course_id) is None:
        return []
    rows = await tx.rows(DELETE_BLOCKS, course_id=course_id)
    await tx.run(DELETE_OUTLINE, course_id=course_id)
    return [row["id"] for row in rows]
