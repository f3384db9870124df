"""Mail that comes in: reports suppress, answers reach whoever wrote, and nobody else's."""

import base64
import time
from dataclasses import replace
from email.policy import SMTP
from typing import Any
from uuid import UUID

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from api.engagement.email.contract import EmailCalls, ReceivedId
from api.engagement.email.receiving import door
from api.engagement.email.receiving.door import MOST_BYTES
from cluster.base.settings import settings
from cluster.people.calls import client
from tests.api.engagement.email.conftest import PEOPLE, Relay, letter, send, somebody, state_of
from tests.api.engagement.email.dns_server import DnsServer
from tests.api.engagement.email.incoming import (
    answer_of,
    arrived,
    asked,
    feedback,
    hand_over,
    outcome,
    report,
    signed_by,
)
from tests.harness import Hub, problem

pytestmark = pytest.mark.usefixtures("zone")


async def test_a_bounce_that_comes_back_stops_the_next_bulk_letter(hub: Hub, relay: Relay) -> None:
    to = somebody()
    reset = letter(to, "email.way_in")
    taken = await arrived(hub, relay, reset)
    await outcome(await hand_over(hub, taken.return_path, report(taken, action="delayed", status="4.4.1"), ""))
    assert await state_of(reset.id) == ("sent", None)

    answers = [await hand_over(hub, taken.return_path, report(taken), "") for _ in range(2)]
    told = await hub.events("letter.bounced")
    await hub.settle()
    news, way_in = letter(to, "email.news"), letter(to, "email.way_in")
    await send(news, way_in)
    await hub.settle()

    assert [await outcome(answer) for answer in answers] == [("accepted", "failed 5.1.1")] * 2
    assert await state_of(reset.id) == ("bounced", "it came back: 5.1.1")
    assert [(each.payload["hard"], each.payload["status"]) for each in told] == [(True, "5.1.1")]
    assert [(await state_of(each.id))[0] for each in (news, way_in)] == ["suppressed", "sent"]


async def test_five_soft_reports_in_a_month_suppress_an_address(hub: Hub, relay: Relay) -> None:
    to = somebody()
    for number in range(5):
        assert [len(relay.server.to(to))] == [number]
        taken = await arrived(hub, relay, letter(to))
        await hand_over(hub, taken.return_path, report(taken, status="5.2.2"), "")
        await hub.settle()

    last = letter(to)
    await send(last)
    await hub.settle()
    assert (await state_of(last.id))[0] == "suppressed"


async def test_a_complaint_suppresses_for_good_and_an_opt_out_a_kind(hub: Hub, relay: Relay) -> None:
    angry, tired = somebody(), somebody()
    first = await arrived(hub, relay, letter(angry, "email.news", category="digest"))
    second = await arrived(hub, relay, letter(tired, "email.news", category="digest"))
    forged = feedback(first).replace(
        first.message["X-Letter"].encode(), b"bounce+" + b"0" * 32 + b"." + b"a" * 16 + b"@x.example"
    )
    await outcome(await hand_over(hub, "feedback@127.0.0.1", forged))
    assert await hub.events("letter.complained") == []

    await outcome(await hand_over(hub, "feedback@127.0.0.1", feedback(first)))
    await outcome(await hand_over(hub, "feedback@127.0.0.1", feedback(second, "opt-out")))
    told = {each.type for each in await hub.events("letter.complained", "letter.unsubscribed")}
    await hub.settle()
    later = [letter(angry), letter(tired), letter(tired, "email.news", category="digest")]
    await send(*later)
    await hub.settle()

    assert told == {"letter.complained", "letter.unsubscribed"}
    assert [(await state_of(each.id))[0] for each in later] == ["suppressed", "sent", "suppressed"]


async def test_an_answer_reaches_who_listens_with_its_new_words_alone(
    hub: Hub, relay: Relay, key: tuple[bytes, str]
) -> None:
    taken, new = await asked(hub, relay)
    address, content = str(taken.message["Reply-To"]), signed_by(key, answer_of(taken))

    answers = [
        await outcome(await hand_over(hub, address.upper() if again else address, content)) for again in (False, True)
    ]
    told = await hub.events("email.received")

    assert answers == [("accepted", None)] * 2
    assert len(address.partition("@")[0]) <= 64
    [envelope] = told
    received = await client(EmailCalls).find_received(ReceivedId(UUID(envelope.payload["received_id"])))
    assert received is not None and new.reply is not None  # noqa: PT018
    assert (received.text, received.subject_id, received.user_id) == (
        "Monday works.",
        new.reply.subject_id,
        new.user_id,
    )
    assert taken.to not in str(envelope.payload)
    assert new.user_id is not None
    assert (await hub.erased(new.user_id, "email")).outcome == "done"
    assert await client(EmailCalls).find_received(received.id) is None
    await hub.settle()


