"""The SQL of frozen outlines."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from api.learning.content.contract import FrozenId
from api.learning.course.contract import CourseOutline
from cluster.base.ids import OrgId
from cluster.data import Connection, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenRow:
    id: FrozenId
    course_id: UUID
    org_id: OrgId
    blocks: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Kept:
    """A frozen outline that is there already."""

    id: FrozenId
    lasts: bool
    """A revision names it, or it was frozen within the hour: it is not deleted before the course is published with it."""


FIND_KEPT = """
SELECT id, confirmed_at IS NOT NULL OR asked_at > now() - interval '1 hour' AS lasts
FROM content.frozen_outlines WHERE course_id = $course_id AND sha256 = $sha256
"""


async def find_kept(db: Connection, course_id: UUID, sha256: bytes) -> Kept | None:
    """Find the same outline of this course."""
    return await db.maybe(Kept, FIND_KEPT, course_id=course_id, sha256=sha256)


UPDATE_ASKED = "UPDATE content.frozen_outlines SET asked_at = $now WHERE id = $frozen_id AND let_go_at IS NULL"


async def update_asked(tx: Transaction, frozen_id: FrozenId) -> bool:
    """Record that it is frozen once more; False: it was deleted or let go in this moment."""
    return await tx.run(UPDATE_ASKED, frozen_id=frozen_id) == 1


INSERT_FROZEN = """
INSERT INTO content.frozen_outlines (id, course_id, org_id, sha256, blocks, frozen_at, asked_at)
VALUES ($id, $course_id, $org_id, $sha256, $blocks, $now, $now)
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


LIST_UNCONFIRMED = """
SELECT id AS frozen_id, course_id FROM content.frozen_outlines
WHERE confirmed_at IS NULL AND let_go_at IS NULL AND asked_at < $until AND ($after::uuid IS NULL OR id > $after)
ORDER BY id LIMIT $limit
"""


async def list_unconfirmed(db: Connection, until: datetime, after: UUID | None, limit: int) -> list[CourseOutline]:
    """List outlines that were last frozen before `until`, and of which no revision is known, by id."""
    return await db.all(CourseOutline, LIST_UNCONFIRMED, until=until, after=after, limit=limit)


UPDATE_CONFIRMED = "UPDATE content.frozen_outlines SET confirmed_at = $now WHERE id = ANY($frozen_ids::uuid[])"


async def update_confirmed(tx: Transaction, frozen_ids: Sequence[UUID]) -> None:
    """Record that revisions name these outlines."""
    await tx.run(UPDATE_CONFIRMED, frozen_ids=frozen_ids)


DELETE_UNCONFIRMED = """
DELETE FROM content.frozen_outlines
WHERE id = $frozen_id AND confirmed_at IS NULL AND let_go_at IS NULL AND asked_at < $until
"""


async def delete_unconfirmed(tx: Transaction, frozen_id: UUID, until: datetime) -> bool:
    """Delete an outline that no revision names; False: it was frozen again since, or confirmed."""
    return await tx.run(DELETE_UNCONFIRMED, frozen_id=frozen_id, until=until) == 1
