"""Staff announce something: counted first, told once, changed, stopped and withdrawn everywhere."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from api.engagement.notification.announcement import logic as announcing
from api.engagement.notification.announcement.text import html_of, inbox_body, plain_of
from api.engagement.notification.calls import Calls
from api.engagement.notification.contract import Announce, AnnouncementId
from api.engagement.notification.spreading import logic as spreading
from api.engagement.notification.spreading import notices
from cluster.base.problems import Unavailable
from cluster.data import Transaction, read, write
from cluster.people.topics import After
from tests.api.engagement.notification.conftest import (
    PushService,
    choose,
    deliveries,
    inbox,
    learner,
    titles,
    with_browser,
)
from tests.api.learning.course.conftest import Draft
from tests.harness import Hub, Person, done, problem

At = Callable[[datetime], Any]
PATH = "/v1/staff-announcements"


async def draft_of(published: Draft, **more: Any) -> dict[str, Any]:
    """Write an announcement to the learners of the course's first run."""
    new = {"run_id": published.course["default_run_id"], "title": "No lesson on Friday", "text": "We go on *later*."}
    return done(await published.owner.post(PATH, {**new, **more}), 201)


async def act(person: Person, announcement: dict[str, Any], verb: str, body: Any = None) -> dict[str, Any]:
    return done(await person.post(f"{PATH}/{announcement['id']}/{verb}", body))


async def test_an_announcement_is_counted_first_and_told_once(hub: Hub, published: Draft, push: PushService) -> None:
    first, second, tired = [await learner(hub, published, name) for name in ("first", "second", "tired")]
    browser = await with_browser(push, first)
    await choose(second, categories={"announcement": {"mail": "off"}})
    done(await tired.put(f"/v1/notification-preferences/me/courses/{published.id}", {}))
    await hub.settle()
    browser.messages.clear()
    announcement = await draft_of(published)
    path = f"{PATH}/{announcement['id']}"

    reach = done(await published.owner.get(f"{path}/reach"))
    assert reach == {"people": 3, "inbox": 2, "push": 1, "mail": 1}
    assert await titles(first) == ["You are enrolled in Algebra"]
    sending = await act(published.owner, announcement, "send", {})
    assert (sending["state"], sending["told"]) == ("sending", 0)
    await hub.settle()

    [told, _] = await inbox(first)
    assert (told["title"], told["body"], told["category"], told["url"], told["course_id"]) == (
        *("No lesson on Friday", "We go on later.", "announcement"),
        *(f"/announcements/{announcement['id']}", published.id),
    )
    assert [message["title"] for message in browser.messages] == ["No lesson on Friday"]
    assert (await titles(second)).count("No lesson on Friday") == 1
    assert (await deliveries(second, (await inbox(second))[0]))["mail"] == ("skipped", "off")
    shown = done(await published.owner.get(path))
    assert (shown["state"], shown["told"]) == ("sent", 3)
    text = done(await first.get(f"/v1/notifications/{told['id']}/announcement"))
    assert text["html"] == "<p>We go on <em>later</em>.</p>\n"
    problem(await second.get(f"/v1/notifications/{told['id']}/announcement"), 404)
    again = await published.owner.post(f"{path}/send", {})
    problem(again, 409, "announcement-state-conflict")


async def test_what_is_scheduled_goes_at_its_time_and_can_be_called_back(hub: Hub, published: Draft) -> None:
    person = await learner(hub, published)
    await hub.settle()
    announcement = await draft_of(published)
    at = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    scheduled = await act(published.owner, announcement, "send", {"send_at": at})
    assert scheduled["state"] == "scheduled"
    called_back = await act(published.owner, announcement, "stop")
    assert (called_back["state"], called_back["send_at"]) == ("draft", None)
    async with read() as db:
        waiting = "SELECT count(*) FROM hub.jobs WHERE dedupe = $1 AND state = 'queued'"
        assert await db.value(waiting, Announce.dedupe(AnnouncementId(UUID(announcement["id"])))) == 0

    await act(published.owner, announcement, "send", {"send_at": at})
    await run_out(hub, announcement)

    assert await titles(person) == ["No lesson on Friday", "You are enrolled in Algebra"]
    assert done(await published.owner.get(f"{PATH}/{announcement['id']}"))["state"] == "sent"


async def run_out(hub: Hub, announcement: dict[str, Any]) -> None:
    """Let the time come for which an announcement is scheduled."""
    async with read() as db:
        await db.run("UPDATE notification.announcements SET send_at = now() WHERE id = $1", UUID(announcement["id"]))
    await hub.due_now(f"announce:{announcement['id']}")
    await hub.settle()


