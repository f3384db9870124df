"""The SQL of runs."""

from datetime import datetime
from typing import Any
from uuid import UUID

from api.learning.course.contract import CourseId, Run, RunChanged, RunId, Visibility
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded

_RUN = """id, course_id, org_id, title, pace, is_default, starts_at, ends_at, enrolment_opens_at, enrolment_closes_at, seats,
    pinned_revision, ended_at, version, created_at, moderation_state"""
_RUN_OF_COURSE = """r.id, r.course_id, r.org_id, r.title, r.pace, r.is_default, r.starts_at, r.ends_at, r.enrolment_opens_at,
    r.enrolment_closes_at, r.seats, r.pinned_revision, r.ended_at, r.version, r.created_at,
    r.moderation_state"""


_SEEN_BY: dict[Visibility | None, str] = {
    "public": "catalog:read",
    "unlisted": "catalog:read",
    "organization": "run:read-organization",
    None: "run:read",
}
"""The permission that lets one see a course's runs, by the visibility of its catalogue entry; None: it has none."""


FIND_RUN = (
    "SELECT "
    + _RUN_OF_COURSE
    + """, c.visibility
    FROM course.runs r LEFT JOIN course.catalog c ON c.course_id = r.course_id AND NOT c.hidden
    WHERE r.id = $run_id"""
)


async def find_run(db: Connection, run_id: RunId) -> Guarded[Run] | None:
    """Find a run. Everybody who sees its course in the catalogue may see it, and its learners and staff always."""
    rows = await db.rows(FIND_RUN, run_id=run_id)
    if not rows:
        return None
    fields = dict(rows[0])
    see = _SEEN_BY[fields.pop("visibility")]
    run = Run(**fields)
    return Guarded(run, org_id=run.org_id, course_id=run.course_id, run_id=run.id, see=see)


FIND_RUNS = (
    """SELECT o.org_id AS course_org_id, c.visibility, r.*
    FROM course.courses o
    LEFT JOIN course.catalog c ON c.course_id = o.id AND NOT c.hidden
    LEFT JOIN LATERAL (
        SELECT """
    + _RUN
    + """ FROM course.runs WHERE course_id = o.id AND ($after::uuid IS NULL OR id > $after) ORDER BY id LIMIT $limit
    ) r ON true
    WHERE o.id = $course_id ORDER BY r.id"""
)


async def find_runs(
    db: Connection, course_id: CourseId, *, after: RunId | None, limit: int
) -> Guarded[list[Run]] | None:
    """Find the runs of a course, oldest first; None: there is no such course."""
    rows = await db.rows(FIND_RUNS, course_id=course_id, after=after, limit=limit)
    if not rows:
        return None
    runs = [Run(**{name: row[name] for name in Run.__dataclass_fields__}) for row in rows if row["id"] is not None]
    see = _SEEN_BY[rows[0]["visibility"]]
    return Guarded(runs, org_id=rows[0]["course_org_id"], course_id=course_id, see=see)


_STATE = """SELECT r.id AS run_id, r.course_id, r.org_id, r.starts_at, r.ends_at, r.ended_at, r.pinned_revision,
        v.frozen_id AS pinned_frozen_id, r.version
    FROM course.runs r LEFT JOIN course.revisions v ON v.course_id = r.course_id AND v.revision = r.pinned_revision
    WHERE """
GET_RUN_STATE = _STATE + "r.id = $run_id"


async def get_run_state(db: Connection, run_id: RunId) -> tuple[RunChanged, int]:
    """Return what others project of a run, with its version."""
    [row] = await db.rows(GET_RUN_STATE, run_id=run_id)
    return _state(row)


LIST_RUN_STATES = _STATE + "r.id > $after ORDER BY r.id LIMIT $limit"


async def list_run_states(db: Connection, after: UUID, limit: int) -> list[tuple[RunChanged, int]]:
    return [_state(row) for row in await db.rows(LIST_RUN_STATES, after=after, limit=limit)]


def _state(row: Any) -> tuple[RunChanged, int]:
    fields = dict(row)
    version = fields.pop("version")
    return RunChanged(**fields), version


LIST_RUNS = (
    "SELECT "
    + _RUN
    + """ FROM course.runs
    WHERE course_id = $course_id AND ($after::uuid IS NULL OR id > $after) ORDER BY id LIMIT $limit"""
)


