"""The SQL of enrollment."""

from datetime import datetime
from typing import Any
from uuid import UUID

from api.learning.enrollment.contract import Enrollment, EnrollmentId, State
from api.learning.enrollment.rules import LEARNING, SEATED
from cluster.base.ids import OrgId, UserId
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded, Reach

ENROLLMENT = "id, org_id, course_id, run_id, user_id, state, completed_at, completed_revision, version, created_at"

_SELECT = "SELECT " + ENROLLMENT + " FROM enrollment.enrollments "

FIND_ENROLLMENT = _SELECT + "WHERE id = $enrollment_id"


async def find_enrollment(db: Connection, enrollment_id: EnrollmentId) -> Guarded[Enrollment] | None:
    found = await db.maybe(Enrollment, FIND_ENROLLMENT, enrollment_id=enrollment_id)
    if found is None:
        return None
    return Guarded(
        found,
        org_id=found.org_id,
        course_id=found.course_id,
        run_id=found.run_id,
        owner_id=found.user_id,
        see="enrollment:read",
    )


FIND_IN_RUN = _SELECT + "WHERE user_id = $user_id AND run_id = $run_id"


async def find_in_run(db: Connection, user_id: UserId, run_id: UUID) -> Enrollment | None:
    return await db.maybe(Enrollment, FIND_IN_RUN, user_id=user_id, run_id=run_id)


LIST_MINE = (
    _SELECT
    + "WHERE user_id = $user_id AND (run_id = $run_id::uuid OR course_id = $course_id::uuid) ORDER BY id LIMIT 1000"
)


async def list_mine(
    db: Connection, user_id: UserId, *, run_id: UUID | None, course_id: UUID | None
) -> list[Enrollment]:
    """List a person's enrolments in a run or in all runs of a course, those that they left too."""
    return await db.all(Enrollment, LIST_MINE, user_id=user_id, run_id=run_id, course_id=course_id)


LIST_SEATED = """
SELECT id FROM enrollment.enrollments
WHERE user_id = $user_id AND ($org_id::uuid IS NULL OR org_id = $org_id) AND state = ANY($states::text[])
ORDER BY id LIMIT 10000
"""


async def list_seated(db: Connection, user_id: UserId, org_id: OrgId | None) -> list[EnrollmentId]:
    """List the enrolments with which a person takes a seat, in one organization or anywhere."""
    rows = await db.rows(LIST_SEATED, user_id=user_id, org_id=org_id, states=SEATED)
    return [row["id"] for row in rows]


# Complete, because access must never be cut short.
LIST_RUNS_OF = """
SELECT e.run_id FROM enrollment.enrollments e
WHERE e.user_id = $user_id AND e.state = ANY($states::text[])
    AND NOT EXISTS (SELECT FROM enrollment.members m WHERE m.org_id = e.org_id AND m.user_id = e.user_id AND m.shut_out)
    AND NOT EXISTS (
        SELECT FROM enrollment.bans b WHERE b.org_id = e.org_id AND b.user_id = e.user_id AND b.banned AND NOT b.reversed
            AND (b.until_at IS NULL OR b.until_at > now()))
    AND NOT EXISTS (SELECT FROM enrollment.organizations o WHERE o.org_id = e.org_id AND o.suspended)
"""


async def list_runs_of(db: Connection, user_id: UserId) -> list[UUID]:
    """List all runs in which a person learns: they are enrolled, and the run's organization does not shut them out."""
    return [row["run_id"] for row in await db.rows(LIST_RUNS_OF, user_id=user_id, states=LEARNING)]


FIND_LEARNER = "SELECT EXISTS (" + LIST_RUNS_OF + " AND e.run_id = $run_id)"


async def find_learner(db: Connection, user_id: UserId, run_id: UUID) -> bool:
    """Tell whether a person learns in a run."""
    return await db.value(FIND_LEARNER, user_id=user_id, states=LEARNING, run_id=run_id)


FIND_SHUT_OUT = """
SELECT EXISTS (SELECT FROM enrollment.members WHERE org_id = $org_id AND user_id = $user_id AND shut_out)
    OR EXISTS (SELECT FROM enrollment.organizations WHERE org_id = $org_id AND suspended)
    OR EXISTS (SELECT FROM enrollment.bans WHERE org_id = $org_id AND user_id = $user_id AND banned AND NOT reversed
        AND (until_at IS NULL OR until_at > now()))
"""


async def find_shut_out(db: Connection, org_id: OrgId, user_id: UserId) -> bool:
    """Tell whether an organization suspended or removed a person, or its moderators banned them, or it is suspended itself."""
    return await db.value(FIND_SHUT_OUT, org_id=org_id, user_id=user_id)


