"""The SQL of blocks as moderators see and judge them."""

from typing import Any
from uuid import UUID

from api.learning.content.contract import BlockId
from api.learning.content.moderated.rules import words_of
from api.platform.moderation.contract import Content
from cluster.data import Connection, Transaction

# What learners see may be older than the working outline: each of its forms is shown beside it.
LIST_MODERATED = """
SELECT b.id, b.org_id, b.course_id, b.title, b.body, b.written_by, c.language,
    ARRAY(SELECT run_id FROM content.runs WHERE course_id = b.course_id ORDER BY run_id DESC LIMIT 200) AS run_ids,
    ARRAY(
        SELECT DISTINCT jsonb_build_object('title', p->'title', 'body', p->'body')
        FROM content.frozen_outlines f, jsonb_array_elements(f.blocks) AS p
        WHERE f.id IN (
            SELECT c.frozen_id UNION SELECT r.pinned_frozen_id FROM content.runs r WHERE r.course_id = b.course_id
        ) AND p->>'id' = b.id::text
    ) AS shown
FROM content.blocks b LEFT JOIN content.courses c USING (course_id)
WHERE b.id = ANY($block_ids::uuid[]) LIMIT 100
"""


async def list_moderated(db: Connection, block_ids: list[UUID]) -> list[Content]:
    """List blocks with the words of the working outline, and with those that runs show where they differ."""
    return [_content(row) for row in await db.rows(LIST_MODERATED, block_ids=block_ids)]


def _content(row: Any) -> Content:
    present = words_of(row["title"], row["body"])
    texts = dict(present)
    published = [words_of(each["title"], each["body"]) for each in row["shown"]]
    for number, words in enumerate(each for each in published if each != present):
        texts |= {f"/published/{number}{pointer}": text for pointer, text in words.items()}
    return Content(
        id=row["id"],
        texts=texts,
        url=f"/courses/{row['course_id']}/blocks/{row['id']}",
        user_id=row["written_by"],
        org_id=row["org_id"],
        course_id=row["course_id"],
        language=row["language"],
        seen_with="run:attend" if row["shown"] else "course:read",
        run_ids=tuple(row["run_ids"]),
    )


# A block may be gone from the working outline for good while an outline that was frozen before still has it.
UPSERT_MODERATED = """
WITH known AS (
    SELECT course_id, org_id FROM content.blocks WHERE id = $block_id
    UNION SELECT course_id, org_id FROM content.moderated_blocks WHERE block_id = $block_id
    UNION SELECT course_id, org_id FROM content.documents WHERE id = $block_id
    LIMIT 1
), moderated AS (
    INSERT INTO content.moderated_blocks AS m (block_id, course_id, org_id, state, version, changed_at)
    SELECT $block_id, course_id, org_id, CASE WHEN $removed THEN 'removed' END, $version, $now FROM known
    ON CONFLICT (block_id) DO UPDATE
    SET state = excluded.state, version = excluded.version, changed_at = excluded.changed_at
    WHERE m.version < excluded.version
    RETURNING course_id
), told AS (
    UPDATE content.blocks SET version = version + 1, updated_at = $now
    WHERE id = $block_id AND EXISTS (SELECT FROM moderated)
)
SELECT course_id FROM moderated
"""


async def upsert_moderated(tx: Transaction, block_id: BlockId, *, removed: bool, version: int) -> UUID | None:
    """Remember a decision and return the course; None: a newer one is known, or there never was such a block."""
    return await tx.value(UPSERT_MODERATED, block_id=block_id, removed=removed, version=version)


LIST_HIDDEN = """
SELECT block_id FROM content.moderated_blocks WHERE course_id = $course_id AND state = 'removed' LIMIT 5000
"""


async def list_hidden(db: Connection, course_id: UUID) -> frozenset[BlockId]:
    """Return which blocks of a course moderators removed."""
    return frozenset(row["block_id"] for row in await db.rows(LIST_HIDDEN, course_id=course_id))
