"""Text messages: to phones that were confirmed by a code, short, paid for, and never after STOP."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from aiohttp import web
from moto import mock_aws

from api.engagement.notification.delivery import breaker
from api.engagement.notification.delivery import texts as sending
from api.engagement.notification.texting import logic, providers, segments
from api.engagement.notification.texting.providers import Provider
from cluster.base import breaker as breaking
from cluster.base.settings import settings
from cluster.data import read
from cluster.http.outbound import Outbound
from tests.api.engagement.notification.conftest import choose, deliveries, inbox, learner, publish_again
from tests.api.engagement.notification.texting import (
    CONFIRM,
    PHONE,
    Twilio,
    new_number,
    phone_of,
    signed,
    with_phone,
)
from tests.api.learning.course.conftest import Draft
from tests.harness import Hub, done, problem

At = Callable[[datetime], Any]


@pytest.fixture
async def twilio(servers: None, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Twilio]:
    service = Twilio()
    app = web.Application()
    app.router.add_post("/2010-04-01/Accounts/{account}/Messages.json", service.receive)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", settings().outbound_loopback_port).start()
    named = replace(settings(), sms_url=service.url)
    monkeypatch.setattr(providers, "settings", lambda: named)
    yield service
    await runner.cleanup()


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("€" * 80, 1),
        ("€" * 81, 2),
        # An escape does not stand at the end of a segment of 153.
        ("€" * 152, 2),
        ("€" * 153, 3),
        ("я" * 70, 1),
        ("я" * 71, 2),
        ("я" * 134, 2),
        ("я" * 135, 3),
        ("😀" * 35, 1),
        ("😀" * 66, 2),
        ("😀" * 67, 3),
    ],
)
def test_segments_are_counted_in_both_alphabets(text: str, count: int) -> None:
    assert segments.count(text) == count


@pytest.mark.parametrize("words", ["word " * 100, "€[]" * 100, "слово " * 100, "😀" * 200, "short"])
def test_a_long_text_is_cut_to_two_segments_and_keeps_its_link(words: str) -> None:
    link = "https://school.example/courses/0192f3c4-0000-7000-8000-000000000000"

    text = segments.fit(words, link)

    assert text.body.endswith(f"\n{link}")
    assert (text.segments, text.segments <= 2) == (segments.count(text.body), True)
    assert words == "short" or segments.count(text.body.replace("...", "....")) >= 2


async def test_a_phone_is_told_after_its_code_is_confirmed(hub: Hub, published: Draft, twilio: Twilio) -> None:
    person, number = await hub.person("tariq"), new_number()
    spaced = f"{number[:3]} ({number[3:7]}) {number[7:]}"
    assert (await phone_of(person))["offered"] is True

    pending = done(await person.put(PHONE, {"number": spaced}))
    assert (pending["pending_number"], pending["number"]) == (number, None)
    code = twilio.code_of(number)
    wrong = f"{(int(code) + 1) % 1_000_000:06}"
    problem(await person.post(CONFIRM, {"code": wrong}), 422, "phone-code-wrong")
    problem(
        await (await hub.person("other")).post(CONFIRM, {"code": code}),
        422,
        "phone-code-wrong",
    )
    confirmed = done(await person.post(CONFIRM, {"code": code}))
    assert (confirmed["number"], confirmed["pending_number"]) == (number, None)
    await choose(person, categories={"learning": {"sms": "at_once"}})
    done(await person.post("/v1/enrollments", {"run_id": published.course["default_run_id"]}), 201)
    await hub.settle()

    [told] = await inbox(person)
    assert twilio.sent[number][1:] == [f"You are enrolled in Algebra\n{settings().public_url}/courses/{published.id}"]
    assert (await deliveries(person, told))["sms"] == ("delivered", None)
    done(await person.delete(PHONE), 204)
    await publish_again(published)
    await hub.settle()
    assert (await deliveries(person, (await inbox(person))[0]))["sms"] == ("skipped", "no_number")
    assert len(twilio.sent[number]) == 2


async def test_codes_are_few_and_hold_for_few_tries(hub: Hub, twilio: Twilio, monkeypatch: pytest.MonkeyPatch) -> None:
    person, number = await hub.person("tariq"), new_number()
    done(await person.put(PHONE, {"number": number}))
    again = await person.put(PHONE, {"number": number})
    problem(again, 429, "too-many-codes")
    assert 0 < int(again.headers["Retry-After"]) <= 61
    code = twilio.code_of(number)
    for _ in range(logic.MOST_TRIES):
        problem(
            await person.post(CONFIRM, {"code": f"{(int(code) + 1) % 10**6:06}"}),
            422,
        )
    problem(await person.post(CONFIRM, {"code": code}), 422, "phone-code-wrong")

    monkeypatch.setattr(logic, "AGAIN_AFTER", timedelta())
    for _ in range(logic.MOST_CODES - 1):
        done(await person.put(PHONE, {"number": number}))
    problem(await person.put(PHONE, {"number": number}), 429, "too-many-codes")
    # Nor does somebody else's account send more to it.
    problem(await (await hub.person("other")).put(PHONE, {"number": number}), 429, "too-many-codes")
    async with read() as db:
        await db.run("UPDATE notification.phone_codes SET created_at = created_at - interval '11 minutes'")
    problem(
        await person.post(CONFIRM, {"code": twilio.code_of(number)}),
        422,
        "phone-code-wrong",
    )
    assert (await phone_of(person))["pending_number"] is None


@pytest.mark.parametrize("number", ["015112345678", "+49", "+4930123456", "+19005551234", "+999123456789", "words"])
async def test_a_timethat_is_no_mobile_phone_is_refused(hub: Hub, twilio: Twilio, number: str) -> None:
    refused = await (await hub.person("hostile")).put(PHONE, {"number": number})

    assert problem(refused, 422)["errors"][0]["pointer"] == "/number"
    assert twilio.asked == 0


async def test_stop_ends_a_timeand_only_the_provider_may_say_so(
    hub: Hub, published: Draft, twilio: Twilio, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = await learner(hub, published)
    number = await with_phone(twilio, person)
    url = settings().public_url + logic.REPLIES
    reply = {"From": number, "Body": "Stop ", "MessageSid": "SM2", "To": "+15550100"}
    headers = {"Content-Type": "application/x-www-form-urlencoded"}

    async def answer(fields: dict[str, str], signature: str) -> Any:
        content = urlencode(fields).encode()
        return await hub.guest.client.post(
            logic.REPLIES, content=content, headers={**headers, "X-Twilio-Signature": signature}
        )

    problem(await answer(reply, "AAAA"), 403, "reply-refused")
    problem(await answer({**reply, "From": new_number()}, signed(url, reply)), 403, "reply-refused")
    thanks = {**reply, "Body": "Thank you, do not stop"}
    assert (await answer(thanks, signed(url, thanks))).status_code == 200
    assert (await phone_of(person))["ended_at"] is None

    for _ in range(2):
        assert (await answer(reply, signed(url, reply))).status_code == 200

    assert (await phone_of(person))["end_reason"] == "stopped"
    await publish_again(published)
    await hub.settle()
    assert (await deliveries(person, (await inbox(person))[0]))["sms"] == ("skipped", "no_number")
    twilio.stopped.add(number)
    monkeypatch.setattr(logic, "AGAIN_AFTER", timedelta())
    problem(await person.put(PHONE, {"number": number}), 422, "phone-invalid")


async def test_a_text_is_tried_again_and_a_dead_timeends(hub: Hub, published: Draft, twilio: Twilio, at: At) -> None:
    people = [await learner(hub, published, name) for name in ("waiting", "broken", "gone", "stopped")]
    await hub.settle()
    waiting, broken, gone, stopped = [await with_phone(twilio, person) for person in people]
    twilio.answers = {waiting: [(429, {"Retry-After": "120"})], broken: [(500, {}), (503, {})]}
    twilio.unknown.add(gone)
    twilio.stopped.add(stopped)

    await publish_again(published)
    await hub.settle()

    async def states() -> list[tuple[str, str | None]]:
        return [(await deliveries(person, (await inbox(person))[0]))["sms"] for person in people]

    assert await states() == [("planned", "retried")] * 2 + [("skipped", "no_number")] * 2
    assert [(await phone_of(person))["end_reason"] for person in people] == [None, None, "gone", "stopped"]
    now = datetime.now(UTC)
    await at(now + timedelta(seconds=100))
    assert len(twilio.sent[waiting]) == 1
    for seconds in (130, 200, 300):
        await at(now + timedelta(seconds=seconds))
    assert (await states())[:2] == [("delivered", None)] * 2
    assert [len(twilio.sent[number]) for number in (waiting, broken)] == [2, 2]


async def test_a_provider_that_hangs_is_left_alone_and_asked_again(
    hub: Hub, published: Draft, twilio: Twilio, at: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [await learner(hub, published, f"unlucky-{number}") for number in range(3)]
    await hub.settle()
    numbers = [await with_phone(twilio, person) for person in people]
    monkeypatch.setattr(sending, "LIMIT_S", 0.2)
    monkeypatch.setattr(breaker, "FAILURES", 1)
    twilio.mended, twilio.asked = asyncio.Event(), 0
    await publish_again(published)
    await hub.settle()
    await at(datetime.now(UTC) + timedelta(seconds=20))
    asked = twilio.asked
    states = {(await deliveries(person, (await inbox(person))[0]))["sms"] for person in people}
    assert states <= {("planned", "unreachable"), ("planned", "retried")}
    await at(datetime.now(UTC) + timedelta(seconds=21))
    assert twilio.asked == asked

    twilio.mended.set()
    later = breaking.clock() + 3600
    monkeypatch.setattr(breaking, "clock", lambda: later)
    for minutes in (60, 61, 62):
        await at(datetime.now(UTC) + timedelta(minutes=minutes))

    assert [twilio.sent[number][1:] != [] for number in numbers] == [True] * 3
    async with read() as db:
        spent = await db.value(
            "SELECT sum(segments) FROM notification.text_spending WHERE org_id = $1", published.school.org_id
        )
    assert spent == sum(segments.count(body) for number in numbers for body in twilio.sent[number][1:])


async def test_an_organization_sends_no_more_texts_than_it_may(hub: Hub, published: Draft, twilio: Twilio) -> None:
    person = await learner(hub, published)
    await hub.settle()
    number = await with_phone(twilio, person)
    async with read() as db:
        await db.run(
            """INSERT INTO notification.text_spending (month, org_id, segments)
            VALUES (date_trunc('month', now() AT TIME ZONE 'UTC')::date, $1, 999)""",
            published.school.org_id,
        )
    for time in range(2):
        await publish_again(published, f"Algebra {time}" + " and more" * 18)
        await hub.settle()

    newest, before, *_ = await inbox(person)
    assert (await deliveries(person, newest))["sms"] == ("skipped", "budget")
    assert (await deliveries(person, before))["sms"] == ("skipped", "budget")
    await publish_again(published, "Algebra")
    await hub.settle()
    assert (await deliveries(person, (await inbox(person))[0]))["sms"] == ("delivered", None)
    assert len(twilio.sent[number]) == 2


async def test_without_a_provider_texts_are_not_offered(hub: Hub, published: Draft) -> None:
    person = await learner(hub, published)
    await hub.settle()

    assert (await deliveries(person, (await inbox(person))[0]))["sms"] == ("skipped", "not_offered")
    seen = await person.get("/v1/notification-preferences/me")
    assert [each["sms"] for each in seen.json()["categories"]] == [None] * 7
    headers = {"If-Match": seen.headers["ETag"]}
    chosen = {"categories": {"learning": {"sms": "daily"}}}
    refused = await person.patch("/v1/notification-preferences/me", chosen, headers=headers)
    assert problem(refused, 422, "channel-not-offered")["errors"][0]["pointer"] == "/categories/learning/sms"
    problem(await person.put(PHONE, {"number": new_number()}), 409, "texting-off")
    assert (await phone_of(person))["offered"] is False


async def test_texts_are_off_until_chosen_for_security_too(hub: Hub, published: Draft, twilio: Twilio) -> None:
    person = await learner(hub, published)
    await hub.settle()
    seen = done(await person.get("/v1/notification-preferences/me"))["categories"]
    assert [each["sms"] for each in seen] == [{"pace": "off", "locked": False}] * 7
    assert (await deliveries(person, (await inbox(person))[0]))["sms"] == ("skipped", "off")

    changed = await choose(person, categories={"security": {"sms": "at_once"}})

    paces = {each["category"]: each["sms"]["pace"] for each in changed["categories"]}
    assert paces == {**dict.fromkeys(paces, "off"), "security": "at_once"}


@pytest.fixture
def sns() -> Any:
    with mock_aws():
        yield providers.parse("sns://id:secret@eu-west-1?sender=School")


async def test_sns_sends_and_ends_numbers_that_opted_out(sns: Provider) -> None:
    async with Outbound() as outbound:
        sent = await sns.send(outbound, "+4915112345678", "Hello")
        # The stand-in of AWS takes numbers that end so as opted out.
        stopped = await sns.send(outbound, "+4915112345699", "Hello")
        invalid = await sns.send(outbound, "words", "Hello")

    assert (sent.state, sent.status) == ("delivered", 200)
    assert (stopped.state, stopped.ends) == ("skipped", "stopped")
    assert (invalid.state, invalid.ends) == ("skipped", "gone")


@pytest.mark.parametrize("url", ["twilio://api.twilio.com", "twilio://a:b@api.twilio.com", "smtp://x", "sns://"])
def test_a_setting_of_another_form_is_refused_with_the_right_one(url: str) -> None:
    with pytest.raises(RuntimeError, match="HUB_SMS_URL is twilio://"):
        providers.parse(url)
