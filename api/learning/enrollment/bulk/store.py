"""The SQL of bulk: a batch at a time, rows of enrolments before the row of seats."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from api.learning.enrollment.contract import Enrollment, EnrollmentId, State
from api.learning.enrollment.store import ENROLLMENT
from cluster.base.ids import OrgId, UserId
from cluster.data import Transaction

# In the order of people, so that two batches wait for each other instead of deadlocking.
INSERT_ENROLLMENTS = (
    """INSERT INTO enrollment.enrollments (id, org_id, course_id, run_id, user_id, state, created_at, updated_at)
    SELECT id, $org_id, $course_id, $run_id, user_id, 'active', $now, $now
    FROM unnest($ids::uuid[], $user_ids::uuid[]) AS wanted (id, user_id) ORDER BY user_id
    ON CONFLICT (user_id, run_id) DO NOTHING
    RETURNING """
    + ENROLLMENT
)


async def insert_enrollments(
    tx: Transaction, *, org_id: OrgId, course_id: UUID, run_id: UUID, people: dict[UserId, EnrollmentId]
) -> list[Enrollment]:
    """Enrol the people who have no enrolment in the run, and return what was inserted."""
    return await tx.all(
        Enrollment,
        INSERT_ENROLLMENTS,
        org_id=org_id,
        course_id=course_id,
        run_id=run_id,
        ids=list(people.values()),
        user_ids=list(people),
    )


LOCK_ENROLLMENTS = (
    "SELECT "
    + ENROLLMENT
    + """ FROM enrollment.enrollments
    WHERE run_id = $run_id AND user_id = ANY($user_ids::uuid[]) ORDER BY user_id FOR UPDATE"""
)


async def lock_enrollments(tx: Transaction, run_id: UUID, user_ids: Sequence[UserId]) -> list[Enrollment]:
    """Hold the enrolments of these people in the run."""
    return await tx.all(Enrollment, LOCK_ENROLLMENTS, run_id=run_id, user_ids=user_ids)


DELETE_ENROLLMENTS = "DELETE FROM enrollment.enrollments WHERE id = ANY($ids::uuid[])"


async def delete_enrollments(tx: Transaction, ids: Sequence[EnrollmentId]) -> None:
    """Delete enrolments that this transaction inserted and has no seats for."""
    await tx.run(DELETE_ENROLLMENTS, ids=ids)


LOCK_SEATS = """
INSERT INTO enrollment.seats (run_id, taken) VALUES ($run_id, 0)
ON CONFLICT (run_id) DO UPDATE SET taken = seats.taken RETURNING taken
"""


async def lock_seats(tx: Transaction, run_id: UUID) -> int:
    """Hold the run's seats and return how many are taken."""
    return await tx.value(LOCK_SEATS, run_id=run_id)


@dataclass(frozen=True, slots=True)
class Move:
    """An enrolment whose state moves, if its version is still this one."""

    id: EnrollmentId
    version: int
    state: State


# A person who comes back is suspended or completed as before, as `update_state` of one enrolment has it.
UPDATE_STATES = """UPDATE enrollment.enrollments
    SET state = CASE
            WHEN wanted.state = 'active' AND suspended_at IS NOT NULL THEN 'suspended'
            WHEN wanted.state = 'active' AND completed_at IS NOT NULL THEN 'completed'
            ELSE wanted.state END,
        version = enrollments.version + 1, updated_at = $now
    FROM unnest($ids::uuid[], $versions::bigint[], $states::text[]) AS wanted (id, version, state)
    WHERE enrollments.id = wanted.id AND enrollments.version = wanted.version
    RETURNING """ + ", ".join(f"enrollments.{column}" for column in ENROLLMENT.split(", "))


async def update_states(tx: Transaction, moves: Sequence[Move]) -> list[Enrollment]:
    """Move states, and return the enrolments that moved: those that nobody changed meanwhile."""
    return await tx.all(
        Enrollment,
        UPDATE_STATES,
        ids=[move.id for move in moves],
        versions=[move.version for move in moves],
        states=[move.state for move in moves],
    )


LOCK_BY_ID = (
    "SELECT " + ENROLLMENT + " FROM enrollment.enrollments WHERE id = ANY($ids::uuid[]) ORDER BY user_id FOR UPDATE"
)


async def lock_by_id(tx: Transaction, ids: Sequence[UUID]) -> dict[UUID, Enrollment]:
    """Hold these enrolments."""
    return {found.id: found for found in await tx.all(Enrollment, LOCK_BY_ID, ids=ids)}
