"""The SQL of places."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from cluster.base.ids import OrgId
from cluster.data import Connection, Transaction
from cluster.people.access import ScopeKind

FIND_ORGANIZATION_OF = "SELECT org_id FROM rbac.places WHERE scope = $scope AND scope_id = $scope_id"


async def find_organization_of(db: Connection, scope: ScopeKind, scope_id: UUID) -> OrgId | None:
    """Find the organization that a place belongs to."""
    return await db.value(FIND_ORGANIZATION_OF, scope=scope, scope_id=scope_id)


UPSERT_PLACE = """
INSERT INTO rbac.places (scope, scope_id, org_id) VALUES ($scope, $scope_id, $org_id)
ON CONFLICT (scope, scope_id) DO UPDATE SET org_id = excluded.org_id WHERE places.org_id <> excluded.org_id
"""


async def upsert_place(tx: Transaction, scope: ScopeKind, scope_id: UUID, org_id: OrgId) -> None:
    await tx.run(UPSERT_PLACE, scope=scope, scope_id=scope_id, org_id=org_id)


LIST_UNCONFIRMED = """
SELECT scope_id FROM rbac.places
WHERE scope = 'course' AND confirmed_at IS NULL AND created_at < $before AND ($after::uuid IS NULL OR scope_id > $after)
ORDER BY scope_id LIMIT $limit
"""


async def list_unconfirmed(db: Connection, *, before: datetime, after: UUID | None, limit: int) -> list[UUID]:
    """List the courses noted before a time that were not found to exist yet."""
    return [row["scope_id"] for row in await db.rows(LIST_UNCONFIRMED, before=before, after=after, limit=limit)]


UPDATE_CONFIRMED = """
UPDATE rbac.places SET confirmed_at = $now WHERE scope = 'course' AND scope_id = ANY($course_ids::uuid[])
"""


async def update_confirmed(tx: Transaction, course_ids: Sequence[UUID]) -> None:
    await tx.run(UPDATE_CONFIRMED, course_ids=course_ids)


DELETE_UNCONFIRMED = """
DELETE FROM rbac.places WHERE scope = 'course' AND scope_id = ANY($course_ids::uuid[]) AND confirmed_at IS NULL
"""


async def delete_unconfirmed(tx: Transaction, course_ids: Sequence[UUID]) -> None:
    await tx.run(DELETE_UNCONFIRMED, course_ids=course_ids)
