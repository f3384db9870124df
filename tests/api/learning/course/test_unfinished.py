"""A course that never came to be leaves neither outline nor grant for longer than a day, however it ended."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from api.core.rbac.place import logic as rbac
from api.learning.content.contract import ContentCalls
from api.learning.content.outline import logic as outlines
from api.learning.course import store
from api.media.video_processing.contract import VideoId
from cluster.base.ids import new_id
from cluster.base.principal import PLATFORM
from cluster.data import read, uses
from cluster.data.postgres import pool
from cluster.data.uses import Ref
from cluster.people.access import GrantSource
from cluster.people.calls import client
from tests.api.learning.content.conftest import Author, Films, new_author
from tests.api.learning.course.conftest import new_course
from tests.harness import Hub, School

LATER = timedelta(hours=25)


async def expire(now: datetime) -> None:
    after = await outlines.expire_outlines(now)
    while after is not None:
        after = await outlines.expire_outlines(now, after)
    after = await rbac.end_unconfirmed(PLATFORM, now)
    while after is not None:
        after = await rbac.end_unconfirmed(PLATFORM, now, after)


async def outlines_of(school: School) -> set[UUID]:
    rows = await pool().fetch("SELECT course_id FROM content.outlines WHERE org_id = $1", school.org_id)
    return {row["course_id"] for row in rows}


async def granted(school: School) -> set[UUID | None]:
    grants = await client(GrantSource).grants_of(school.owner.id)
    return {grant.scope_id for grant in grants if grant.scope == "course"}


async def test_what_a_killed_creation_left_expires_after_a_day(
    hub: Hub, school: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = UUID((await new_course(school))["id"])

    async def killed(*_: object, **__: object) -> None:
        raise ConnectionResetError("killed before the commit")

    with monkeypatch.context() as patched:
        patched.setattr(store, "insert_course", killed)
        new = {"organization_id": str(school.org_id), "title": "Never", "language": "en"}
        assert (await school.owner.post("/v1/courses", new)).status_code >= 500
    (left,) = await outlines_of(school) - {kept}
    assert await granted(school) == {kept, left}

    await expire(datetime.now(UTC))
    young = (await outlines_of(school), await granted(school))
    await expire(datetime.now(UTC) + LATER)

    assert young == ({kept, left}, {kept, left})
    assert (await outlines_of(school), await granted(school)) == ({kept}, {kept})


async def test_a_course_whose_news_are_late_keeps_everything(hub: Hub, school: School) -> None:
    course = UUID((await new_course(school))["id"])
    assert course in {UUID(each.subject) for each in await hub.events("course.created")}

    await expire(datetime.now(UTC) + LATER)

    assert (await outlines_of(school), await granted(school)) == ({course}, {course})


async def test_an_expired_copy_lets_go_of_its_films_unless_it_is_being_made(school: School) -> None:
    author: Author = await new_author(school)
    films, being_made, never = Films(), new_id(), new_id()
    video_id = await films.add(author)
    await author.add(await author.lesson(), "video", body={"video_id": video_id})
    for target in (being_made, never):
        await client(ContentCalls).copy_outline(UUID(author.course_id), target, school.org_id)
    await pool().execute(
        """INSERT INTO course.reruns (id, org_id, source_course_id, course_id, run_id, started_by, kind, state, title, created_at)
           VALUES ($1, $2, $3, $4, $1, $5, 'person', 'creating', 'Again', now())""",
        *(new_id(), school.org_id, UUID(author.course_id), being_made, school.owner.id),
    )

    await expire(datetime.now(UTC) + LATER)

    assert await outlines_of(school) == {UUID(author.course_id), being_made}
    async with read() as db:
        assert (await uses.used_by(db, Ref("video", VideoId(UUID(video_id))))).others == 2
