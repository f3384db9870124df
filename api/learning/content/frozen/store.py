"""The SQL of frozen outlines."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from api.learning.content.contract import FrozenId
from cluster.base.ids import OrgId
from cluster.data import Connection, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenRow:
    id: FrozenId
    course_id: UUID
    org_id: OrgId
    blocks: list[dict[str, Any]]


FIND_FROZEN_ID = "SELECT id FROM content.frozen_outlines WHERE course_id = $course_id AND sha256 = $sha256"


async def find_frozen_id(db: Connection, course_id: UUID, sha256: bytes) -> FrozenId | None:
    return await db.value(FIND_FROZEN_ID, course_id=course_id, sha256=sha256)


INSERT_FROZEN = """
INSERT INTO content.frozen_outlines (id, course_id, org_id, sha256, blocks, frozen_at)
VALUES ($id, $course_id, $org_id, $sha256, $blocks, $now)
ON CONFLICT (course_id, sha256) DO NOTHING RETURNING id
"""


async def insert_frozen(tx: Transaction, frozen: FrozenRow, sha256: bytes) -> FrozenId | None:
    """Keep an outline; None when somebody kept the same one first."""
    return await tx.value(INSERT_FROZEN, frozen, sha256=sha256)


UPDATE_LET_GO = """
UPDATE content.frozen_outlines SET let_go_at = $now, sha256 = sha256 || uuid_send(id)
WHERE id = $frozen_id AND let_go_at IS NULL
"""


async def update_let_go(tx: Transaction, frozen_id: FrozenId) -> bool:
    """Mark an outline as one that uses nothing and is not found by its hash any more. False: it is marked, or unknown."""
    return await tx.run(UPDATE_LET_GO, frozen_id=frozen_id) == 1


FIND_FROZEN = "SELECT id, course_id, org_id, blocks FROM content.frozen_outlines WHERE id = $frozen_id"


async def find_frozen(db: Connection, frozen_id: FrozenId) -> FrozenRow | None:
    return await db.maybe(FrozenRow, FIND_FROZEN, frozen_id=frozen_id)
