"""The SQL of enrollment."""

from uuid import UUID

from api.learning.enrollment.contract import Enrollment, EnrollmentId, State
from api.learning.enrollment.rules import LEARNING, SEATED
from cluster.base.ids import OrgId, UserId
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded, Reach

_ENROLLMENT = "id, org_id, course_id, run_id, user_id, state, completed_at, completed_revision, version, created_at"


def _guard(enrollment: Enrollment) -> Guarded[Enrollment]:
    return Guarded(
        enrollment,
        org_id=enrollment.org_id,
        course_id=enrollment.course_id,
        run_id=enrollment.run_id,
        owner_id=enrollment.user_id,
        see="enrollment:read",
    )


async def find_enrollment(db: Connection, enrollment_id: EnrollmentId) -> Guarded[Enrollment] | None:
    found = await db.maybe(
        Enrollment, "SELECT " + _ENROLLMENT + " FROM enrollment.enrollments WHERE id = $1", enrollment_id
    )
    return None if found is None else _guard(found)


async def find_in_run(db: Connection, user_id: UserId, run_id: UUID) -> Enrollment | None:
    return await db.maybe(
        Enrollment,
        "SELECT " + _ENROLLMENT + " FROM enrollment.enrollments WHERE user_id = $1 AND run_id = $2",
        user_id,
        run_id,
    )


async def list_mine(
    db: Connection, user_id: UserId, *, run_id: UUID | None, course_id: UUID | None
) -> list[Enrollment]:
    """List a person's enrolments in a run or in all runs of a course, those that they left too."""
    return await db.all(
        Enrollment,
        "SELECT "
        + _ENROLLMENT
        + """ FROM enrollment.enrollments
           WHERE user_id = $1 AND (run_id = $2 OR course_id = $3) ORDER BY id LIMIT 1000""",
        user_id,
        run_id,
        course_id,
    )


async def list_seated(db: Connection, user_id: UserId, org_id: OrgId | None) -> list[EnrollmentId]:
    """List the enrolments with which a person takes a seat, in one organization or anywhere."""
    rows = await db.rows(
        """SELECT id FROM enrollment.enrollments
           WHERE user_id = $1 AND ($2::uuid IS NULL OR org_id = $2) AND state = ANY($3::text[]) ORDER BY id LIMIT 10000""",
        user_id,
        org_id,
        SEATED,
    )
    return [row["id"] for row in rows]


RUNS_OF = """
SELECT e.run_id FROM enrollment.enrollments e
WHERE e.user_id = $1 AND e.state = ANY($2::text[])
    AND NOT EXISTS (SELECT FROM enrollment.members m WHERE m.org_id = e.org_id AND m.user_id = e.user_id AND m.shut_out)
    AND NOT EXISTS (SELECT FROM enrollment.organizations o WHERE o.org_id = e.org_id AND o.suspended)
"""
LEARNS_IN = "SELECT EXISTS (" + RUNS_OF + " AND e.run_id = $3)"


async def learns_in(db: Connection, user_id: UserId, run_id: UUID) -> bool:
    """Tell whether a person learns in a run: they are enrolled, and the run's organization does not shut them out."""
    return await db.value(LEARNS_IN, user_id, LEARNING, run_id)


async def runs_of(db: Connection, user_id: UserId) -> list[UUID]:
    """Return where a person learns; complete, because access must never be cut short."""
    return [row["run_id"] for row in await db.rows(RUNS_OF, user_id, LEARNING)]


IS_SHUT_OUT = """
SELECT EXISTS (SELECT FROM enrollment.members WHERE org_id = $1 AND user_id = $2 AND shut_out)
    OR EXISTS (SELECT FROM enrollment.organizations WHERE org_id = $1 AND suspended)
"""


async def is_shut_out(db: Connection, org_id: OrgId, user_id: UserId) -> bool:
    """Tell whether an organization suspended or removed a person, or is suspended itself."""
    return await db.value(IS_SHUT_OUT, org_id, user_id)


UPSERT_MEMBER = """
INSERT INTO enrollment.members AS m (org_id, user_id, shut_out, version) VALUES ($1, $2, $3, $4)
ON CONFLICT (org_id, user_id) DO UPDATE SET shut_out = excluded.shut_out, version = excluded.version
WHERE m.version < excluded.version
RETURNING coalesce(old.shut_out, false) <> new.shut_out
"""


async def upsert_member(tx: Transaction, org_id: OrgId, user_id: UserId, *, shut_out: bool, version: int) -> bool:
    """Remember whether an organization shuts a person out, and tell whether that is new; older news change nothing."""
    return bool(await tx.value(UPSERT_MEMBER, org_id, user_id, shut_out, version))


UPSERT_ORGANIZATION = """
INSERT INTO enrollment.organizations AS o (org_id, suspended, version) VALUES ($1, $2, $3)
ON CONFLICT (org_id) DO UPDATE SET suspended = excluded.suspended, version = excluded.version
WHERE o.version < excluded.version
RETURNING coalesce(old.suspended, false) <> new.suspended
"""


