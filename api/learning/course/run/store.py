"""The SQL of runs."""

from datetime import datetime

from api.learning.course.contract import CourseId, Run, RunId, Visibility
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded

_RUN = """id, course_id, org_id, title, pace, is_default, starts_at, ends_at, enrolment_opens_at, enrolment_closes_at, seats,
    pinned_revision, ended_at, version, created_at"""
_RUN_OF_COURSE = """r.id, r.course_id, r.org_id, r.title, r.pace, r.is_default, r.starts_at, r.ends_at, r.enrolment_opens_at,
    r.enrolment_closes_at, r.seats, r.pinned_revision, r.ended_at, r.version, r.created_at"""


_SEEN_BY: dict[Visibility | None, str] = {
    "public": "catalog:read",
    "unlisted": "catalog:read",
    "organization": "run:read-organization",
    None: "run:read",
}
"""What it takes to see a course's runs, by whom the catalogue shows it to; None: to nobody, it is a draft or archived."""


async def find_run(db: Connection, run_id: RunId) -> Guarded[Run] | None:
    """Find a run. Who sees its course in the catalogue may see it, and who learns or teaches in it always."""
    rows = await db.rows(
        "SELECT "
        + _RUN_OF_COURSE
        + """, c.visibility
           FROM course.runs r LEFT JOIN course.catalog c ON c.course_id = r.course_id AND NOT c.hidden
           WHERE r.id = $1""",
        run_id,
    )
    if not rows:
        return None
    fields = dict(rows[0])
    see = _SEEN_BY[fields.pop("visibility")]
    run = Run(**fields)
    return Guarded(run, org_id=run.org_id, course_id=run.course_id, run_id=run.id, see=see)


async def find_runs(
    db: Connection, course_id: CourseId, *, after: RunId | None, limit: int
) -> Guarded[list[Run]] | None:
    """Find the runs of a course, oldest first; None: there is no such course."""
    rows = await db.rows(
        """SELECT o.org_id AS course_org_id, c.visibility, r.*
           FROM course.courses o
           LEFT JOIN course.catalog c ON c.course_id = o.id AND NOT c.hidden
           LEFT JOIN LATERAL (
               SELECT """
        + _RUN
        + """ FROM course.runs WHERE course_id = o.id AND ($2::uuid IS NULL OR id > $2) ORDER BY id LIMIT $3
           ) r ON true
           WHERE o.id = $1 ORDER BY r.id""",
        course_id,
        after,
        limit,
    )
    if not rows:
        return None
    runs = [Run(**{name: row[name] for name in Run.__dataclass_fields__}) for row in rows if row["id"] is not None]
    see = _SEEN_BY[rows[0]["visibility"]]
    return Guarded(runs, org_id=rows[0]["course_org_id"], course_id=course_id, see=see)


async def list_runs(db: Connection, course_id: CourseId, *, after: RunId | None, limit: int) -> list[Run]:
    """List the runs of a course, oldest first."""
    return await db.all(
        Run,
        "SELECT "
        + _RUN
        + """ FROM course.runs
           WHERE course_id = $1 AND ($2::uuid IS NULL OR id > $2) ORDER BY id LIMIT $3""",
        course_id,
        after,
        limit,
    )


async def insert_run(tx: Transaction, run: Run) -> None:
    await tx.run(
        """INSERT INTO course.runs (id, course_id, org_id, title, pace, is_default, starts_at, ends_at, enrolment_opens_at,
                                    enrolment_closes_at, seats, pinned_revision, created_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)""",
        run.id,
        run.course_id,
        run.org_id,
        run.title,
        run.pace,
        run.is_default,
        run.starts_at,
        run.ends_at,
        run.enrolment_opens_at,
        run.enrolment_closes_at,
        run.seats,
        run.pinned_revision,
        tx.now,
    )


async def update_run(tx: Transaction, run: Run, expected_version: int) -> Run | None:
    """Write all changeable fields of a run; None when its version moved on or it has ended."""
    return await tx.maybe(
        Run,
        """UPDATE course.runs
           SET title = $3, pace = $4, starts_at = $5, ends_at = $6, enrolment_opens_at = $7, enrolment_closes_at = $8,
               seats = $9, pinned_revision = $10, version = version + 1
           WHERE id = $1 AND version = $2 AND ended_at IS NULL
           RETURNING """
        + _RUN,
        run.id,
        expected_version,
        run.title,
        run.pace,
        run.starts_at,
        run.ends_at,
        run.enrolment_opens_at,
        run.enrolment_closes_at,
        run.seats,
        run.pinned_revision,
    )


async def update_ended(tx: Transaction, run_id: RunId) -> Run | None:
    """End a run; None when it has ended."""
    return await tx.maybe(
        Run,
        """UPDATE course.runs SET ended_at = $2, version = version + 1 WHERE id = $1 AND ended_at IS NULL
           RETURNING """
        + _RUN,
        run_id,
        tx.now,
    )


async def version_of_run(tx: Transaction, run_id: RunId) -> int:
    return await tx.value("SELECT version FROM course.runs WHERE id = $1", run_id)


async def list_published_runs(
    db: Connection, *, run_id: RunId | None, course_id: CourseId | None, now: datetime
) -> list[tuple[Run, int, Visibility]]:
    """List the runs (one, or those of a course) of a published, not archived course: oldest first, the ended ones last.

    Each with the course's newest revision and visibility. Runs that ended before `now` come too.
    """
    rows = await db.rows(
        "SELECT "
        + _RUN_OF_COURSE
        + """, c.revision, c.visibility
           FROM course.runs r JOIN course.catalog c ON c.course_id = r.course_id AND NOT c.hidden
           WHERE (r.id = $1 OR r.course_id = $2) AND r.created_at <= $3
           ORDER BY r.ended_at IS NOT NULL OR r.ends_at <= $3, r.id LIMIT 200""",
        run_id,
        course_id,
        now,
    )
    found: list[tuple[Run, int, Visibility]] = []
    for row in rows:
        fields = dict(row)
        revision, visibility = fields.pop("revision"), fields.pop("visibility")
        found.append((Run(**fields), revision, visibility))
    return found