UPSERT_MEMBER = """
INSERT INTO enrollment.members AS m (org_id, user_id, shut_out, version) VALUES ($org_id, $user_id, $shut_out, $version)
ON CONFLICT (org_id, user_id) DO UPDATE SET shut_out = excluded.shut_out, version = excluded.version
WHERE m.version < excluded.version
RETURNING coalesce(old.shut_out, false) <> new.shut_out
"""


async def upsert_member(tx: Transaction, org_id: OrgId, user_id: UserId, *, shut_out: bool, version: int) -> bool:
    """Remember whether an organization shuts a person out, and tell whether that is new; older news change nothing."""
    changed = await tx.value(UPSERT_MEMBER, org_id=org_id, user_id=user_id, shut_out=shut_out, version=version)
    return bool(changed)


UPSERT_BANNED = """
INSERT INTO enrollment.bans AS b (decision_id, org_id, user_id, banned, until_at)
VALUES ($decision_id, $org_id, $user_id, true, $until_at)
ON CONFLICT (decision_id) DO UPDATE SET banned = true, until_at = excluded.until_at WHERE NOT b.banned
"""


async def upsert_banned(
    tx: Transaction, decision_id: UUID, org_id: OrgId, user_id: UserId, until_at: datetime | None
) -> None:
    """Remember that a decision bans somebody; one that is reversed already stays so."""
    await tx.run(UPSERT_BANNED, decision_id=decision_id, org_id=org_id, user_id=user_id, until_at=until_at)


UPSERT_REVERSED = """
INSERT INTO enrollment.bans (decision_id, org_id, user_id, reversed) VALUES ($decision_id, $org_id, $user_id, true)
ON CONFLICT (decision_id) DO UPDATE SET reversed = true
"""


async def upsert_reversed(tx: Transaction, decision_id: UUID, org_id: OrgId, user_id: UserId) -> None:
    """Remember that a decision was reversed, heard of or not."""
    await tx.run(UPSERT_REVERSED, decision_id=decision_id, org_id=org_id, user_id=user_id)


UPSERT_ORGANIZATION = """
INSERT INTO enrollment.organizations AS o (org_id, suspended, version) VALUES ($org_id, $suspended, $version)
ON CONFLICT (org_id) DO UPDATE SET suspended = excluded.suspended, version = excluded.version
WHERE o.version < excluded.version
RETURNING coalesce(old.suspended, false) <> new.suspended
"""


async def upsert_organization(tx: Transaction, org_id: OrgId, *, suspended: bool, version: int) -> bool:
    """Remember whether an organization is suspended, and tell whether that is new; older news change nothing."""
    return bool(await tx.value(UPSERT_ORGANIZATION, org_id=org_id, suspended=suspended, version=version))


LIST_ENROLLMENTS = (
    _SELECT
    + """WHERE ($everywhere OR user_id = $own OR org_id = ANY($org_ids::uuid[]) OR course_id = ANY($course_ids::uuid[])
           OR run_id = ANY($run_ids::uuid[]))
      AND ($course_id::uuid IS NULL OR course_id = $course_id)
      AND ($run_id::uuid IS NULL OR run_id = $run_id)
      AND ($user_id::uuid IS NULL OR user_id = $user_id)
      AND ($states::text[] IS NULL OR state = ANY($states))
      AND ($ids::uuid[] IS NULL OR id = ANY($ids))
      AND ($before::uuid IS NULL OR id < $before)
    ORDER BY id DESC LIMIT $limit"""
)


async def list_enrollments(
    db: Connection,
    reach: Reach,
    *,
    course_id: UUID | None,
    run_id: UUID | None,
    user_id: UserId | None,
    states: list[State] | None,
    ids: list[EnrollmentId] | None,
    before: EnrollmentId | None,
    limit: int,
) -> list[Enrollment]:
    """List enrolments within reach, newest first."""
    filters: dict[str, Any] = {"course_id": course_id, "run_id": run_id, "user_id": user_id, "states": states}
    return await db.all(Enrollment, LIST_ENROLLMENTS, reach, ids=ids, before=before, limit=limit, **filters)


LIST_ALL = _SELECT + "WHERE id > $after ORDER BY id LIMIT $limit"


async def list_all(db: Connection, after: UUID, limit: int) -> list[Enrollment]:
    """List everybody's enrolments by id."""
    return await db.all(Enrollment, LIST_ALL, after=after, limit=limit)


INSERT_ENROLLMENT = (
    """INSERT INTO enrollment.enrollments (id, org_id, course_id, run_id, user_id, state, created_at, updated_at)
    VALUES ($enrollment_id, $org_id, $course_id, $run_id, $user_id, 'active', $now, $now)
    ON CONFLICT (user_id, run_id) DO NOTHING
    RETURNING """
    + ENROLLMENT
)


