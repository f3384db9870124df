"""Answers `CourseCalls`, and leaves about courses."""

from datetime import datetime
from typing import Any
from uuid import UUID

from api.learning.course import notices, rules
from api.learning.course import store as courses
from api.learning.course.catalog import store as catalog
from api.learning.course.catalog.documents import store as documents
from api.learning.course.contract import (
    CourseCalls,
    CourseExistence,
    CourseId,
    CourseOutline,
    Existence,
    OpenRun,
    Published,
    Run,
    RunId,
    Visibility,
)
from api.learning.course.following import store as following
from api.learning.course.moderated import store as moderated
from api.learning.course.publication import store as publication
from api.learning.course.run import store
from api.platform.moderation.contract import Content, Moderated
from cluster.base.ids import UserId
from cluster.data import read
from cluster.events import Snapshots
from cluster.people.documents import Document, Documents, DocumentSource
from cluster.people.notices import NoticeSource, NoticeText, Reader, only
from cluster.people.topics import After, Standing, TopicMessage, TopicSource


class Calls(CourseCalls, CourseExistence, DocumentSource, Moderated, NoticeSource, Snapshots, TopicSource):
    async def standing(self, topic: str, ids: list[UUID]) -> list[Standing]:  # noqa: ARG002 (there is one)
        async with read() as db:
            found = await following.list_followed(db, ids)
        return [Standing(id=each.id, seq=each.seq, org_id=each.org_id, course_id=each.id) for each in found]

    async def since(self, topic: str, after: list[After], limit: int) -> list[TopicMessage]:  # noqa: ARG002 (as above)
        seen = {each.id: each.seq for each in after}
        async with read() as db:
            found = await following.list_followed(db, list(seen))
        return [
            TopicMessage(
                id=each.id,
                seq=each.seq,
                kind="course",
                at=each.updated_at,
                data={"version": each.view_version, "outline_version": each.outline_version},
            )
            for each in found
            if each.seq > seen[each.id]
        ]

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
            return [rules.titled(each) for each in await store.list_runs(db, course_id, after=None, limit=1000)]

    async def titles_of(self, course_ids: list[UUID]) -> dict[UUID, str]:
        async with read() as db:
            return await catalog.list_titles(db, course_ids)

    async def existence_of(self, course_ids: list[UUID]) -> Existence:
        async with read() as db:
            return Existence(await courses.list_existing(db, course_ids), await courses.list_pending(db, course_ids))

    async def outlines_with_revisions(self, outlines: list[CourseOutline]) -> list[UUID]:
        async with read() as db:
            return await publication.list_outlines_with_revisions(db, outlines)

    async def documents(self, kind: str, ids: list[UUID]) -> Documents:  # noqa: ARG002 (there is one kind)
        async with read() as db:
            return await documents.list_documents(db, ids)

    async def document_page(self, kind: str, after: UUID | None, limit: int) -> list[Document]:  # noqa: ARG002
        async with read() as db:
            return await documents.list_document_page(db, after, limit)

    async def content(self, kind: str, ids: list[UUID]) -> list[Content]:
        async with read() as db:
            if kind == rules.MODERATED_RUN:
                return await moderated.list_moderated_runs(db, ids)
            return await moderated.list_moderated(db, ids)

    async def recipients(self, notice: str, event: dict[str, Any], after: UUID | None, limit: int) -> list[UserId]:  # noqa: ARG002
        return only(event["user_id"], after)

    async def texts(self, notice: str, event: dict[str, Any], readers: list[Reader]) -> list[NoticeText]:
        return await notices.texts(notice, event, readers)


def _open_run(run: Run, newest: int, visibility: Visibility, now: datetime) -> OpenRun:
    return OpenRun(
        run=rules.titled(run),
        revision=rules.revision_shown(run, newest),
        open=rules.takes_learners(run, now),
        visibility=visibility,
    )