async def test_what_is_scheduled_stops_when_its_sender_lost_the_right(hub: Hub, published: Draft) -> None:
    owner, pupil, teacher = published.owner, await learner(hub, published), await hub.person("teacher")
    staff = f"{published.path}/staff/{teacher.id}"
    done(await owner.put(staff, {"role": "instructor"}))
    await hub.settle()
    new = {"course_id": published.id, "title": "No lesson on Friday", "text": ""}
    announcement = done(await teacher.post(PATH, new), 201)
    tomorrow = {"send_at": (datetime.now(UTC) + timedelta(days=1)).isoformat()}
    assert (await act(teacher, announcement, "send", tomorrow))["stop_reason"] is None
    done(await owner.delete(staff), 204)
    await hub.settle()

    await run_out(hub, announcement)

    path = f"{PATH}/{announcement['id']}"
    shown = done(await owner.get(path))
    assert (shown["state"], shown["stop_reason"], shown["sent_at"]) == ("stopped", "right_ended", None)
    assert "No lesson on Friday" not in await titles(pupil)
    [told, *_] = await inbox(teacher)
    assert (told["title"], told["body"], told["course_id"]) == (
        "Not sent: No lesson on Friday",
        "You may not announce there any more. Somebody who may can send it.",
        published.id,
    )
    assert (await titles(owner)).count(told["title"]) == 0
    problem(await teacher.post(f"{path}/send", {}), 404)

    again = await act(owner, announcement, "send", {})
    await hub.settle()

    assert (again["state"], again["stop_reason"]) == ("sending", None)
    assert (await titles(pupil)).count("No lesson on Friday") == 1


async def test_what_is_scheduled_goes_by_the_right_of_who_scheduled_it(hub: Hub, published: Draft) -> None:
    owner, pupil, teacher = published.owner, await learner(hub, published), await hub.person("teacher")
    staff = f"{published.path}/staff/{teacher.id}"
    done(await owner.put(staff, {"role": "instructor"}))
    await hub.settle()
    new = {"course_id": published.id, "title": "No lesson on Friday", "text": ""}
    announcement = done(await teacher.post(PATH, new), 201)
    tomorrow = {"send_at": (datetime.now(UTC) + timedelta(days=1)).isoformat()}
    await act(teacher, announcement, "send", tomorrow)
    await act(owner, announcement, "send", tomorrow)
    done(await owner.delete(staff), 204)
    await hub.settle()

    await run_out(hub, announcement)

    assert (await titles(pupil)).count("No lesson on Friday") == 1
    assert done(await owner.get(f"{PATH}/{announcement['id']}"))["stop_reason"] is None


async def test_a_right_that_cannot_be_asked_for_stops_nothing(
    hub: Hub, published: Draft, monkeypatch: pytest.MonkeyPatch
) -> None:
    pupil = await learner(hub, published)
    announcement = await draft_of(published)
    tomorrow = {"send_at": (datetime.now(UTC) + timedelta(days=1)).isoformat()}
    await act(published.owner, announcement, "send", tomorrow)
    asked = list[object]()

    async def away(*args: object, **_: object) -> None:
        asked.append(args)
        raise Unavailable("away")

    monkeypatch.setattr(announcing, "permit", away)
    await run_out(hub, announcement)
    assert len(asked) == 1
    assert done(await published.owner.get(f"{PATH}?id={announcement['id']}"))["items"][0]["state"] == "scheduled"

    monkeypatch.undo()
    await run_out(hub, announcement)

    assert (await titles(pupil)).count("No lesson on Friday") == 1


