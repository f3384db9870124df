"""Everybody reads what they are told in their language, by their clock."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api.engagement.notification.announcement.ending import COURSE, ORGANIZATION
from api.engagement.notification.spreading.notices import offered
from api.media.video_processing.film.faults import MESSAGES
from cluster.base.ids import UserId, new_id
from cluster.base.services import table
from cluster.people.access import Role
from cluster.people.notices import Reader
from cluster.people.wording import fallbacks, patterns, say, words_of
from tests.api.engagement.notification.conftest import (
    PushService,
    choose,
    inbox,
    publish_again,
    titles,
    with_browser,
)
from tests.api.learning.course.conftest import Draft
from tests.api.platform.moderation.conftest import Court, court
from tests.harness import PASSWORD, Hub, Person, done

__all__ = ["court"]
At = Callable[[datetime], Any]
LOCALES = ("de",)
"""Beside English."""


async def speaking(hub: Hub, locale: str, zone: str = "Europe/Berlin") -> Person:
    """Let somebody read another language."""
    person = await hub.person(f"reader-{locale}".lower())
    profile = await person.get(f"/v1/users/{person.id}")
    changes = {"locale": locale, "time_zone": zone}
    done(await person.patch(f"/v1/users/{person.id}", changes, headers={"If-Match": profile.headers["ETag"]}))
    return person


async def enrol(person: Person, run_id: str) -> None:
    done(await person.post("/v1/enrollments", {"run_id": run_id}), 201)


async def test_each_reads_the_same_event_in_their_language(hub: Hub, published: Draft) -> None:
    austrian, french, english = await speaking(hub, "de-AT"), await speaking(hub, "fr"), await hub.person("english")
    starts_at = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=20)
    new = {"course_id": published.id, "title": "Spring", "starts_at": starts_at.isoformat()}
    run = done(await published.owner.post("/v1/runs", new), 201)
    for person in (austrian, french, english):
        await enrol(person, run["id"])
    await hub.settle()
    await hub.run_cron("course.remind")
    await hub.settle()

    assert await titles(austrian) == ["Morgen geht es los: Algebra", "Du bist eingeschrieben in Algebra"]
    assert (
        await titles(french) == await titles(english) == ["It begins tomorrow: Algebra", "You are enrolled in Algebra"]
    )
    begins = {
        person.id: say(
            "course",
            "course.run_starting",
            "body",
            Reader(user_id=person.id, locale=locale, time_zone=zone),
            starts_at=starts_at,
        )
        for person, locale, zone in ((austrian, "de-AT", "Europe/Berlin"), (english, "en", "UTC"))
    }
    assert [(await inbox(person))[0]["body"] for person in (austrian, english)] == list(begins.values())


def test_a_time_is_written_by_the_clock_and_the_form_of_the_reader() -> None:
    at = datetime(2031, 5, 4, 20, 0, tzinfo=UTC)
    written = {
        (locale, zone): say(
            "course",
            "course.run_starting",
            "body",
            Reader(user_id=UserId(new_id()), locale=locale, time_zone=zone),
            starts_at=at,
        ).replace("\u202f", " ")
        for locale, zone in (
            *(("de", "Europe/Berlin"), ("en-GB", "Europe/London"), ("en-US", "America/New_York")),
            *(("xx-YY", "Nowhere/At_All"), ("ja", "Asia/Tokyo")),
        )
    }

    assert written == {
        ("de", "Europe/Berlin"): "Beginn: 4. Mai 2031, 22:00 CEST.",
        ("en-GB", "Europe/London"): "It begins on 4 May 2031, 21:00 BST.",
        ("en-US", "America/New_York"): "It begins on May 4, 2031, 4:00 PM EDT.",
        ("xx-YY", "Nowhere/At_All"): "It begins on May 4, 2031, 8:00 PM UTC.",
        ("ja", "Asia/Tokyo"): "It begins on May 5, 2031, 5:00 AM JST.",
    }


@pytest.mark.parametrize(
    ("locale", "count", "title"),
    [
        ("en", 1, "1 new notification in Biology 1"),
        ("en", 1200, "1,200 new notifications in Biology 1"),
        ("de-CH", 1, "1 neue Nachricht in Biology 1"),
        ("de", 1200, "1.200 neue Nachrichten in Biology 1"),
    ],
)
def test_a_count_takes_its_plural_form(locale: str, count: int, title: str) -> None:
    reader = Reader(user_id=UserId(new_id()), locale=locale)

    assert say("notification", "digest", "of_course", reader, count=count, course="Biology 1") == title


def test_a_name_with_braces_stays_as_it_is_written() -> None:
    reader = Reader(user_id=UserId(new_id()), locale="en")

    said = say("course", "course.enrolled", "title", reader, course="{course.__class__} {0}")

    assert said == "You are enrolled in {course.__class__} {0}"


async def test_a_digest_says_what_is_in_it_by_course(hub: Hub, published: Draft, push: PushService, at: At) -> None:
    person = await speaking(hub, "de")
    [confirm] = await hub.letters(person.email)
    done(await person.post("/v1/users/me/verify-email", {"token": confirm.token}))
    await choose(person, do_not_disturb_until=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
    browser = await with_browser(push, person)
    await enrol(person, published.course["default_run_id"])
    for number in range(3):
        await publish_again(published, f"Algebra {number}")
        await hub.settle()
    again = {"email": person.email, "password": PASSWORD}
    done(await hub.guest.post("/v1/sessions", again, headers={"User-Agent": "Firefox/140.0 (Linux)"}), 201)
    teacher_of = {"role": "assistant"}
    done(await published.owner.put(f"{published.path}/staff/{person.id}", teacher_of))
    await hub.settle()

    await at(datetime.now(UTC) + timedelta(hours=2))

    assert [message["title"] for message in browser.messages] == [
        "Neue Anmeldung: Firefox unter Linux",
        "5 neue Nachrichten in Algebra 2",
    ]
    letter = (await hub.letters(person.email))[0]
    assert letter.subject == "5 neue Nachrichten in Algebra 2"
    assert letter.text.index("Algebra 2") < letter.text.index("Du bist eingeschrieben in Algebra 2")
    assert "Du hast eine Rolle erhalten: Assistenz: sieht die Arbeitsfassung und die Lernenden" in letter.text


def test_every_notice_has_words_in_every_language() -> None:
    services = {each.service for each in offered().values()}
    for service in services:
        english = dict(patterns(words_of(service)["en"]))
        for locale in LOCALES:
            translated = dict(patterns(words_of(service)[locale]))
            assert {path: translated.get(path) for path in english} == english, (service, locale)
            assert {path[0] for path in translated} - {path[0] for path in english} <= {"role", "fault"}
    for name, each in offered().items():
        if name in (COURSE, ORGANIZATION):
            # Staff write these.
            continue
        assert (name, "title") in dict(patterns(words_of(each.service)["en"]))


def test_names_of_roles_and_faults_of_films_are_translated() -> None:
    from cluster.base.registry import offers_by_service

    for locale in LOCALES:
        faults = words_of("video_processing")[locale]["fault"]
        assert set(MESSAGES) <= set(faults)
        roles = {(service, name) for service in table() for name in words_of(service).get(locale, {}).get("role", {})}
        assert roles == {(service, role.name) for service, role in offers_by_service(Role)}


def test_languages_are_looked_for_from_the_nearest() -> None:
    assert fallbacks("zh-Hant-TW") == ["zh-Hant-TW", "zh-Hant", "zh", "en"]
    assert fallbacks("en-GB") == ["en-GB", "en"]


async def test_a_decision_of_moderation_is_told_in_german(hub: Hub, court: Court, push: PushService, at: At) -> None:
    author = court.author
    profile = await author.get(f"/v1/users/{author.id}")
    changes = {"locale": "de-AT", "time_zone": "Europe/Vienna"}
    done(await author.patch(f"/v1/users/{author.id}", changes, headers={"If-Match": profile.headers["ETag"]}))
    browser = await with_browser(push, author)
    await court.report()
    await hub.settle()

    await court.decide("remove")

    told = next(each for each in await inbox(author) if each["title"] == "Über etwas von dir wurde entschieden")
    assert told["body"].startswith("Es wurde entfernt. Regel: ")
    assert told["body"].endswith("The summary insults a class. Du kannst dich innerhalb von sechs Monaten beschweren.")
    assert (told["title"], told["body"][:300]) in [(each["title"], each["body"]) for each in browser.messages]
