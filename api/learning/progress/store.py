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

_LEARNER = """enrollment_id, org_id, course_id, run_id, user_id, learns, enrollment_version, completed_at, completed_revision,
    version"""
_COMPLETION = "enrollment_id, block_id, block_version, completed_at"


@dataclass(frozen=True, slots=True, kw_only=True)
class Learner:
    """Somebody in a run, as enrollment tells, and whether they finished."""

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
    """A version of a block that somebody has done."""

    enrollment_id: EnrollmentId
    block_id: BlockId
    block_version: int
    completed_at: datetime


def guard(learner: Learner) -> Guarded[Learner]:
    """Guard somebody's progress; who learns or teaches in the same run may know that it exists."""
    return Guarded(
        learner,
        org_id=learner.org_id,
        course_id=learner.course_id,
        run_id=learner.run_id,
        owner_id=learner.user_id,
        see="run:attend",
    )


async def find_learner(db: Connection, enrollment_id: EnrollmentId) -> Learner | None:
    return await db.maybe(
        Learner, "SELECT " + _LEARNER + " FROM progress.learners WHERE enrollment_id = $1", enrollment_id
    )


LIST_LEARNERS = (
    "SELECT "
    + _LEARNER
    + """ FROM progress.learners
       WHERE run_id = $6
         AND ($1 OR user_id = $2 OR org_id = ANY($3::uuid[]) OR course_id = ANY($4::uuid[]) OR run_id = ANY($5::uuid[]))
         AND ($7::uuid[] IS NULL OR enrollment_id = ANY($7))
         AND ($8::uuid IS NULL OR enrollment_id < $8)
       ORDER BY enrollment_id DESC LIMIT $9"""
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
    return await db.all(
        Learner,
        LIST_LEARNERS,
        reach.everywhere,
        reach.own,
        reach.org_ids,
        reach.course_ids,
        reach.run_ids,
        run_id,
        ids,
        before,
        limit,
    )


LIST_UNFINISHED = (
    "SELECT "
    + _LEARNER
    + """ FROM progress.learners
       WHERE run_id = $1 AND learns AND completed_at IS NULL AND ($2::uuid IS NULL OR enrollment_id > $2)
       ORDER BY enrollment_id LIMIT $3"""
)


async def list_unfinished(db: Connection, run_id: UUID, *, after: EnrollmentId | None, limit: int) -> list[Learner]:
    """List who learns in a run and has not finished, oldest first."""
    return await db.all(Learner, LIST_UNFINISHED, run_id, after, limit)


async def upsert_learner(tx: Transaction, learner: Learner) -> None:
    """Remember what enrollment tells; older news change nothing."""
    await tx.run(
        """INSERT INTO progress.learners (enrollment_id, org_id, course_id, run_id, user_id, learns, enrollment_version)
           VALUES ($1, $2, $3, $4, $5, $6, $7)
           ON CONFLICT (enrollment_id) DO UPDATE
           SET learns = excluded.learns, enrollment_version = excluded.enrollment_version
           WHERE learners.enrollment_version < excluded.enrollment_version""",
        learner.enrollment_id,
        learner.org_id,
        learner.course_id,
        learner.run_id,
        learner.user_id,
        learner.learns,
        learner.enrollment_version,
    )


async def lock_learner(tx: Transaction, learner: Learner) -> Learner:
    """Hold a learner's row, made if enrollment's news is still on its way: what they do is counted one by one."""
    return await tx.one(
        Learner,
        """INSERT INTO progress.learners (enrollment_id, org_id, course_id, run_id, user_id, learns, enrollment_version)
           VALUES ($1, $2, $3, $4, $5, $6, $7)
           ON CONFLICT (enrollment_id) DO UPDATE SET enrollment_id = excluded.enrollment_id
           RETURNING """
        + _LEARNER,
        learner.enrollment_id,
        learner.org_id,
        learner.course_id,
        learner.run_id,
        learner.user_id,
        learner.learns,
        learner.enrollment_version,
    )


async def update_finished(tx: Transaction, enrollment_id: EnrollmentId, revision: int) -> int | None:
    """Note that somebody finished and return the row's version; None when it was noted before."""
    return await tx.value(
        """UPDATE progress.learners SET completed_at = $3, completed_revision = $2, version = version + 1
           WHERE enrollment_id = $1 AND completed_at IS NULL
           RETURNING version""",
        enrollment_id,
        revision,
        tx.now,
    )


async def insert_completion(
    tx: Transaction, learner: Learner, block_id: BlockId, block_version: int, at: datetime
) -> Completion:
    """Note that a block is done and return what stands there: the first time counts."""
    return await tx.one(
        Completion,
        """INSERT INTO progress.completions (enrollment_id, block_id, block_version, org_id, course_id, run_id, user_id,
                                             completed_at, recorded_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
           ON CONFLICT (enrollment_id, block_id, block_version) DO UPDATE SET enrollment_id = excluded.enrollment_id
           RETURNING """
        + _COMPLETION,
        learner.enrollment_id,
        block_id,
        block_version,
        learner.org_id,
        learner.course_id,
        learner.run_id,
        learner.user_id,
        at,
        tx.now,
    )


async def get_completion(db: Connection, enrollment_id: EnrollmentId, block_id: BlockId) -> Completion:
    """Return the completion of a block's newest version."""
    return await db.one(
        Completion,
        "SELECT "
        + _COMPLETION
        + """ FROM progress.completions WHERE enrollment_id = $1 AND block_id = $2
           ORDER BY block_version DESC LIMIT 1""",
        enrollment_id,
        block_id,
    )


LIST_DONE = """SELECT DISTINCT ON (enrollment_id, block_id) enrollment_id, block_id, block_version, completed_at
    FROM progress.completions WHERE enrollment_id = ANY($1::uuid[])
    ORDER BY enrollment_id, block_id, block_version DESC LIMIT 1000000"""


async def list_done(db: Connection, enrollment_ids: Sequence[EnrollmentId]) -> dict[EnrollmentId, dict[BlockId, Done]]:
    """Return the newest completed version of every block, by learner; all of them are there."""
    done: dict[EnrollmentId, dict[BlockId, Done]] = {each: {} for each in enrollment_ids}
    for row in await db.rows(LIST_DONE, enrollment_ids):
        done[row["enrollment_id"]][row["block_id"]] = Done(row["block_version"], row["completed_at"])
    return done