async def test_an_answer_that_ed25519_alone_signs_is_accepted(hub: Hub, relay: Relay, zone: DnsServer) -> None:
    taken, _ = await asked(hub, relay)
    private = ed25519.Ed25519PrivateKey.generate()
    public = base64.b64encode(private.public_key().public_bytes_raw()).decode()
    zone.records[f"short._domainkey.{PEOPLE}"] = [f"v=DKIM1; k=ed25519; p={public}"]
    content = answer_of(taken).as_bytes(policy=SMTP)
    key, algorithm = base64.b64encode(private.private_bytes_raw()), b"ed25519-sha256"
    signature: bytes = dkim.sign(content, b"short", PEOPLE.encode(), key, signature_algorithm=algorithm)

    answer = await outcome(await hand_over(hub, str(taken.message["Reply-To"]), signature + content))

    assert answer == ("accepted", None)


async def test_an_answer_that_is_not_proven_is_held_and_its_sender_told(
    hub: Hub, relay: Relay, key: tuple[bytes, str]
) -> None:
    taken, _ = await asked(hub, relay)
    address, eve = str(taken.message["Reply-To"]), somebody(PEOPLE)
    unsigned = answer_of(taken).as_bytes(policy=SMTP)
    tampered = signed_by(key, answer_of(taken)).replace(b"Monday", b"Friday")
    forged_result = answer_of(taken, Authentication_Results=f"mx.evil.example; spf=pass smtp.mailfrom={taken.to}")
    foreign = signed_by(key, answer_of(taken, From=eve))

    reasons = [
        await outcome(await hand_over(hub, address, content))
        for content in (unsigned, tampered, forged_result.as_bytes(policy=SMTP), foreign)
    ]
    heard = await hub.events("email.received")
    await hub.settle()

    assert {state for state, _ in reasons} == {"held"}
    assert heard == []
    assert [each.message["Subject"] for each in relay.server.to(taken.to)[1:]] == ["Your answer was not passed on"]
    assert "another address" in relay.server.to(eve)[0].text
    await hub.settle()


async def test_receiving_refuses_what_no_person_answers(hub: Hub, relay: Relay, key: tuple[bytes, str]) -> None:
    taken, _ = await asked(hub, relay)
    address = str(taken.message["Reply-To"])
    bomb = b"From: a@b.example\r\n" + b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n' * 5000
    two = answer_of(taken, From=f"a@b.example, {taken.to}")
    cases = [
        (address, answer_of(taken, Auto_Submitted="auto-replied").as_bytes(policy=SMTP), "ignored"),
        (address, answer_of(taken, Precedence="bulk").as_bytes(policy=SMTP), "ignored"),
        (address, two.as_bytes(policy=SMTP), "refused"),
        (address, bomb, "refused"),
        (address, b"x: y\n" * 10_000, "refused"),
        (address, signed_by(key, answer_of(taken, "> Dear Ada\n")), "refused"),
        (f"x{address[1:]}", signed_by(key, answer_of(taken)), "refused"),
        (address.replace("+", "+0"), signed_by(key, answer_of(taken)), "refused"),
        ("bounce+x@127.0.0.1", report(taken), "refused"),
        (taken.return_path, signed_by(key, answer_of(taken)), "ignored"),
    ]

    states = [(await outcome(await hand_over(hub, to, content)))[0] for to, content, _ in cases]

    assert states == [state for _, _, state in cases]
    assert await hub.events("email.received", "letter.bounced") == []


async def test_receiving_rejects_what_the_mail_server_did_not_sign(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"From: a@b.example\r\n\r\nx"
    old = str(int(time.time()) - 301)

    problem(await hand_over(hub, "talk+x@y", content, signature="0" * 64), 403, "inbound-refused")
    problem(await hand_over(hub, "talk+x@y", content, timestamp=old), 403, "inbound-refused")
    problem(await hand_over(hub, "talk+x@y", content, sha256="0" * 64), 403, "inbound-refused")
    large = await hand_over(hub, "talk+x@y", b"x" * (MOST_BYTES + 1))
    assert problem(large, 413, "mail-too-large")["limit_bytes"] == MOST_BYTES
    closed: Any = replace(settings(), inbound_secret="")
    monkeypatch.setattr(door, "settings", lambda: closed)
    problem(await hand_over(hub, "talk+x@y", content), 404)
