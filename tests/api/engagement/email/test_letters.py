"""Letters: taken once, handed over to a mail server, tried again, stopped, forgotten."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from api.engagement.email import privacy
from api.engagement.email.contract import EmailCalls, LetterState, TooManyAtOnce
from api.engagement.email.delivery import logic as delivery
from api.engagement.email.delivery import transport
from api.engagement.email.delivery.message import letter_of_return_path
from api.engagement.email.letter import logic
from cluster.base.ids import new_id
from cluster.base.principal import platform
from cluster.data import read
from cluster.people.calls import client
from cluster.people.erasure import Erasing
from tests.api.engagement.email.conftest import Relay, letter, make_due, send, somebody, state_of
from tests.api.engagement.email.mail_server import CUT, STALL
from tests.harness import Hub, School, done, problem


async def test_a_letter_arrives_as_html_and_text_with_one_id(hub: Hub, relay: Relay) -> None:
    to = somebody()
    new = letter(to, name="Ada <b>&")

    states = await send(new)
    await hub.settle()

    [taken] = relay.server.to(to)
    message = taken.message
    assert states == [LetterState(id=new.id, state="queued")]
    assert await state_of(new.id) == ("sent", None)
    assert message["Subject"] == "News for Ada <b>&"
    assert message["From"] == "LearningHub <no-reply@127.0.0.1>"
    assert message["Message-ID"] == f"<{new.id}@127.0.0.1>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert taken.text.split() == [
        "Dear",
        "Ada",
        "<b>&,",
        "read:",
        "https://school.example/x",
        "&",
        "smile",
        "LearningHub",
    ]
    assert "Dear Ada &lt;b&gt;&amp;" in taken.html
    assert letter_of_return_path(taken.return_path) == new.id
    assert letter_of_return_path(taken.return_path.replace("bounce+", "bounce+0")) is None
    assert letter_of_return_path(taken.return_path.replace("@", "ü@")) is None


async def test_sending_again_changes_nothing(hub: Hub, relay: Relay) -> None:
    to = somebody()
    new = letter(to)
    await send(new, new)
    await hub.settle()

    states = await send(replace(new, to=somebody()))
    await hub.settle()

    assert states == [LetterState(id=new.id, state="sent")]
    assert len(relay.server.to(to)) == 1


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"template": "auth.unknown"}, "no service offers the template auth.unknown"),
        ({"fields": {"name": "Ada"}}, "email.note needs the fields url too"),
        ({"to": "ada@people.example\r\nBcc: eve@people.example"}, "to: "),
        ({"to": "ada"}, "to: "),
        ({"fields": {"name": "Ada\r\nBcc: eve@people.example", "url": ""}}, "the subject holds a line break"),
        ({"fields": {"name": "a" * 50_000_000, "url": ""}}, "the field name has more than 20,000 characters"),
    ],
)
async def test_send_refuses_a_letter_by_name_and_takes_the_others(hub: Hub, changed: dict[str, Any], why: str) -> None:
    bad, good = replace(letter(somebody()), **changed), letter(somebody())

    refused, taken = await send(bad, good)

    assert (refused.state, taken.state) == ("refused", "queued")
    assert refused.reason is not None
    assert why in refused.reason
    await client(EmailCalls).cancel([good.id])


async def test_send_refuses_more_than_500_letters_at_once(hub: Hub) -> None:
    with pytest.raises(TooManyAtOnce):
        await send(*[letter("ada@people.example")] * 501)


async def test_what_a_server_defers_is_tried_again_under_the_same_id(hub: Hub, relay: Relay) -> None:
    to = somebody("busy.example")
    relay.server.answers("RCPT", to, f"450 4.2.0 <{to}> is busy")
    relay.server.answers("DATA", to, STALL, CUT)
    new = letter(to)
    await send(new)

    await hub.settle()
    async with read() as db:
        pace = await db.value("SELECT pace FROM email.destinations WHERE domain = 'busy.example' AND lane = 'personal'")
    assert await state_of(new.id) == ("deferred", "4.2.0 <<recipient>> is busy")
    assert pace == 5, "450 asks for fewer at once"
    for _ in range(3):
        await make_due(new.id)
        await hub.settle()

    assert await state_of(new.id) == ("sent", None)
    # The server took it before it cut the connection: it cannot be told whether it did.
    assert [each.message["Message-ID"] for each in relay.server.to(to)] == [f"<{new.id}@127.0.0.1>"] * 2
    async with read() as db:
        outcomes = await db.rows(
            "SELECT number, outcome, code FROM email.attempts WHERE letter_id = $1 ORDER BY number", new.id
        )
    assert [tuple(row) for row in outcomes] == [
        (1, "deferred", 450),
        (2, "deferred", None),
        (3, "deferred", None),
        (4, "sent", 250),
    ]


async def test_a_letter_that_nobody_takes_for_two_days_bounces(hub: Hub, relay: Relay) -> None:
    to = somebody()
    relay.server.answers("RCPT", to, "450 4.2.2 mailbox full")
    new = letter(to)
    await send(new)
    async with read() as db:
        await db.run("UPDATE email.letters SET created_at = now() - interval '3 days' WHERE id = $1", new.id)

    await hub.settle()

    assert await state_of(new.id) == ("bounced", "nobody took it for two days: 4.2.2 mailbox full")


async def test_a_bounced_reset_stops_the_next_bulk_letter_and_no_reset(hub: Hub, relay: Relay) -> None:
    to = somebody()
    relay.server.answers("RCPT", to, f"550 5.1.1 no {to} here")
    reset, news, again = letter(to, "email.way_in"), letter(to, "email.news"), letter(to, "email.way_in")
    await send(reset)
    await hub.settle()

    await send(news, again)
    await hub.settle()

    assert await state_of(reset.id) == ("bounced", "5.1.1 no <recipient> here")
    assert await state_of(news.id) == ("suppressed", None)
    assert await state_of(again.id) == ("sent", None)


async def test_a_bounce_is_told_without_an_address(hub: Hub, relay: Relay) -> None:
    to = somebody()
    relay.server.answers("RCPT", to, "550 5.1.1 unknown")
    await send(letter(to, "email.news"))
    await delivery.deliver(platform("email"), "bulk")

    told = await hub.events("letter.bounced", "address.suppressed")
    assert [(each.type, each.payload.get("hard"), each.payload.get("reason")) for each in told] == [
        ("letter.bounced", True, None),
        ("address.suppressed", None, "bounced"),
    ]
    assert to.partition("@")[0] not in str([each.payload for each in told])
    await hub.settle()


async def test_five_soft_bounces_in_a_month_suppress_an_address(hub: Hub, relay: Relay) -> None:
    to = somebody()
    for _ in range(5):
        relay.server.answers("RCPT", to, "552 5.2.2 mailbox full")
        await send(letter(to))
        await hub.settle()
    last = letter(to)

    await send(last)
    await hub.settle()

    assert await state_of(last.id) == ("suppressed", None)


async def test_what_a_server_refuses_says_nothing_about_the_address(hub: Hub, relay: Relay) -> None:
    to = somebody()
    relay.server.answers("DATA", to, "554 5.7.1 looks like spam")
    refused, next_one = letter(to), letter(to)
    await send(refused)
    await hub.settle()

    await send(next_one)
    await hub.settle()

    assert await state_of(refused.id) == ("refused", "5.7.1 looks like spam")
    assert await state_of(next_one.id) == ("sent", None)


async def test_letters_wait_while_no_mail_server_answers(
    hub: Hub, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering = transport.settings()
    away = replace(answering, smtp_urls=("smtp://127.0.0.1:1",))
    monkeypatch.setattr(transport, "settings", lambda: away)
    new = letter(somebody())
    await send(new)

    await hub.settle()
    async with read() as db:
        job = await db.value("SELECT attempts FROM hub.jobs WHERE kind = 'email.deliver_personal' AND state = 'queued'")
    waiting = await state_of(new.id)
    monkeypatch.setattr(transport, "settings", lambda: replace(answering, smtp_urls=(*away.smtp_urls, relay.url)))
    await make_due(new.id)
    await hub.settle()

    assert waiting == ("queued", None)
    assert job == 0, "an outage is no attempt"
    assert await state_of(new.id) == ("sent", None)


async def test_a_letter_is_not_sent_after_its_time_nor_once_it_is_stopped(hub: Hub, relay: Relay) -> None:
    late = letter(somebody(), expires_at=datetime.now(UTC) - timedelta(seconds=1))
    stopped = letter(somebody())
    await send(late, stopped)

    answer = await client(EmailCalls).cancel([stopped.id, new_id()])
    await hub.settle()

    assert answer == [LetterState(id=stopped.id, state="cancelled")]
    assert await state_of(late.id) == ("expired", None)
    assert relay.server.taken == []


async def test_letters_into_accounts_are_forgotten_when_sent_others_in_a_week(hub: Hub, relay: Relay) -> None:
    way_in, note = letter(somebody(), "email.way_in"), letter(somebody())
    await send(way_in, note)
    await hub.settle()
    sealed = "SELECT sealed FROM email.letters WHERE id = $1"
    async with read() as db:
        after = await db.value(sealed, way_in.id), await db.value(sealed, note.id) is not None
        await db.run("UPDATE email.letters SET ended_at = now() - interval '8 days' WHERE id = $1", note.id)

    await hub.run_cron("email.purge")

    async with read() as db:
        later = await db.value(sealed, note.id)
        kept = await db.value("SELECT state FROM email.letters WHERE id = $1", note.id)
    assert after == (None, True)
    assert (later, kept) == (None, "sent")


async def test_administrators_see_how_letters_ended_and_no_words(hub: Hub, relay: Relay, school: School) -> None:
    to = somebody()
    relay.server.answers("RCPT", to, "550 5.1.1 unknown")
    new = letter(to, org_id=school.org_id)
    await send(new)
    await hub.settle()

    listed = done(await school.owner.get("/v1/emails", params={"organization_id": str(school.org_id)}))["items"]
    attempts = done(await school.owner.get(f"/v1/emails/{new.id}/attempts"))

    assert [(each["id"], each["state"], each["domain"]) for each in listed] == [
        (str(new.id), "bounced", "people.example")
    ]
    assert [(each["code"], each["status"], each["reply"]) for each in attempts] == [(550, "5.1.1", "5.1.1 unknown")]
    assert to not in str((listed, attempts))
    problem(await school.owner.post(f"/v1/emails/{new.id}/cancel"), 409, "letter-gone")


async def test_an_erasure_finds_letters_by_address_and_keeps_that_it_wants_none(hub: Hub, relay: Relay) -> None:
    ada = await hub.person("ada")
    relay.server.answers("RCPT", ada.email, "550 5.1.1 unknown")
    to_account, to_address = letter(somebody(), user_id=ada.id), letter(ada.email)
    await send(to_account, to_address)
    await hub.settle()
    request = Erasing(request_id=new_id(), user_id=ada.id, org_id=None, addresses=[ada.email])
    run: Any = type("Run", (), {"principal": platform("email")})()

    await privacy.erase(run, request)

    later = letter(ada.email.upper().replace("PEOPLE.EXAMPLE", "people.example"))
    await send(later)
    await hub.settle()
    async with read() as db:
        assert await db.value("SELECT count(*) FROM email.letters WHERE id = $1", to_address.id) == 0
    assert await state_of(later.id) == ("suppressed", None)


async def test_the_mailbox_shows_on_a_laptop_alone(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    to = somebody()
    new = letter(to)
    await send(new)
    await hub.settle()

    [shown] = await hub.letters(to)

    assert (shown.id, shown.subject, await state_of(new.id)) == (str(new.id), "News for Ada", ("sent", None))
    present = logic.settings()
    for changed in ({"local_mail": False}, {"public_url": "https://learn.school.example"}):
        elsewhere = replace(present, **cast(Any, changed))
        monkeypatch.setattr(logic, "settings", lambda elsewhere=elsewhere: elsewhere)
        problem(await hub.guest.get("/v1/emails/-/mailbox"), 404, "not-found")
