"""The SQL of published blocks as documents."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from api.learning.content.contract import BlockId, FrozenId
from cluster.base.ids import OrgId
from cluster.data import Connection, Transaction
from cluster.people.documents import Document, Documents, Gone


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """An outline that runs of a course show."""

    frozen_id: FrozenId
    pinned: bool
    """By its runs; else it is the newest."""
    org_id: OrgId
    language: str
    run_ids: list[UUID] = field(default_factory=list[UUID])
    hidden: list[BlockId] = field(default_factory=list[BlockId])
    """Blocks of the course that a moderator removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A published block as it is found."""

    id: UUID
    block_id: BlockId
    frozen_id: FrozenId
    type: str
    title: str
    path: list[str]
    text: str
    language: str
    run_ids: list[UUID]


LIST_SHOWN = """
SELECT coalesce(r.pinned_frozen_id, c.frozen_id) AS frozen_id,
    coalesce(r.pinned_frozen_id <> c.frozen_id, r.pinned_frozen_id IS NOT NULL) AS pinned, c.org_id,
    coalesce(c.language, 'und') AS language, array_agg(r.run_id ORDER BY r.run_id) AS run_ids,
    ARRAY(SELECT block_id FROM content.moderated_blocks WHERE course_id = $course_id AND state = 'removed'
        ORDER BY block_id) AS hidden
FROM content.courses c JOIN content.runs r USING (course_id)
WHERE c.course_id = $course_id AND coalesce(r.pinned_frozen_id, c.frozen_id) IS NOT NULL
GROUP BY 1, 2, 3, 4 ORDER BY 2, 1 LIMIT 1000
"""


async def list_shown(db: Connection, course_id: UUID) -> list[Shown]:
    """List the outlines that the runs of a course show now, the newest first."""
    return await db.all(Shown, LIST_SHOWN, course_id=course_id)


LIST_OUTLINES = "SELECT id, blocks FROM content.frozen_outlines WHERE id = ANY($ids::uuid[]) LIMIT 1000"


async def list_outlines(db: Connection, ids: Sequence[FrozenId]) -> dict[FrozenId, list[dict[str, Any]]]:
    """Return the blocks of frozen outlines, in tree order."""
    return {row["id"]: row["blocks"] for row in await db.rows(LIST_OUTLINES, ids=ids)}


# A row that is the same stays as it is, so that the search fetches what changed alone.
UPSERT_FOUND = """
INSERT INTO content.documents AS was (id, block_id, course_id, org_id, frozen_id, type, title, path, text, language, run_ids,
    version, updated_at)
SELECT (f->>'id')::uuid, (f->>'block_id')::uuid, $course_id, $org_id, (f->>'frozen_id')::uuid, f->>'type', f->>'title',
    ARRAY(SELECT jsonb_array_elements_text(f->'path')), f->>'text', f->>'language',
    ARRAY(SELECT jsonb_array_elements_text(f->'run_ids')::uuid), 1, $now
FROM jsonb_array_elements($found::jsonb) AS f
ON CONFLICT (id) DO UPDATE SET frozen_id = excluded.frozen_id, type = excluded.type, title = excluded.title,
    path = excluded.path, text = excluded.text, language = excluded.language, run_ids = excluded.run_ids, gone = false,
    version = was.version + 1, updated_at = $now
WHERE (was.type, was.title, was.path, was.text, was.language, was.run_ids, was.gone)
    IS DISTINCT FROM
    (excluded.type, excluded.title, excluded.path, excluded.text, excluded.language, excluded.run_ids, false)
