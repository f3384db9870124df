"""The SQL of progress: learners and what they completed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from api.learning.content.contract import BlockId
from api.learning.enrollment.contract import EnrollmentId
from api.learning.progress.rules import Done
from cluster.base.ids import OrgId, UserId
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded, Reach


@dataclass(frozen=True, slots=True, kw_only=True)
class Learner:
    """A person in a run, as enrollment tells, and whether they finished."""

    enrollment_id: EnrollmentId
    org_id: OrgId
    course_id: UUID
    run_id: UUID
    user_id: UserId
    learns: bool = True
    """Not cancelled and not suspended."""
    enrollment_version: int = 0
    """0: enrollment has told nothing yet."""
    completed_at: datetime | None = None
    completed_revision: int | None = None
    version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """A version of a block that a learner has done."""

    enrollment_id: EnrollmentId
    block_id: BlockId
    block_version: int
    completed_at: datetime


def guard(learner: Learner) -> Guarded[Learner]:
    """Guard the progress of a learner; learners and teachers of the same run may know that it exists."""
    return Guarded(
        learner,
        org_id=learner.org_id,
        course_id=learner.course_id,
        run_id=learner.run_id,
        owner_id=learner.user_id,
        see="run:attend",
    )


_LEARNER = """enrollment_id, org_id, course_id, run_id, user_id, learns, enrollment_version, completed_at, completed_revision,
    version"""

FIND_LEARNER = "SELECT " + _LEARNER + " FROM progress.learners WHERE enrollment_id = $enrollment_id"


async def find_learner(db: Connection, enrollment_id: EnrollmentId) -> Learner | None:
    return await db.maybe(Learner, FIND_LEARNER, enrollment_id=enrollment_id)


LIST_LEARNERS = (
    "SELECT "
    + _LEARNER
    + """ FROM progress.learners
    WHERE run_id = $run_id
      AND ($everywhere OR user_id = $own OR org_id = ANY($org_ids::uuid[]) OR course_id = ANY($course_ids::uuid[])
           OR run_id = ANY($run_ids::uuid[]))
      AND ($ids::uuid[] IS NULL OR enrollment_id = ANY($ids))
      AND ($before::uuid IS NULL OR enrollment_id < $before)
    ORDER BY enrollment_id DESC LIMIT $limit"""
)


async def list_learners(
    db: Connection,
    reach: Reach,
    run_id: UUID,
    *,
    ids: list[EnrollmentId] | None,
    before: EnrollmentId | None,
    limit: int,
) -> list[Learner]:
    """List the learners of a run within reach, newest first."""
    return await db.all(Learner, LIST_LEARNERS, reach, run_id=run_id, ids=ids, before=before, limit=limit)


LIST_UNFINISHED = (
    "SELECT "
    + _LEARNER
    + """ FROM progress.learners
    WHERE run_id = $run_id AND learns AND completed_at IS NULL AND ($after::uuid IS NULL OR enrollment_id > $after)
    ORDER BY enrollment_id LIMIT $limit"""
)


async def list_unfinished(db: Connection, run_id: UUID, *, after: EnrollmentId | None, limit: int) -> list[Learner]:
    """List the people who learn in a run and have not finished, oldest first."""
    return await db.all(Learner, LIST_UNFINISHED, run_id=run_id, after=after, limit=limit)


_INSERT_LEARNER = """
INSERT INTO progress.learners (enrollment_id, org_id, course_id, run_id, user_id, learns, enrollment_version)
VALUES ($enrollment_id, $org_id, $course_id, $run_id, $user_id, $learns, $enrollment_version)
ON CONFLICT (enrollment_id) DO UPDATE
"""
UPSERT_LEARNER = (
    _INSERT_LEARNER
    + """SET learns = excluded.learns, enrollment_version = excluded.enrollment_version
WHERE learners.enrollment_version < excluded.enrollment_version"""
)


async def upsert_learner(tx: Transaction, learner: Learner) -> None:
    """Remember what enrollment tells; older news change nothing."""
    await tx.run(UPSERT_LEARNER, learner)


LOCK_LEARNER = _INSERT_LEARNER + "SET enrollment_id = excluded.enrollment_id RETURNING " + _LEARNER


async def lock_learner(tx: Transaction, learner: Learner) -> Learner:
    """Hold a learner's row, made if enrollment's news is still on its way: what they do is counted one by one."""
    return await tx.one(Learner, LOCK_LEARNER, learner)


UPDATE_FINISHED = """
UPDATE progress.learners SET completed_at = $now, completed_revision = $revision, version = version + 1
WHERE enrollment_id = $enrollment_id AND completed_at IS NULL
RETURNING version
"""


async def update_finished(tx: Transaction, enrollment_id: EnrollmentId, revision: int) -> int | None:
    """Note that a learner finished and return the row's version; None when it was noted before."""
    return await tx.value(UPDATE_FINISHED, enrollment_id=enrollment_id, revision=revision)


_COMPLETION = "enrollment_id, block_id, block_version, completed_at"

INSERT_COMPLETION = (
    """INSERT INTO progress.completions (enrollment_id, block_id, block_version, org_id, course_id, run_id, user_id,
                                      completed_at, recorded_at)
    VALUES ($enrollment_id, $block_id, $block_version, $org_id, $course_id, $run_id, $user_id, $at, $now)
    ON CONFLICT (enrollment_id, block_id, block_version) DO UPDATE SET enrollment_id = excluded.enrollment_id
    RETURNING """
    + _COMPLETION
)


async def insert_completion(
    tx: Transaction, learner: Learner, block_id: BlockId, block_version: int, at: datetime
) -> Completion:
    """Note that a block is done and return what stands there: the first time counts."""
    return await tx.one(Completion, INSERT_COMPLETION, learner, block_id=block_id, block_version=block_version, at=at)


GET_COMPLETION = (
    "SELECT "
    + _COMPLETION
    + """ FROM progress.completions WHERE enrollment_id = $enrollment_id AND block_id = $block_id
    ORDER BY block_version DESC LIMIT 1"""
)


async def get_completion(db: Connection, enrollment_id: EnrollmentId, block_id: BlockId) -> Completion:
    """Return the completion of a block's newest version."""
    return await db.one(Completion, GET_COMPLETION, enrollment_id=enrollment_id, block_id=block_id)


LIST_DONE = """
SELECT DISTINCT ON (enrollment_id, block_id) enrollment_id, block_id, block_version, completed_at
FROM progress.completions WHERE enrollment_id = ANY($enrollment_ids::uuid[])
ORDER BY enrollment_id, block_id, block_version DESC LIMIT 1000000
"""


async def list_done(db: Connection, enrollment_ids: Sequence[EnrollmentId]) -> dict[EnrollmentId, dict[BlockId, Done]]:
    """Return the newest completed version of every block, by learner; each of the learners is a key."""
    done: dict[EnrollmentId, dict[BlockId, Done]] = {each: {} for each in enrollment_ids}
    for row in await db.rows(LIST_DONE, enrollment_ids=enrollment_ids):
        done[row["enrollment_id"]][row["block_id"]] = Done(row["block_version"], row["completed_at"])
    return done
