"""From events to inboxes: everybody whom it concerns, once, whatever dies on the way."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from api.engagement.notification.spreading import notices
from api.learning.course import notices as words
from cluster.data import read
from cluster.events.parked import retry_job
from cluster.people.notices import NoticeText
from tests.api.engagement.notification.conftest import inbox, learner, publish_again, titles
from tests.api.learning.course.conftest import Draft
from tests.harness import PASSWORD, Hub, done


async def test_learners_hear_what_happens_in_their_course_once(hub: Hub, published: Draft) -> None:
    first, second = await learner(hub, published), await learner(hub, published, "ines")
    await hub.settle()

    await publish_again(published)
    await hub.settle()

    told = await inbox(first)
    assert [(each["title"], each["seq"], each["state"]) for each in told] == [
        ("There is something new in Algebra, again", 2, "unread"),
        ("You are enrolled in Algebra", 1, "unread"),
    ]
    assert {each["course_id"] for each in told} == {published.id}
    assert {each["url"] for each in told} == {f"/courses/{published.id}"}
    assert await titles(second) == await titles(first)
    assert done(await first.get("/v1/notifications/-/count")) == {"unread": 2, "seq": 2}
    assert await inbox(published.owner, category="learning") == []


async def test_a_killed_page_is_told_once_and_the_rest_after_it(
    hub: Hub, published: Draft, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [await learner(hub, published, f"pupil-{number}") for number in range(5)]
    await hub.settle()
    monkeypatch.setattr(notices, "PAGE", 2)
    asked: list[UUID | None] = []
    recipients = notices.recipients

    async def killed_once(of: Any, payload: Any, after: UUID | None) -> Any:
        asked.append(after)
        if len(asked) == 2:
            raise RuntimeError("killed between two pages")
        return await recipients(of, payload, after)

    monkeypatch.setattr(notices, "recipients", killed_once)

    await publish_again(published)
    await hub.settle()
    async with read() as db:
        [occasion] = await db.rows(
            "SELECT id, told FROM notification.occasions WHERE state = 'spreading' AND org_id = $1",
            published.school.org_id,
        )
        assert occasion["told"] == 2
    await hub.due_now(str(occasion["id"]))
    await hub.settle()

    by_id = sorted(person.id for person in people)
    assert asked == [None, by_id[1], by_id[1], by_id[3]]
    for person in people:
        assert (await titles(person)).count("There is something new in Algebra, again") == 1
        assert done(await person.get("/v1/notifications/-/count")) == {"unread": 2, "seq": 2}


async def test_a_notice_without_words_is_parked_alone_and_goes_on_later(
    hub: Hub, published: Draft, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = await learner(hub, published)
    texts = words.texts

    async def broken(notice: str, *rest: Any) -> list[NoticeText]:
        if notice == "course.enrolled":
            raise LookupError("no words")
        return await texts(notice, *rest)

    monkeypatch.setattr(words, "texts", broken)
    for _ in range(7):
        await hub.settle()
        async with read() as db:
            await db.run("UPDATE hub.jobs SET due_at = now() WHERE kind = 'notification.spread' AND state = 'queued'")
    await publish_again(published)
    await hub.settle()
    assert await titles(person) == ["There is something new in Algebra, again"]
    async with read() as db:
        [parked] = await db.rows(
            "SELECT id, notice_slug, error FROM notification.occasions WHERE state = 'parked' AND org_id = $1",
            published.school.org_id,
        )
        dead = await db.value("SELECT id FROM hub.jobs WHERE dedupe = $1 AND state = 'dead'", str(parked["id"]))
    assert parked["notice_slug"] == "course.enrolled"
    assert "LookupError: no words" in parked["error"]

    monkeypatch.setattr(words, "texts", texts)
    async with read() as db:
        await retry_job(db, dead)
    await hub.settle()

    assert sorted(await titles(person)) == [
        "There is something new in Algebra, again",
        "You are enrolled in Algebra, again",
    ]


async def test_what_is_not_theirs_any_more_is_not_told(hub: Hub, published: Draft) -> None:
    person = await learner(hub, published)
    done(await published.owner.post(f"{published.path}/archive"))

    await hub.settle()

    assert await inbox(person) == []


async def test_a_run_that_begins_tomorrow_is_told_once_and_again_when_it_moves(hub: Hub, published: Draft) -> None:
    new = {"course_id": published.id, "title": "Spring", "starts_at": _in(hours=20)}
    run = done(await published.owner.post("/v1/runs", new), 201)
    person = await hub.person("early")
    done(await person.post("/v1/enrollments", {"run_id": run["id"]}), 201)
    await hub.settle()

    for _ in range(2):
        await hub.run_cron("course.remind")
        await hub.settle()
    assert (await titles(person))[0] == "It begins tomorrow: Algebra"
    assert len(await titles(person)) == 2
    path = f"/v1/runs/{run['id']}"
    headers = {"If-Match": (await published.owner.get(path)).headers["ETag"]}
    done(await published.owner.patch(path, {"starts_at": _in(hours=22)}, headers=headers))
    await hub.run_cron("course.remind")
    await hub.settle()

    assert len(await titles(person)) == 3


def _in(*, hours: int) -> str:
    return (datetime.now(UTC) + timedelta(hours=hours)).isoformat()


async def test_a_role_is_told_to_whom_somebody_else_gave_it(hub: Hub, published: Draft) -> None:
    teacher = await hub.person("teacher")
    done(await published.owner.put(f"{published.path}/staff/{teacher.id}", {"role": "instructor"}))

    await hub.settle()

    [told] = await inbox(teacher)
    assert (told["title"], told["category"], told["course_id"]) == (
        "You got a role: Instructor: edits, publishes and runs the course",
        "account",
        published.id,
    )
    assert await inbox(published.owner, category="account") == []


async def test_a_sign_in_on_a_new_device_alone_is_told(hub: Hub) -> None:
    person = await hub.person("signed")
    again = {"email": person.email, "password": PASSWORD}
    firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

    done(await hub.guest.post("/v1/sessions", again), 201)
    for _ in range(2):
        done(await hub.guest.post("/v1/sessions", again, headers={"User-Agent": firefox}), 201)
    await hub.settle()

    [told] = await inbox(person)
    assert (told["title"], told["category"], told["severity"]) == (
        "New sign-in: Firefox on Linux",
        "security",
        "security",
    )


async def test_every_event_of_a_notice_is_heard(hub: Hub) -> None:
    from cluster.events import handlers_of, type_of

    heard = handlers_of("notification").by_type

    assert {type_of(each.notice.event).name for each in notices.offered().values()} <= set(heard)
    assert all(notices.notices_of(each.notice.event) for each in notices.offered().values())
