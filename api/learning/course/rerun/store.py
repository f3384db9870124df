"""The SQL of reruns."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from api.learning.course.contract import CourseId, RunId
from cluster.base.ids import OrgId, UserId
from cluster.data import Connection, Transaction

State = Literal["copying", "creating", "done", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RerunRow:
    """One rerun; its id is its operation's."""

    id: UUID
    org_id: OrgId
    source_course_id: CourseId
    course_id: CourseId
    run_id: RunId
    started_by: UserId
    state: State
    title: str
    slug: str | None


INSERT_RERUN = """
INSERT INTO course.reruns (id, org_id, source_course_id, course_id, run_id, started_by, state, title, slug, created_at)
VALUES ($id, $org_id, $source_course_id, $course_id, $run_id, $started_by, $state, $title, $slug, $now)
"""


async def insert_rerun(tx: Transaction, rerun: RerunRow) -> None:
    await tx.run(INSERT_RERUN, rerun)


GET_RERUN = """
SELECT id, org_id, source_course_id, course_id, run_id, started_by, state, title, slug
FROM course.reruns WHERE id = $rerun_id
"""


async def get_rerun(db: Connection, rerun_id: UUID) -> RerunRow:
    return await db.one(RerunRow, GET_RERUN, rerun_id=rerun_id)


UPDATE_STATE = "UPDATE course.reruns SET state = $after WHERE id = $rerun_id AND state = ANY($before::text[])"


async def update_state(tx: Transaction, rerun_id: UUID, before: tuple[State, ...], after: State) -> bool:
    """Move a rerun on; False when it is in none of the states `before`."""
    return await tx.run(UPDATE_STATE, rerun_id=rerun_id, before=before, after=after) == 1


DELETE_ENDED = """
DELETE FROM course.reruns WHERE id = ANY(ARRAY(
    SELECT id FROM course.reruns WHERE state IN ('done', 'failed') AND created_at < $until ORDER BY created_at LIMIT $limit
))
"""


async def delete_ended(tx: Transaction, until: datetime, limit: int) -> int:
    """Delete up to `limit` reruns that began before then and ended, and return how many."""
    return await tx.run(DELETE_ENDED, until=until, limit=limit)
