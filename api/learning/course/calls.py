"""Answers `CourseCalls`."""

from datetime import datetime
from uuid import UUID

from api.learning.course import rules
from api.learning.course import store as courses
from api.learning.course.catalog import store as catalog
from api.learning.course.contract import (
    CourseCalls,
    CourseExistence,
    CourseId,
    Existence,
    OpenRun,
    Published,
    Run,
    RunId,
    Visibility,
)
from api.learning.course.run import store
from cluster.data import read
from cluster.events import Snapshots


class Calls(CourseCalls, CourseExistence, Snapshots):
    async def find_published(self, course_id: CourseId) -> Published | None:
        async with read() as db:
            return await catalog.find_published(db, course_id)

    async def find_open_run(self, run_id: RunId, now: datetime) -> OpenRun | None:
        async with read() as db:
            found = await store.list_published_runs(db, run_id=run_id, course_id=None, now=now)
        return _open_run(*found[0], now) if found else None

    async def list_open_runs(self, course_id: CourseId, now: datetime) -> list[OpenRun]:
        async with read() as db:
            found = await store.list_published_runs(db, run_id=None, course_id=course_id, now=now)
        return [_open_run(run, revision, visibility, now) for run, revision, visibility in found]

    async def runs_of_course(self, course_id: CourseId) -> list[Run]:
        async with read() as db:
            return await store.list_runs(db, course_id, after=None, limit=1000)

    async def existence_of(self, course_ids: list[UUID]) -> Existence:
        async with read() as db:
            return Existence(await courses.list_existing(db, course_ids), await courses.list_pending(db, course_ids))


def _open_run(run: Run, newest: int, visibility: Visibility, now: datetime) -> OpenRun:
    return OpenRun(
        run=run,
        revision=rules.revision_shown(run, newest),
        open=rules.takes_learners(run, now),
        visibility=visibility,
    )
