"""The SQL of memberships, and of people as documents."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from api.core.organization.contract import MemberUpdated
from cluster.base.ids import OrgId, UserId
from cluster.data import Connection, Transaction
from cluster.people.documents import Document, Documents, Gone

_ERASED = 2**53
"""The version of what is gone for good: a profile never comes back."""

UPSERT_MEMBER = """
INSERT INTO "user".members (member_id, org_id, user_id, active, version)
VALUES ($member_id, $org_id, $user_id, $state = 'active', $version)
ON CONFLICT (member_id) DO UPDATE
SET org_id = excluded.org_id, user_id = excluded.user_id, active = excluded.active, version = excluded.version
WHERE members.version < excluded.version
"""


async def upsert_member(tx: Transaction, member: MemberUpdated, version: int) -> bool:
    """Remember a membership; False: something newer is known."""
    return await tx.run(UPSERT_MEMBER, member, version=version) == 1


LIST_MEMBERSHIPS = """
SELECT m.member_id, m.org_id, m.version + coalesce(u.version, 0) AS version
FROM "user".members m LEFT JOIN "user".users u ON u.id = m.user_id WHERE m.user_id = $user_id LIMIT 10000
"""


async def list_memberships(db: Connection, user_id: UserId) -> list[tuple[UUID, OrgId, int]]:
    """List the memberships of a person, with the versions of their documents."""
    rows = await db.rows(LIST_MEMBERSHIPS, user_id=user_id)
    return [(row["member_id"], row["org_id"], row["version"]) for row in rows]


# What is found changes with the membership and with the profile.
_DOCUMENT = """m.member_id AS id, m.org_id, m.user_id, m.version + coalesce(u.version, 0) AS version, u.name, u.updated_at,
    m.active AND u.state IS NOT DISTINCT FROM 'active' AS found, u.state IS NOT DISTINCT FROM 'erased' AS erased
    FROM "user".members m LEFT JOIN "user".users u ON u.id = m.user_id"""
LIST_DOCUMENTS = "SELECT " + _DOCUMENT + " WHERE m.member_id = ANY($ids::uuid[]) LIMIT 1000"


async def list_documents(db: Connection, ids: Sequence[UUID]) -> Documents:
    """Return active members as documents. A membership that is not known was erased: search asks for no other."""
    rows = {row["id"]: row for row in await db.rows(LIST_DOCUMENTS, ids=ids)}
    gone = [id for id in ids if id not in rows or not rows[id]["found"]]
    return Documents(
        found=[_document(row) for row in rows.values() if row["found"]],
        gone=[
            Gone(id=id, version=_ERASED if id not in rows or rows[id]["erased"] else rows[id]["version"]) for id in gone
        ],
    )


LIST_DOCUMENT_PAGE = (
    "SELECT "
    + _DOCUMENT
    + """ WHERE m.active AND u.state = 'active' AND ($after::uuid IS NULL OR m.member_id > $after)
    ORDER BY m.member_id LIMIT $limit"""
)


async def list_document_page(db: Connection, after: UUID | None, limit: int) -> list[Document]:
    """List who is found, by the membership's id."""
    return [_document(row) for row in await db.rows(LIST_DOCUMENT_PAGE, after=after, limit=limit)]


def _document(row: Any) -> Document:
    return Document(
        id=row["id"],
        version=row["version"],
        language="und",
        title=row["name"],
        # Nothing but the name: who may see that somebody is a member may not see everything about them.
        text="",
        url=f"/organizations/{row['org_id']}/members/{row['id']}",
        seen_with="member:read",
        org_id=row["org_id"],
        owner_id=row["user_id"],
        updated_at=row["updated_at"],
    )
