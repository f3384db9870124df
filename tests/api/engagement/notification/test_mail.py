"""Letters: only what was not read, together, once, and to those alone who want them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from api.engagement.email.contract import LetterBounced, LetterUnsubscribed
from cluster.base.principal import platform
from cluster.data import read, write
from cluster.events import emit
from tests.api.engagement.notification.conftest import choose, deliveries, inbox, learner, publish_again, titles
from tests.api.learning.course.conftest import Draft
from tests.harness import PASSWORD, Hub, Letter, Person, done

At = Callable[[datetime], Any]


async def reader(hub: Hub, published: Draft) -> Person:
    """Let somebody learn who has confirmed their address."""
    person = await hub.person("reader")
    [letter] = await hub.letters(person.email)
    done(await person.post("/v1/users/me/verify-email", {"token": letter.token}))
    done(await person.post("/v1/enrollments", {"run_id": published.course["default_run_id"]}), 201)
    await hub.settle()
    return person


async def told_by_mail(hub: Hub, person: Person) -> list[Letter]:
    """Return the letters that tell of notifications, the newest first."""
    return [each for each in await hub.letters(person.email) if not each.fields["url"].count("#")]


def later(**delta: float) -> datetime:
    return datetime.now(UTC) + timedelta(**delta)


async def test_what_was_not_read_is_mailed_after_ten_minutes(hub: Hub, published: Draft, at: At) -> None:
    person = await reader(hub, published)

    await at(later(minutes=9))
    assert await told_by_mail(hub, person) == []
    await at(later(minutes=11))
    await at(later(minutes=12))

    [letter] = await told_by_mail(hub, person)
    assert letter.subject == "You are enrolled in Algebra"
    assert letter.fields["url"].endswith(f"/courses/{published.id}")
    [told] = await inbox(person)
    assert (await deliveries(person, told))["mail"] == ("delivered", None)


async def test_what_was_read_here_is_not_mailed(hub: Hub, published: Draft, at: At) -> None:
    person = await reader(hub, published)
    done(await person.post("/v1/notifications/-/read", {"up_to_seq": 1}))

    await at(later(hours=1))

    assert await told_by_mail(hub, person) == []


async def test_forty_at_once_are_one_letter(hub: Hub, published: Draft, at: At) -> None:
    person = await reader(hub, published)
    async with read() as db:
        await db.run(
            """WITH told AS (
                INSERT INTO notification.notifications (id, user_id, seq, occasion_id, notice_slug, category, severity,
                    org_id, course_id, title, body, url, state, created_at)
                SELECT gen_random_uuid(), user_id, seq + n, gen_random_uuid(), notice_slug, category, severity, org_id,
                    course_id, title, body, url, state, created_at + n * interval '1 s'
                FROM notification.notifications, generate_series(1, 39) AS n WHERE user_id = $1 RETURNING *
            ), planned AS (
                INSERT INTO notification.deliveries
                    (id, notification_id, user_id, channel, shard, state, due_at, created_at, updated_at)
                SELECT gen_random_uuid(), t.id, t.user_id, 'mail', d.shard, 'planned',
                    d.due_at + (t.seq - 1) * interval '1 s', t.created_at, t.created_at
                FROM told t JOIN notification.deliveries d ON d.user_id = t.user_id AND d.channel = 'mail'
            )
            INSERT INTO notification.occasions (id, event_id, notice_slug, payload, user_id, org_id, state, happened_at, created_at)
            SELECT t.occasion_id, gen_random_uuid(), o.notice_slug, o.payload, o.user_id, o.org_id, 'done', t.created_at,
                t.created_at
            FROM told t, notification.occasions o WHERE o.user_id = $1 AND o.notice_slug = t.notice_slug""",
            person.id,
        )

    await at(later(minutes=10, seconds=1))
    await at(later(hours=2))

    [letter] = await told_by_mail(hub, person)
    assert letter.subject == "40 new notifications in Algebra"
    assert letter.text.count("You are enrolled in Algebra") == 40


async def test_over_the_rate_letters_wait_for_one_together(hub: Hub, published: Draft, at: At) -> None:
    person = await reader(hub, published)
    now = later(minutes=11)
    async with read() as db:
        await db.run(
            """INSERT INTO notification.batches (id, user_id, channel, shard, state, claimed_until, created_at)
            SELECT gen_random_uuid(), $1, 'mail', 0, 'done', $2, $2 FROM generate_series(1, 4)""",
            *(person.id, now),
        )
    await at(now)
    await publish_again(published)
    await hub.settle()
    assert await told_by_mail(hub, person) == []
    [_, told] = await inbox(person)
    assert (await deliveries(person, told))["mail"] == ("held", "rate")

    await at(now + timedelta(hours=1))

    assert [letter.subject for letter in await told_by_mail(hub, person)] == ["2 new notifications in Algebra, again"]


async def test_security_is_mailed_at_once_and_alone(hub: Hub, published: Draft, at: At) -> None:
    person = await reader(hub, published)
    await choose(person, do_not_disturb_until=later(hours=5).isoformat())

    again = {"email": person.email, "password": PASSWORD}
    done(await hub.guest.post("/v1/sessions", again, headers={"User-Agent": "Firefox/140.0 (Linux)"}), 201)
    await hub.settle()

    [letter] = await told_by_mail(hub, person)
    assert letter.subject == "New sign-in: Firefox on Linux"


async def test_nothing_is_mailed_to_an_address_that_nobody_confirmed(hub: Hub, published: Draft, at: At) -> None:
    person = await learner(hub, published)
    await hub.settle()

    await at(later(hours=1))

    [told] = await inbox(person)
    assert (await deliveries(person, told))["mail"] == ("skipped", "no_address")
    assert await told_by_mail(hub, person) == []


async def test_a_killed_sender_writes_no_second_letter(hub: Hub, published: Draft, at: At) -> None:
    person = await reader(hub, published)
    await at(later(minutes=11))
    async with read() as db:
        await db.run(
            "UPDATE notification.deliveries SET state = 'sending' WHERE user_id = $1 AND channel = 'mail'", person.id
        )
        await db.run("UPDATE notification.batches SET state = 'sending' WHERE user_id = $1", person.id)

    await at(later(minutes=30))

    [letter] = await told_by_mail(hub, person)
    [told] = await inbox(person)
    assert (letter.subject, (await deliveries(person, told))["mail"]) == (
        "You are enrolled in Algebra",
        ("delivered", None),
    )


async def test_a_letter_that_bounced_is_the_last_until_an_address_works(hub: Hub, published: Draft, at: At) -> None:
    person = await reader(hub, published)
    await at(later(minutes=11))
    [letter] = await told_by_mail(hub, person)
    await _say(
        LetterBounced(letter_id=_id(letter), org_id=None, user_id=person.id, template="x", hard=True, status="5.1.1")
    )
    await hub.settle()
    await publish_again(published)
    await hub.settle()

    await at(later(hours=3))

    newest, note, first = await inbox(person)
    assert [note["title"], (await deliveries(person, newest))["mail"]] == [
        "Letters do not reach you",
        ("skipped", "bounced"),
    ]
    assert (await deliveries(person, first))["mail"] == ("failed", "bounced")
    assert (await deliveries(person, note))["mail"] == ("skipped", "not_offered")
    assert len(await told_by_mail(hub, person)) == 1
    assert done(await person.get("/v1/notification-preferences/me"))["mail_works"] is False


async def test_who_unsubscribed_in_a_letter_subscribes_here_again(hub: Hub, published: Draft, at: At) -> None:
    person = await reader(hub, published)
    await at(later(minutes=11))
    [letter] = await told_by_mail(hub, person)
    org_id = published.school.org_id
    await _say(
        LetterUnsubscribed(
            letter_id=_id(letter), org_id=org_id, user_id=person.id, template="notification.one", category="learning"
        )
    )
    await hub.settle()
    await publish_again(published)
    await hub.settle()
    [told, _] = await inbox(person)
    assert (await deliveries(person, told))["mail"] == ("skipped", "off")

    await choose(person, categories={"learning": {"mail": "at_once"}})
    await publish_again(published, "Algebra, once more")
    await hub.settle()
    await at(later(hours=3))

    assert (await told_by_mail(hub, person))[0].subject == "There is something new in Algebra, once more"
    assert len(await titles(person)) == 3
    async with read() as db:
        left = await db.value("SELECT unsubscribed FROM notification.preferences WHERE user_id = $1", person.id)
    assert left == []


def _id(letter: Letter) -> Any:
    return UUID(letter.id)


async def _say(event: object) -> None:
    async with write(platform("email")) as tx:
        emit(tx, event, version=99)
