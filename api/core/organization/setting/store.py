"""The SQL of settings."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from cluster.base.ids import OrgId
from cluster.data import Connection, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What was chosen in one scope. The version of a scope in which nothing was ever chosen is 0."""

    scope_id: UUID
    org_id: OrgId | None
    chosen: dict[str, Any] = field(default_factory=dict[str, Any])
    locked: list[str] = field(default_factory=list[str])
    version: int = 0


LIST_CHOSEN = """
SELECT scope_id, org_id, chosen, locked, version FROM organization.settings WHERE scope_id = ANY($scope_ids::uuid[]) LIMIT 100
"""


async def list_chosen(db: Connection, scope_ids: Sequence[UUID]) -> list[Chosen]:
    """List what was chosen in these scopes, at most 100. A scope without a row is left out."""
    return await db.all(Chosen, LIST_CHOSEN, scope_ids=scope_ids)


# An update that changes nothing: it locks the row that is there.
LOCK_CHOSEN = """
INSERT INTO organization.settings AS s (scope_id, org_id, updated_at) VALUES ($scope_id, $org_id, $now)
ON CONFLICT (scope_id) DO UPDATE SET version = s.version
RETURNING scope_id, org_id, chosen, locked, version
"""


async def lock_chosen(tx: Transaction, scope_id: UUID, org_id: OrgId | None) -> Chosen:
    """Return what was chosen in a scope, with its row locked, and made where there is none."""
    return await tx.one(Chosen, LOCK_CHOSEN, scope_id=scope_id, org_id=org_id)


UPDATE_CHOSEN = """
UPDATE organization.settings SET chosen = $chosen::jsonb, locked = $locked::text[], version = version + 1, updated_at = $now
WHERE scope_id = $scope_id
RETURNING scope_id, org_id, chosen, locked, version
"""


async def update_chosen(tx: Transaction, scope_id: UUID, *, chosen: dict[str, Any], locked: Sequence[str]) -> Chosen:
    return await tx.one(Chosen, UPDATE_CHOSEN, scope_id=scope_id, chosen=chosen, locked=locked)
