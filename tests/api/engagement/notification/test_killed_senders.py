"""Workers that are killed while they tell people: each has one notification, and what is sent again replaces the first."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api.engagement.notification.delivery import logic as delivery
from api.engagement.notification.spreading import logic as spreading
from cluster.base.ids import new_id
from tests.api.core.user.privacy import rows
from tests.api.core.user.test_killed_requests import killed
from tests.api.engagement.notification.conftest import PushService, deliveries, inbox, publish_again, with_browser
from tests.api.engagement.notification.test_mail import told_by_mail
from tests.api.learning.course.conftest import Draft
from tests.harness import Hub, Person, done

At = Callable[[datetime], Any]
PEOPLE = 1203
"""Three pages."""
_TOLD = """
SELECT count(*), count(DISTINCT n.user_id), bool_and(p.seq = 1 AND p.unread = 1 AND n.seq = 1)
FROM notification.notifications n JOIN notification.people p USING (user_id)
WHERE n.notice_slug = 'course.published' AND n.course_id = $1::uuid"""
_PLANNED = """
SELECT d.channel, count(*) FROM notification.deliveries d JOIN notification.notifications n ON n.id = d.notification_id
WHERE n.course_id = $1::uuid GROUP BY d.channel ORDER BY d.channel"""


_OCCASIONS = """
SELECT state, told FROM notification.occasions
WHERE payload ->> 'course_id' = $1 AND notice_slug = 'course.published' ORDER BY happened_at"""


async def enrolled(published: Draft, count: int) -> None:
    """Let so many people learn in the course, whom nobody told of it."""
    ids = [new_id() for _ in range(count)]
    await rows(
        """INSERT INTO "user".users (id, name, locale, state, created_at, updated_at)
        SELECT id, 'Somebody', 'en', 'active', now(), now() FROM unnest($1::uuid[]) AS w (id)""",
        ids,
    )
    await rows(
        """INSERT INTO enrollment.enrollments (id, org_id, course_id, run_id, user_id, state, created_at, updated_at)
        SELECT gen_random_uuid(), $2, $3::uuid, $4::uuid, id, 'active', now(), now() FROM unnest($1::uuid[]) AS w (id)""",
        *(ids, published.school.org_id, published.id, published.course["default_run_id"]),
    )


async def refuse(*_: object) -> bool:
    raise ConnectionRefusedError


@pytest.mark.parametrize(
    ("place", "call", "told"),
    [
        ("api.engagement.notification.spreading.store:insert_notifications", 1, 0),
        ("api.engagement.notification.spreading.store:update_spread", 2, 500),
        ("cluster.jobs.job_run:JobRun.extend", 2, 1000),
        ("api.engagement.notification.announcement.ending:end", 1, PEOPLE),
    ],
    ids=["before the first page", "before the second commits", "after the second committed", "after the last"],
)
async def test_a_killed_spreader_tells_everybody_once(
    hub: Hub, published: Draft, monkeypatch: pytest.MonkeyPatch, place: str, call: int, told: int
) -> None:
    await hub.settle()
    await enrolled(published, PEOPLE)
    monkeypatch.setattr(spreading, "_read_page", refuse)
    await publish_again(published)
    await hub.settle()

    await killed("notification", place, call)
    before = (await rows(_TOLD, published.id))[0][0]
    monkeypatch.undo()
    await hub.settle()

    assert (before, tuple((await rows(_TOLD, published.id))[0])) == (told, (PEOPLE, PEOPLE, True))
    assert [tuple(row) for row in await rows(_PLANNED, published.id)] == [("mail", PEOPLE), ("push", PEOPLE)]
    assert [tuple(row) for row in await rows(_OCCASIONS, published.id)] == [("done", 0), ("done", PEOPLE)]


@pytest.mark.parametrize(
    ("place", "messages"),
    [
        ("api.engagement.notification.device.webpush:encrypt", 1),
        ("api.engagement.notification.delivery.logic:_record", 2),
        ("cluster.jobs.job_run:JobRun.extend", 1),
    ],
    ids=["before it is sent", "after the answer, before the commit", "after the commit"],
)
async def test_a_killed_pusher_repeats_only_what_replaces_the_first(
    hub: Hub, published: Draft, push: PushService, monkeypatch: pytest.MonkeyPatch, at: At, place: str, messages: int
) -> None:
    person = await hub.person("tariq")
    browser = await with_browser(push, person)
    monkeypatch.setattr(delivery, "_deliver_some", refuse)
    done(await person.post("/v1/enrollments", {"run_id": published.course["default_run_id"]}), 201)
    await hub.settle()

    await killed("notification", place, 1)
    monkeypatch.undo()
    await at(datetime.now(UTC) + timedelta(minutes=3))
    await at(datetime.now(UTC) + timedelta(minutes=6))

    [told] = await inbox(person)
    assert [message["id"] for message in browser.messages] == [told["id"]] * messages
    assert len({headers["Topic"] for headers in browser.headers}) == 1
    assert (await deliveries(person, told))["push"] == ("delivered", None)


async def test_a_killed_mailer_writes_one_letter(
    hub: Hub, published: Draft, monkeypatch: pytest.MonkeyPatch, at: At
) -> None:
    person = await confirmed(hub)
    monkeypatch.setattr(delivery, "_deliver_some", refuse)
    done(await person.post("/v1/enrollments", {"run_id": published.course["default_run_id"]}), 201)
    await hub.settle()
    await rows("UPDATE notification.notifications SET created_at = now() - interval '11 min'")
    await rows("UPDATE notification.deliveries SET due_at = now() - interval '1 min' WHERE channel = 'mail'")
    await rows("UPDATE hub.jobs SET due_at = now() WHERE kind = 'notification.deliver' AND state = 'queued'")

    await killed("notification", "api.engagement.notification.delivery.mail:_outcome", 1)
    monkeypatch.undo()
    await at(datetime.now(UTC) + timedelta(minutes=3))

    [letter] = await told_by_mail(hub, person)
    [told] = await inbox(person)
    assert (letter.subject, (await deliveries(person, told))["mail"]) == (
        "You are enrolled in Algebra",
        ("delivered", None),
    )


async def confirmed(hub: Hub) -> Person:
    person = await hub.person("reader")
    [letter] = await hub.letters(person.email)
    done(await person.post("/v1/users/me/verify-email", {"token": letter.token}))
    await hub.settle()
    return person