async def list_runs(db: Connection, course_id: CourseId, *, after: RunId | None, limit: int) -> list[Run]:
    """List the runs of a course, oldest first."""
    return await db.all(Run, LIST_RUNS, course_id=course_id, after=after, limit=limit)


INSERT_RUN = """
INSERT INTO course.runs (id, course_id, org_id, title, pace, is_default, starts_at, ends_at, enrolment_opens_at,
                         enrolment_closes_at, seats, pinned_revision, written_by, created_at)
VALUES ($id, $course_id, $org_id, $title, $pace, $is_default, $starts_at, $ends_at, $enrolment_opens_at,
        $enrolment_closes_at, $seats, $pinned_revision, $by, $created_at)
"""


async def insert_run(tx: Transaction, run: Run, *, by: UUID | None) -> None:
    await tx.run(INSERT_RUN, run, by=by)


UPDATE_RUN = (
    """UPDATE course.runs
    SET title = $title, pace = $pace, starts_at = $starts_at, ends_at = $ends_at,
        enrolment_opens_at = $enrolment_opens_at, enrolment_closes_at = $enrolment_closes_at, seats = $seats,
        pinned_revision = $pinned_revision, version = version + 1,
        written_by = CASE WHEN title = $title THEN written_by ELSE $by::uuid END
    WHERE id = $id AND version = $expected_version AND ended_at IS NULL
    RETURNING """
    + _RUN
)


async def update_run(tx: Transaction, run: Run, expected_version: int, *, by: UUID | None) -> Run | None:
    """Write all changeable fields of a run; None when its version is another or it has ended. A new title is `by` somebody."""
    return await tx.maybe(Run, UPDATE_RUN, run, expected_version=expected_version, by=by)


UPDATE_ENDED = (
    "UPDATE course.runs SET ended_at = $now, version = version + 1 WHERE id = $run_id AND ended_at IS NULL RETURNING "
    + _RUN
)


async def update_ended(tx: Transaction, run_id: RunId) -> Run | None:
    """End a run; None when it has ended."""
    return await tx.maybe(Run, UPDATE_ENDED, run_id=run_id)


GET_RUN_VERSION = "SELECT version FROM course.runs WHERE id = $run_id"


async def get_run_version(tx: Transaction, run_id: RunId) -> int:
    return await tx.value(GET_RUN_VERSION, run_id=run_id)


LIST_PUBLISHED_RUNS = (
    "SELECT "
    + _RUN_OF_COURSE
    + """, c.revision, c.visibility
    FROM course.runs r JOIN course.catalog c ON c.course_id = r.course_id AND NOT c.hidden
    WHERE (r.id = $run_id OR r.course_id = $course_id) AND r.created_at <= $at
    ORDER BY r.ended_at IS NOT NULL OR r.ends_at <= $at, r.id LIMIT 200"""
)


async def list_published_runs(
    db: Connection, *, run_id: RunId | None, course_id: CourseId | None, now: datetime
) -> list[tuple[Run, int, Visibility]]:
    """List the runs (one, or those of a course) of a published, not archived course: oldest first, the ended ones last.

    Each with the course's newest revision and visibility. Runs that ended before `now` come too.
    """
    rows = await db.rows(LIST_PUBLISHED_RUNS, run_id=run_id, course_id=course_id, at=now)
    found: list[tuple[Run, int, Visibility]] = []
    for row in rows:
        fields = dict(row)
        revision, visibility = fields.pop("revision"), fields.pop("visibility")
        found.append((Run(**fields), revision, visibility))
    return found


UPDATE_REMINDED = (
    """UPDATE course.runs SET reminded_for = starts_at WHERE id IN (
        SELECT id FROM course.runs
        WHERE ended_at IS NULL AND starts_at IS NOT NULL AND starts_at > $now AND starts_at <= $until
            AND reminded_for IS DISTINCT FROM starts_at
        ORDER BY starts_at LIMIT $limit FOR UPDATE SKIP LOCKED)
    RETURNING """
    + _RUN
)


async def update_reminded(tx: Transaction, until: datetime, limit: int) -> list[Run]:
    """Note that runs which begin soon were told of, and return those that were not told of before."""
    return await tx.all(Run, UPDATE_REMINDED, until=until, limit=limit)