async def insert_enrollment(
    tx: Transaction, *, enrollment_id: EnrollmentId, org_id: OrgId, course_id: UUID, run_id: UUID, user_id: UserId
) -> Enrollment | None:
    """Insert an active enrolment; None when this person has one in this run. A twin waits here for the first."""
    return await tx.maybe(
        Enrollment,
        INSERT_ENROLLMENT,
        enrollment_id=enrollment_id,
        org_id=org_id,
        course_id=course_id,
        run_id=run_id,
        user_id=user_id,
    )


UPDATE_STATE = (
    """UPDATE enrollment.enrollments
    SET state = CASE
            WHEN $after = 'active' AND state = 'cancelled' AND suspended_at IS NOT NULL THEN 'suspended'
            WHEN $after = 'active' AND completed_at IS NOT NULL THEN 'completed'
            ELSE $after END,
        suspended_at = CASE
            WHEN $after = 'suspended' THEN $now
            WHEN $after = 'active' AND state = 'suspended' THEN NULL
            ELSE suspended_at END,
        version = version + 1, updated_at = $now
    WHERE id = $enrollment_id AND state = ANY($before::text[])
    RETURNING """
    + ENROLLMENT
)


async def update_state(
    tx: Transaction, enrollment_id: EnrollmentId, *, before: tuple[State, ...], after: State
) -> Enrollment | None:
    """Move an enrolment on; None when it is in none of the states `before`.

    A person who comes back is suspended again if they were, and completed again if they had completed.
    """
    return await tx.maybe(Enrollment, UPDATE_STATE, enrollment_id=enrollment_id, before=before, after=after)


UPDATE_COMPLETED = (
    """UPDATE enrollment.enrollments
    SET completed_at = $now, completed_revision = $revision, version = version + 1, updated_at = $now,
        state = CASE state WHEN 'active' THEN 'completed' ELSE state END
    WHERE id = $enrollment_id AND completed_at IS NULL
    RETURNING """
    + ENROLLMENT
)


async def update_completed(tx: Transaction, enrollment_id: EnrollmentId, revision: int) -> Enrollment | None:
    """Note the completion, once; an active enrolment becomes completed. None when it was noted before."""
    return await tx.maybe(Enrollment, UPDATE_COMPLETED, enrollment_id=enrollment_id, revision=revision)


UPSERT_SEAT = """
INSERT INTO enrollment.seats (run_id, taken) VALUES ($run_id, 1)
ON CONFLICT (run_id) DO UPDATE SET taken = seats.taken + 1 WHERE $seats::int IS NULL OR seats.taken < $seats
RETURNING taken
"""


async def upsert_seat(tx: Transaction, run_id: UUID, seats: int | None) -> bool:
    """Take one of a run's seats (None: their number is not limited); False when all are taken."""
    return await tx.value(UPSERT_SEAT, run_id=run_id, seats=seats) is not None


UPDATE_SEATS = "UPDATE enrollment.seats SET taken = taken + $change WHERE run_id = $run_id"


async def update_seats(tx: Transaction, run_id: UUID, change: int) -> None:
    """Take more seats of a run, or give some back."""
    await tx.run(UPDATE_SEATS, run_id=run_id, change=change)


_LEARNS = """e.state = ANY($states::text[]) AND ($after::uuid IS NULL OR e.user_id > $after)
    AND NOT EXISTS (SELECT FROM enrollment.members m WHERE m.org_id = e.org_id AND m.user_id = e.user_id AND m.shut_out)
    AND NOT EXISTS (
        SELECT FROM enrollment.bans b WHERE b.org_id = e.org_id AND b.user_id = e.user_id AND b.banned AND NOT b.reversed
            AND (b.until_at IS NULL OR b.until_at > now()))
    AND NOT EXISTS (SELECT FROM enrollment.organizations o WHERE o.org_id = e.org_id AND o.suspended)
ORDER BY e.user_id LIMIT $limit"""

LIST_LEARNERS_OF_RUN = "SELECT e.user_id FROM enrollment.enrollments e WHERE e.run_id = $run_id AND " + _LEARNS


async def list_learners_of_run(db: Connection, run_id: UUID, *, after: UUID | None, limit: int) -> list[UserId]:
    """List who learns in a run, by their ids."""
    rows = await db.rows(LIST_LEARNERS_OF_RUN, run_id=run_id, states=LEARNING, after=after, limit=limit)
    return [row["user_id"] for row in rows]


LIST_LEARNERS_OF_COURSE = (
    "SELECT DISTINCT e.user_id FROM enrollment.enrollments e WHERE e.course_id = $course_id AND " + _LEARNS
)


async def list_learners_of_course(db: Connection, course_id: UUID, *, after: UUID | None, limit: int) -> list[UserId]:
    """List who learns in any run of a course, by their ids."""
    rows = await db.rows(LIST_LEARNERS_OF_COURSE, course_id=course_id, states=LEARNING, after=after, limit=limit)
    return [row["user_id"] for row in rows]