async def upsert_organization(tx: Transaction, org_id: OrgId, *, suspended: bool, version: int) -> bool:
    """Remember whether an organization is suspended, and tell whether that is new; older news change nothing."""
    return bool(await tx.value(UPSERT_ORGANIZATION, org_id, suspended, version))


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
    return await db.all(
        Enrollment,
        "SELECT "
        + _ENROLLMENT
        + """ FROM enrollment.enrollments
           WHERE ($1 OR user_id = $2 OR org_id = ANY($3::uuid[]) OR course_id = ANY($4::uuid[]) OR run_id = ANY($5::uuid[]))
             AND ($6::uuid IS NULL OR course_id = $6)
             AND ($7::uuid IS NULL OR run_id = $7)
             AND ($8::uuid IS NULL OR user_id = $8)
             AND ($9::text[] IS NULL OR state = ANY($9))
             AND ($10::uuid[] IS NULL OR id = ANY($10))
             AND ($11::uuid IS NULL OR id < $11)
           ORDER BY id DESC LIMIT $12""",
        reach.everywhere,
        reach.own,
        reach.org_ids,
        reach.course_ids,
        reach.run_ids,
        course_id,
        run_id,
        user_id,
        states,
        ids,
        before,
        limit,
    )


async def list_all(db: Connection, after: UUID, limit: int) -> list[Enrollment]:
    """List everybody's enrolments by id."""
    return await db.all(
        Enrollment,
        "SELECT " + _ENROLLMENT + " FROM enrollment.enrollments WHERE id > $1 ORDER BY id LIMIT $2",
        after,
        limit,
    )


async def insert_enrollment(
    tx: Transaction, *, enrollment_id: EnrollmentId, org_id: OrgId, course_id: UUID, run_id: UUID, user_id: UserId
) -> Enrollment | None:
    """Insert an active enrolment; None when this person has one in this run. A twin waits here for the first."""
    return await tx.maybe(
        Enrollment,
        """INSERT INTO enrollment.enrollments (id, org_id, course_id, run_id, user_id, state, created_at, updated_at)
           VALUES ($1, $2, $3, $4, $5, 'active', $6, $6)
           ON CONFLICT (user_id, run_id) DO NOTHING
           RETURNING """
        + _ENROLLMENT,
        enrollment_id,
        org_id,
        course_id,
        run_id,
        user_id,
        tx.now,
    )


async def update_state(
    tx: Transaction, enrollment_id: EnrollmentId, *, before: tuple[State, ...], after: State
) -> Enrollment | None:
    """Move an enrolment on; None when it is in none of the states `before`.

    Whoever left comes back suspended if they were, and whoever completed is completed.
    """
    return await tx.maybe(
        Enrollment,
        """UPDATE enrollment.enrollments
           SET state = CASE
                   WHEN $3 = 'active' AND state = 'cancelled' AND suspended_at IS NOT NULL THEN 'suspended'
                   WHEN $3 = 'active' AND completed_at IS NOT NULL THEN 'completed'
                   ELSE $3 END,
               suspended_at = CASE
                   WHEN $3 = 'suspended' THEN $4
                   WHEN $3 = 'active' AND state = 'suspended' THEN NULL
                   ELSE suspended_at END,
               version = version + 1, updated_at = $4
           WHERE id = $1 AND state = ANY($2::text[])
           RETURNING """
        + _ENROLLMENT,
        enrollment_id,
        before,
        after,
        tx.now,
    )


async def update_completed(tx: Transaction, enrollment_id: EnrollmentId, revision: int) -> Enrollment | None:
    """Note the completion, once; the state follows where somebody still learns. None when it was noted before."""
    return await tx.maybe(
        Enrollment,
        """UPDATE enrollment.enrollments
           SET completed_at = $3, completed_revision = $2, version = version + 1, updated_at = $3,
               state = CASE state WHEN 'active' THEN 'completed' ELSE state END
           WHERE id = $1 AND completed_at IS NULL
           RETURNING """
        + _ENROLLMENT,
        enrollment_id,
        revision,
        tx.now,
    )


async def take_seat(tx: Transaction, run_id: UUID, seats: int | None) -> bool:
    """Take one of a run's seats (None: as many as come); False when all are taken."""
    taken = await tx.value(
        """INSERT INTO enrollment.seats (run_id, taken) VALUES ($1, 1)
           ON CONFLICT (run_id) DO UPDATE SET taken = seats.taken + 1 WHERE $2::int IS NULL OR seats.taken < $2
           RETURNING taken""",
        run_id,
        seats,
    )
    return taken is not None


async def give_seat_back(tx: Transaction, run_id: UUID) -> None:
    await tx.run("UPDATE enrollment.seats SET taken = taken - 1 WHERE run_id = $1", run_id)
