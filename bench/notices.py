"""How fast events reach inboxes: many recipients of one event, and many events of one recipient each.

All services run in this process on servers of their own; Kafka is left out, as `./hub bench events` measures it.
"""

import asyncio
import time
from datetime import UTC, datetime

import asyncpg

from api.learning.content.contract import FrozenId
from api.learning.course.contract import CourseId, CoursePublished
from api.learning.enrollment.contract import EnrollmentCreated, EnrollmentId
from bench.figures import Figure, hand_over, progress, quick
from bench.stack import own_host
from cluster import events
from cluster.base.ids import OrgId, UserId, new_id
from cluster.base.registry import load
from cluster.base.services import table
from cluster.base.settings import settings
from cluster.data import read
from cluster.events import Envelope, inbox
from cluster.jobs.run import run_due_jobs

_RECIPIENTS = 1_000 if quick() else 10_000
_EVENTS = 200 if quick() else 2_000
_BATCH = 100
_GOAL_PER_S = 100_000 / 60
"""100,000 recipients are planned in a minute."""


async def run() -> list[Figure]:
    async with own_host("notices"):
        load(table(), "handlers", "jobs")
        return await _measure()


async def _measure() -> list[Figure]:
    org_id, course_id, run_id = OrgId(new_id()), CourseId(new_id()), new_id()
    people = [UserId(new_id()) for _ in range(_RECIPIENTS)]
    await _furnish(org_id, course_id, run_id, people)
    published = CoursePublished(course_id=course_id, org_id=org_id, revision=2, frozen_id=FrozenId(new_id()))
    begun = time.perf_counter()
    await _hear([events.envelope_of(published, version=2, id=new_id())])
    planned_per_s = _RECIPIENTS / (time.perf_counter() - begun)
    told = await _count()
    progress(f"one event planned for {told} people at {planned_per_s:.0f}/s")
    enrolled = [
        EnrollmentCreated(
            enrollment_id=EnrollmentId(new_id()), org_id=org_id, course_id=course_id, run_id=run_id, user_id=user_id
        )
        for user_id in people[:_EVENTS]
    ]
    begun = time.perf_counter()
    await _hear([events.envelope_of(each, version=1, id=new_id()) for each in enrolled])
    per_s = len(enrolled) / (time.perf_counter() - begun)
    assert await _count() == told + len(enrolled), "somebody was not told"
    return [
        Figure(name="recipients of one event planned", value=planned_per_s, unit="1/s", goal=_GOAL_PER_S),
        Figure(name="events of one recipient into inboxes", value=per_s, unit="1/s"),
    ]


async def _furnish(org_id: OrgId, course_id: CourseId, run_id: object, people: list[UserId]) -> None:
    """Write a published course and its learners, each with a profile, straight into the tables."""
    now = datetime.now(UTC)
    raw = await asyncpg.connect(settings().postgres_url)
    try:
        await raw.execute(
            """INSERT INTO course.courses (id, org_id, slug, title, summary, language, default_run_id, created_by, created_at,
                updated_at) VALUES ($1, $2, 'bench', 'Bench', '', 'en', $3, $3, $4, $4)""",
            *(course_id, org_id, run_id, now),
        )
        await raw.execute(
            """INSERT INTO course.catalog (course_id, org_id, revision, slug, title, summary, language, categories, tags,
                visibility, published_at)
            VALUES ($1, $2, 1, 'bench', 'Bench', '', 'en', '{}', '{}', 'public', $3)""",
            *(course_id, org_id, now),
        )
        await raw.copy_records_to_table(
            "users",
            schema_name="user",
            columns=("id", "name", "locale", "state", "created_at", "updated_at"),
            records=[(user_id, "Somebody", "en", "active", now, now) for user_id in people],
        )
        await raw.copy_records_to_table(
            "enrollments",
            schema_name="enrollment",
            columns=("id", "org_id", "course_id", "run_id", "user_id", "state", "created_at", "updated_at"),
            records=[(new_id(), org_id, course_id, run_id, user_id, "active", now, now) for user_id in people],
        )
        await raw.execute("ANALYZE")
    finally:
        await raw.close()


async def _hear(envelopes: list[Envelope]) -> None:
    """Let notification take over events, and work off what follows from them."""
    for start in range(0, len(envelopes), _BATCH):
        receipt = await inbox.receive("notification", envelopes[start : start + _BATCH])
        assert not receipt.parked, "an event was parked"
    await run_due_jobs(("notification",))


async def _count() -> int:
    async with read() as db:
        return await db.value("SELECT count(*) FROM notification.notifications")


if __name__ == "__main__":
    hand_over(asyncio.run(run()))
