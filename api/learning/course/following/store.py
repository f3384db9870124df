"""The SQL of what followers of working copies are told."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from api.learning.course.contract import CourseId
from cluster.base.ids import OrgId
from cluster.data import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """How far a working copy is: its own fields and its outline count apart, and every change raises one of them."""

    id: CourseId
    org_id: OrgId
    seq: int
    view_version: int
    outline_version: int
    updated_at: datetime


FIND_SEQ = "SELECT version + outline_version FROM course.courses WHERE id = $course_id"


async def find_seq(db: Connection, course_id: CourseId) -> int | None:
    return await db.value(FIND_SEQ, course_id=course_id)


LIST_FOLLOWED = """
SELECT id, org_id, version + outline_version AS seq, version - staff_changes AS view_version, outline_version, updated_at
FROM course.courses WHERE id = ANY($ids::uuid[]) LIMIT 1000
"""


async def list_followed(db: Connection, ids: list[UUID]) -> list[Followed]:
    return await db.all(Followed, LIST_FOLLOWED, ids=ids)
