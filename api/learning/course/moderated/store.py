"""The SQL of courses and runs as moderators see and judge them."""

from typing import Literal
from uuid import UUID

from api.learning.course.contract import SEE, CourseId, RunId
from api.learning.course.store import COURSE, Course
from api.platform.moderation.contract import Content
from cluster.data import Connection, Transaction
from cluster.people.privacy import ERASED

LIST_MODERATED = """
SELECT c.id, c.org_id, c.created_by, c.language, c.title, c.summary, k.title AS shown_title, k.summary AS shown_summary,
    k.visibility, coalesce(k.learners, 0) AS learners
FROM course.courses c LEFT JOIN course.catalog k ON k.course_id = c.id AND NOT k.hidden
WHERE c.id = ANY($course_ids::uuid[]) LIMIT 100
"""


async def list_moderated(db: Connection, course_ids: list[UUID]) -> list[Content]:
    """List courses with the words of their working copies, and those of the catalogue where they differ."""
    found: list[Content] = []
    for row in await db.rows(LIST_MODERATED, course_ids=course_ids):
        texts = {
            "/title": row["title"],
            "/summary": row["summary"],
            "/published/title": row["shown_title"] if row["shown_title"] != row["title"] else None,
            "/published/summary": row["shown_summary"] if row["shown_summary"] != row["summary"] else None,
        }
        found.append(
            Content(
                id=row["id"],
                texts={pointer: text for pointer, text in texts.items() if text},
                url=f"/courses/{row['id']}",
                user_id=row["created_by"],
                org_id=row["org_id"],
                course_id=row["id"],
                language=row["language"],
                reach=row["learners"],
                seen_with="course:read" if row["visibility"] is None else SEE[row["visibility"]],
            )
        )
    return found


LOCK_NEWER = """
SELECT moderation_state FROM course.courses WHERE id = $course_id AND moderation_version < $version FOR UPDATE
"""


async def lock_newer(tx: Transaction, course_id: CourseId, version: int) -> tuple[str | None] | None:
    """Hold a course that heard of no such version yet, and return its state; None: it did, or there is none."""
    rows = await tx.rows(LOCK_NEWER, course_id=course_id, version=version)
    return (rows[0]["moderation_state"],) if rows else None


UPDATE_VERSION = "UPDATE course.courses SET moderation_version = $version WHERE id = $course_id"


async def update_version(tx: Transaction, course_id: CourseId, version: int) -> None:
    """Remember a decision that changes nothing here."""
    await tx.run(UPDATE_VERSION, course_id=course_id, version=version)


UPDATE_MODERATED = (
    """WITH course AS (
        UPDATE course.courses SET moderation_state = $state::text, moderation_version = $version,
            archived_at = CASE WHEN $state = 'removed' THEN coalesce(archived_at, $now::timestamptz)
                WHEN NOT archived_by_moderation THEN archived_at END,
            archived_by_moderation = $state IS NOT DISTINCT FROM 'removed'
                AND (archived_at IS NULL OR archived_by_moderation),
            publish_at = CASE WHEN $state IS NULL THEN publish_at END, version = version + 1, updated_at = $now
        WHERE id = $course_id RETURNING """
    + COURSE
    + """
    ), shown AS (
        UPDATE course.catalog SET hidden = course.archived_at IS NOT NULL FROM course WHERE course_id = course.id
    )
    SELECT * FROM course"""
)


async def update_moderated(
    tx: Transaction, course_id: CourseId, state: Literal["locked", "removed"] | None, version: int
) -> Course:
    """Lock or remove a course, or undo that. What is removed is archived; what its staff archived stays so."""
    return await tx.one(Course, UPDATE_MODERATED, course_id=course_id, state=state, version=version)


LIST_MODERATED_RUNS = """
SELECT r.id, r.org_id, r.course_id, r.title, 
    CASE WHEN r.is_default THEN coalesce(r.written_by, c.created_by) ELSE r.written_by END AS user_id, c.language, k.visibility,
    coalesce(k.learners, 0) AS learners
FROM course.runs r JOIN course.courses c ON c.id = r.course_id
LEFT JOIN course.catalog k ON k.course_id = r.course_id AND NOT k.hidden
WHERE r.id = ANY($run_ids::uuid[]) LIMIT 100
"""


async def list_moderated_runs(db: Connection, run_ids: list[UUID]) -> list[Content]:
    """List the titles of runs."""
    return [
        Content(
            id=row["id"],
            texts={"/title": row["title"]},
            url=f"/courses/{row['course_id']}",
            user_id=None if row["user_id"] == UUID(ERASED) else row["user_id"],
            org_id=row["org_id"],
            course_id=row["course_id"],
            language=row["language"],
            reach=row["learners"],
            seen_with="run:read" if row["visibility"] is None else SEE[row["visibility"]],
            run_ids=(row["id"],),
        )
        for row in await db.rows(LIST_MODERATED_RUNS, run_ids=run_ids)
    ]


UPDATE_MODERATED_RUN = """
UPDATE course.runs SET moderation_state = CASE WHEN $removed THEN 'removed' END, moderation_version = $version,
    version = runs.version + 1
WHERE id = $run_id AND moderation_version < $version RETURNING id
"""


async def update_moderated_run(tx: Transaction, run_id: RunId, *, removed: bool, version: int) -> bool:
    """Hide the title of a run or show it again; False: a newer decision is known, or there is no such run."""
    return await tx.value(UPDATE_MODERATED_RUN, run_id=run_id, removed=removed, version=version) is not None