async def test_a_stop_midway_lets_nobody_further_be_told(
    hub: Hub, published: Draft, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [await learner(hub, published, f"pupil-{number}") for number in range(5)]
    await hub.settle()
    monkeypatch.setattr(notices, "PAGE", 2)
    announcement = await draft_of(published)
    pages = list[object]()

    @asynccontextmanager
    async def stopped_before_the_second(*args: Any) -> AsyncGenerator[Transaction]:
        pages.append(args)
        if len(pages) == 2:
            # The page is read already: it must not be told after the answer.
            stopped = await act(published.owner, announcement, "stop")
            assert (stopped["state"], stopped["told"]) == ("stopped", 2)
        async with write(*args) as tx:
            yield tx

    monkeypatch.setattr(spreading, "write", stopped_before_the_second)
    await act(published.owner, announcement, "send", {})
    await hub.settle()

    assert [(await titles(person)).count("No lesson on Friday") for person in sorted(people, key=lambda p: p.id)] == [
        *(1, 1, 0, 0, 0)
    ]
    assert len(pages) == 2
    shown = done(await published.owner.get(f"{PATH}/{announcement['id']}"))
    assert (shown["state"], shown["told"]) == ("stopped", 2)


async def test_an_announcement_stopped_before_it_began_is_told_to_nobody(hub: Hub, published: Draft) -> None:
    person = await learner(hub, published)
    await hub.settle()
    announcement = await draft_of(published)

    await act(published.owner, announcement, "send", {})
    await act(published.owner, announcement, "stop")
    await hub.settle()

    assert await titles(person) == ["You are enrolled in Algebra"]


async def test_new_words_and_a_withdrawal_reach_every_inbox(
    hub: Hub, published: Draft, push: PushService, at: At
) -> None:
    first, second = await learner(hub, published, "first"), await learner(hub, published, "second")
    browser = await with_browser(push, second)
    await hub.settle()
    browser.messages.clear()
    await choose(second, do_not_disturb_until=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
    announcement = await draft_of(published)
    path = f"{PATH}/{announcement['id']}"
    await act(published.owner, announcement, "send", {})
    await hub.settle()

    stale = await published.owner.patch(path, {"title": "Never mind"}, headers={"If-Match": '"1"'})
    problem(stale, 412, "stale")
    headers = {"If-Match": (await published.owner.get(path)).headers["ETag"]}
    done(await published.owner.patch(path, {"title": "No lesson on Thursday"}, headers=headers))
    await hub.settle()
    assert [(await titles(person))[0] for person in (first, second)] == ["No lesson on Thursday"] * 2
    assert done(await first.get("/v1/notifications/-/count")) == {"unread": 2, "seq": 3}

    done(await first.post("/v1/notifications/-/read", {"up_to_seq": 1}))
    await act(published.owner, announcement, "withdraw")
    await act(published.owner, announcement, "withdraw")
    await hub.settle()
    await at(datetime.now(UTC) + timedelta(hours=2))

    assert [await titles(person) for person in (first, second)] == [["You are enrolled in Algebra"]] * 2
    assert done(await first.get("/v1/notifications/-/count")) == {"unread": 0, "seq": 5}
    assert browser.messages == []
    log = await Calls().since("inbox", [After(id=first.id, seq=0)], 100)
    assert [(entry.seq, entry.kind) for entry in log] == [
        *((1, "arrived"), (2, "arrived"), (3, "changed"), (4, "read"), (5, "withdrawn")),
    ]
    withdrawn = await published.owner.patch(path, {"title": "x"}, headers={"If-Match": '"5"'})
    assert withdrawn.status_code in (409, 412)


async def test_teachers_announce_to_their_course_and_not_the_organization(hub: Hub, published: Draft) -> None:
    owner, org_id = published.owner, str(published.school.org_id)
    teacher, assistant, stranger = [await hub.person(name) for name in ("teacher", "assistant", "stranger")]
    done(await owner.put(f"{published.path}/staff/{teacher.id}", {"role": "instructor"}))
    done(await owner.put(f"{published.path}/staff/{assistant.id}", {"role": "assistant"}))
    await hub.settle()
    to_all = {"organization_id": org_id, "title": "Holidays", "text": "From Monday on."}

    announcement = done(await owner.post(PATH, to_all), 201)
    await act(owner, announcement, "send", {})
    await hub.settle()
    assert (await titles(owner))[0] == "Holidays"
    assert (await inbox(owner))[0]["organization_id"] == org_id
    assert "Holidays" not in await titles(stranger)

    assert (await teacher.post(PATH, to_all)).status_code in (403, 404)
    to_course = {"course_id": published.id, "title": "A test", "text": ""}
    done(await teacher.post(PATH, to_course), 201)
    problem(await assistant.post(PATH, to_course), 403, "forbidden")
    problem(await stranger.post(PATH, to_course), 404)
    seen = {
        person.email.split("@")[0]: [each["title"] for each in done(await person.get(PATH))["items"]]
        for person in (owner, teacher, assistant, stranger)
    }
    assert list(seen.values()) == [["A test", "Holidays"], ["A test"], ["A test"], []]
    nowhere = {"title": "x", "text": ""}
    problem(await owner.post(PATH, nowhere), 422, "announcement-place-invalid")
    problem(await owner.post(PATH, {**to_all, "course_id": published.id}), 422, "announcement-place-invalid")


def test_a_text_is_shown_without_scripts_and_read_as_plain_text() -> None:
    hostile = "# Hi <script>alert(1)</script>\n\n[x](javascript:alert(1)) ![p](https://a/b.png)\n\n- one\n- two\n\n```\na < b\n```"

    html = html_of(hostile)

    assert ("<script" in html, "javascript:" in html.replace("[x](javascript:alert(1))", ""), "<img" in html) == (
        *(False, False, False),
    )
    assert plain_of("# Hi\n\nWe *go* on\nlater.\n\n- one\n- two\n\n```\na < b\n```") == (
        "Hi\nWe go on\nlater.\none\ntwo\na < b"
    )
    assert (len(inbox_body("a" * 3000)), inbox_body("a" * 3000)[-1]) == (2000, "…")
