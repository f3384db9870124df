"""The SQL of courses as documents."""

from typing import Any
from uuid import UUID

from cluster.data import Connection
from cluster.people.documents import Document, Documents, Gone

# The version counts every change of the course; what the catalogue shows changes with it.
_DOCUMENT = """c.id, c.version, k.org_id, k.title, k.summary, k.language, k.categories, k.tags, k.visibility, k.published_at,
    k.course_id IS NOT NULL AND NOT k.hidden AND k.visibility <> 'unlisted' AS listed"""
LIST_DOCUMENTS = (
    "SELECT "
    + _DOCUMENT
    + """ FROM course.courses c LEFT JOIN course.catalog k ON k.course_id = c.id
    WHERE c.id = ANY($ids::uuid[]) LIMIT 1000"""
)


async def list_documents(db: Connection, ids: list[UUID]) -> Documents:
    """Return these courses as documents; what the catalogue does not list is gone."""
    rows = await db.rows(LIST_DOCUMENTS, ids=ids)
    return Documents(
        found=[_document(row) for row in rows if row["listed"]],
        gone=[Gone(id=row["id"], version=row["version"]) for row in rows if not row["listed"]],
    )


LIST_DOCUMENT_PAGE = (
    "SELECT "
    + _DOCUMENT
    + """ FROM course.catalog k JOIN course.courses c ON c.id = k.course_id
    WHERE ($after::uuid IS NULL OR k.course_id > $after) AND NOT k.hidden AND k.visibility <> 'unlisted'
    ORDER BY k.course_id LIMIT $limit"""
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
        text="\n".join(filter(None, (row["summary"], ", ".join(row["tags"])))),
        url=f"/courses/{row['id']}",
        seen_with="catalog:read" if row["visibility"] == "public" else "catalog:read-organization",
        org_id=row["org_id"],
        course_id=row["id"],
        facets={"category": tuple(row["categories"]), "tag": tuple(row["tags"])},
        updated_at=row["published_at"],
    )