RETURNING id
"""
UPDATE_OUTLINES = """
UPDATE content.documents SET frozen_id = f.frozen_id FROM unnest($ids::uuid[], $frozen_ids::uuid[]) AS f (id, frozen_id)
WHERE documents.id = f.id AND documents.frozen_id <> f.frozen_id
"""


async def upsert_found(tx: Transaction, course_id: UUID, org_id: OrgId, found: Sequence[Found]) -> list[UUID]:
    """Keep what is found of a course; return the documents that are new or changed."""
    lines = [{name: _plain(getattr(each, name)) for name in Found.__dataclass_fields__} for each in found]
    rows = await tx.rows(UPSERT_FOUND, course_id=course_id, org_id=org_id, found=lines)
    ids, frozen_ids = [each.id for each in found], [each.frozen_id for each in found]
    await tx.run(UPDATE_OUTLINES, ids=ids, frozen_ids=frozen_ids)
    return [row["id"] for row in rows]


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [str(each) for each in value]
    return str(value)


UPDATE_GONE = """
UPDATE content.documents SET gone = true, text = '', version = version + 1, updated_at = $now
WHERE course_id = $course_id AND NOT gone AND NOT id = ANY($ids::uuid[]) RETURNING id
"""


async def update_gone(tx: Transaction, course_id: UUID, but: Sequence[UUID]) -> list[UUID]:
    """Mark all documents of a course but these as gone; return them."""
    return [row["id"] for row in await tx.rows(UPDATE_GONE, course_id=course_id, ids=but)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Documented:
    documents_version: int
    org_id: OrgId


UPDATE_DOCUMENTED = """
UPDATE content.courses SET documented_at = $now, documents_version = documents_version + $changes
WHERE course_id = $course_id RETURNING documents_version, org_id
"""


async def update_documented(tx: Transaction, course_id: UUID, changes: int) -> Documented | None:
    """Note that a course was looked at; None: nothing is known of it yet."""
    return await tx.maybe(Documented, UPDATE_DOCUMENTED, course_id=course_id, changes=changes)


LIST_NEVER_DOCUMENTED = """
SELECT course_id FROM content.courses WHERE documented_at IS NULL ORDER BY course_id LIMIT $limit
"""


async def list_never_documented(db: Connection, limit: int) -> list[UUID]:
    return [row["course_id"] for row in await db.rows(LIST_NEVER_DOCUMENTED, limit=limit)]


_DOCUMENT = "id, block_id, course_id, org_id, type, title, path, text, language, run_ids, gone, version, updated_at"
LIST_DOCUMENTS = "SELECT " + _DOCUMENT + " FROM content.documents WHERE id = ANY($ids::uuid[]) LIMIT 1000"


async def list_documents(db: Connection, ids: list[UUID]) -> Documents:
    rows = await db.rows(LIST_DOCUMENTS, ids=ids)
    return Documents(
        found=[_document(row) for row in rows if not row["gone"]],
        gone=[Gone(id=row["id"], version=row["version"]) for row in rows if row["gone"]],
    )


LIST_DOCUMENT_PAGE = (
    "SELECT "
    + _DOCUMENT
    + """ FROM content.documents
    WHERE NOT gone AND ($after::uuid IS NULL OR id > $after) ORDER BY id LIMIT $limit"""
)


async def list_document_page(db: Connection, after: UUID | None, limit: int) -> list[Document]:
    """List what is found, by id."""
    return [_document(row) for row in await db.rows(LIST_DOCUMENT_PAGE, after=after, limit=limit)]


def _document(row: Any) -> Document:
    return Document(
        id=row["id"],
        version=row["version"],
        language=row["language"],
        title=row["title"],
        text=row["text"],
        url=f"/courses/{row['course_id']}/blocks/{row['block_id']}",
        seen_with="run:attend",
        org_id=row["org_id"],
        course_id=row["course_id"],
        run_ids=tuple(row["run_ids"]),
        path=tuple(row["path"]),
        facets={"type": (row["type"],)},
        updated_at=row["updated_at"],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a document stands, and when the run starts that shows it."""

    id: UUID
    block_id: BlockId
    frozen_id: FrozenId
    org_id: OrgId
    course_id: UUID
    run_id: UUID
    starts_at: datetime | None
    hidden: list[BlockId]
    """Blocks of the course that a moderator removed."""


# What a run shows now, not what it showed when the document was made.
LIST_PLACES = """
SELECT d.id, d.block_id, d.frozen_id, r.org_id, r.course_id, r.run_id, r.starts_at,
    ARRAY(SELECT block_id FROM content.moderated_blocks WHERE course_id = d.course_id AND state = 'removed') AS hidden
FROM content.documents d JOIN content.courses c USING (course_id)
JOIN content.runs r ON r.course_id = d.course_id AND coalesce(r.pinned_frozen_id, c.frozen_id) = d.frozen_id
WHERE d.id = ANY($ids::uuid[]) AND NOT d.gone
    AND ($everywhere OR r.org_id = ANY($org_ids::uuid[]) OR r.course_id = ANY($course_ids::uuid[])
        OR r.run_id = ANY($run_ids::uuid[]))
ORDER BY d.id, r.run_id LIMIT 10000
"""


async def list_places(
    db: Connection,
    ids: list[UUID],
    *,
    everywhere: bool,
    org_ids: Sequence[UUID],
    course_ids: Sequence[UUID],
    run_ids: Sequence[UUID],
) -> list[Place]:
    """List in which runs of somebody's reach these documents are shown."""
    return await db.all(
        Place, LIST_PLACES, ids=ids, everywhere=everywhere, org_ids=org_ids, course_ids=course_ids, run_ids=run_ids
    )
