"""A course that never came to be leaves neither outline nor grant for longer than a day, however it ended."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from api.core.rbac.place import logic as rbac
from api.learning.content.contract import ContentCalls
from api.learning.content.frozen import logic as frozen
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
from tests.api.learning.course.conftest import Draft, new_course
from tests.harness import Hub, School, done

LATER = timedelta(hours=25)


async def expire(now: datetime) -> None:
    for expire_batch in (outlines.expire_outlines, frozen.expire_frozen):
        after = await expire_batch(now)
        while after is not None:
            after = await expire_batch(now, after)
    after = await rbac.end_unconfirmed(PLATFORM, now)
    while after is not None:
        after = await rbac.end_unconfirmed(PLATFORM, now, after)


async def outlines_of(school: School) -> set[UUID]:
    rows = await pool().fetch("SELECT course_id FROM content.outlines WHERE org_id = $1", school.org_id)
    return {row["course_id"] for row in rows}


async def frozen_of(course_id: str) -> set[UUID]:
    rows = await pool().fetch("SELECT id FROM content.frozen_outlines WHERE course_id = $1", UUID(course_id))
    return {row["id"] for row in rows}


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


async def test_an_outline_frozen_for_no_revision_lets_go_after_a_day(school: School) -> None:
    author: Author = await new_author(school)
    films = Films()
    video_id = await films.add(author)
    await author.add(await author.lesson(), "video", body={"video_id": video_id})
    kept = await client(ContentCalls).freeze(UUID(author.course_id))

    await expire(datetime.now(UTC))
    young = await frozen_of(author.course_id)
    await expire(datetime.now(UTC) + LATER)

    assert young == {kept.frozen_id}
    assert await frozen_of(author.course_id) == set()
    async with read() as db:
        assert (await uses.used_by(db, Ref("video", UUID(video_id)))).others == 1, "the block in the working copy"


async def test_an_outline_that_is_frozen_again_is_kept_for_another_day(draft: Draft) -> None:
    first = await client(ContentCalls).freeze(UUID(draft.id))
    await pool().execute("UPDATE content.frozen_outlines SET asked_at = now() - interval '2 days'")

    again = await client(ContentCalls).freeze(UUID(draft.id))
    await expire(datetime.now(UTC))

    assert again.frozen_id == first.frozen_id
    assert await frozen_of(draft.id) == {first.frozen_id}


async def test_the_outline_of_a_revision_never_expires(draft: Draft, published: Draft) -> None:
    outline = await frozen_of(published.id)
    await expire(datetime.now(UTC) + LATER)
    done(await published.owner.post(f"{published.path}/archive"))

    await expire(datetime.now(UTC) + LATER * 100)

    assert len(outline) == 1
    assert await frozen_of(published.id) == outline
