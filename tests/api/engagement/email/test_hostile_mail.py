"""Mail that was made to hurt: it is refused soon, says nothing in others' headers, and goes round in no circle."""

from email.policy import SMTP

import pytest

from api.engagement.email.receiving.logic import MOST_TOLD
from api.engagement.email.receiving.reading import Unreadable, read
from tests.api.engagement.email.conftest import PEOPLE, Relay, letter, somebody, state_of
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
from tests.harness import Hub

pytestmark = pytest.mark.usefixtures("zone")

MIB = 1024 * 1024
FROM = b"From: Ada <ada@people.example>\r\n"
MIXED = b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
EVIL_TYPES = b"".join(
    b"--b\r\nContent-Type: text/x%d; " % number + b"a*0*=utf-8''%41;" * 60 + b"\r\n\r\nx\r\n" for number in range(99)
)
# Without limits, each of them takes the library minutes or memory without end.
BOMBS = {
    "a million parts": FROM + MIXED + b"--b\r\n\r\n" * (8 * MIB // 7),
    "a million headers in a part": FROM + MIXED + b"--b\r\n" + b"a:b\r\n" * 599_000,
    "a million lines": FROM + b"\r\n" + b"\n" * (20 * MIB),
    "a hundred parts around many lines": FROM
    + b"".join(b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (each, each) for each in range(99))
    + b"x\r\n" * 500_000,
    "messages in messages": FROM + b"Content-Type: message/rfc822\r\n\r\n" * 5000,
    "addresses in comments in comments": b"From: " + b"(" * 900 + b"\r\n\r\nx",
    "types in comments in comments": FROM + MIXED + b"--b\r\nContent-Type: " + b"(" * 900 + b"\r\n\r\nx\r\n",
    "groups in From": b"From: " + b"a:;" * 300 + b"\r\n\r\nx",
    "circles": b"Received: from a by b\r\n" * 101 + FROM + b"\r\nx",
}
# They are read, as far as it goes.
HEAVY = {
    "a long From": b"From: " + b"a," * 100_000 + b"\r\n\r\nx",
    "types with many parameters": FROM + MIXED + EVIL_TYPES,
    "declarations in HTML": FROM + b"Content-Type: text/html\r\n\r\n" + b"<![" * MIB,
    "elements in elements": FROM + b"Content-Type: text/html\r\n\r\n" + b"<blockquote>" * MIB,
    "a report of a million groups": FROM
    + b'Content-Type: multipart/report; boundary="b"\r\n\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n'
    + b"A: b\r\n\r\n" * 290_000,
    "a charset that is none": FROM + b"Content-Type: text/plain; charset=zlib\r\n\r\nx",
    "a charset of names": FROM + b"Content-Type: text/plain; charset=punycode\r\n\r\n" + b"a" * MIB + b"-" + b"b" * MIB,
    "a charset with a NUL": FROM + b'Content-Type: text/plain; charset="a\0b"\r\n\r\nx',
    "nothing": b"",
    "no headers": b"\r\n\r\n",
}


@pytest.mark.parametrize("name", BOMBS)
def test_reading_rejects_what_takes_too_long(name: str) -> None:
    with pytest.raises(Unreadable):
        read(BOMBS[name], "ada@people.example")


@pytest.mark.parametrize("name", HEAVY)
def test_reading_comes_to_an_end(name: str) -> None:
    mail = read(HEAVY[name], "ada@people.example")

    assert (mail.delivery, mail.complaint) == (None, None)
    assert mail.author in (None, "ada@people.example")


def test_reading_takes_a_large_message_with_its_words() -> None:
    attached = b"--b\r\nContent-Transfer-Encoding: base64\r\n\r\n" + (b"QUJD" * 19 + b"\r\n") * 300_000 + b"--b--\r\n"

    mail = read(FROM + MIXED + b"--b\r\n\r\nMonday works.\r\n" + attached, "ada@people.example")

    assert (mail.words, mail.author) == ("Monday works.", "ada@people.example")


async def test_bombs_to_real_addresses_are_refused(hub: Hub, relay: Relay) -> None:
    taken, _ = await asked(hub, relay)

    for each in ("a million parts", "addresses in comments in comments", "circles"):
        for to in (str(taken.message["Reply-To"]), taken.return_path):
            assert (await outcome(await hand_over(hub, to, BOMBS[each])))[0] == "refused"

    assert await hub.events("email.received", "letter.bounced") == []


async def test_a_complaint_is_about_the_letter_that_it_encloses(hub: Hub, relay: Relay) -> None:
    mine, other = letter(somebody()), letter(somebody())
    first, second = await arrived(hub, relay, mine), await arrived(hub, relay, other)
    quoting = feedback(first).replace(b"\r\n--b--", f"\r\nX-Letter: {second.return_path}\r\n--b--".encode())
    folded = feedback(first).replace(b"X-Letter: ", b"X-Letter:\r\n ")
    assert quoting != feedback(first) != folded
    body_alone = quoting.replace(first.message["X-Letter"].encode(), b"x")

    await outcome(await hand_over(hub, "feedback@127.0.0.1", body_alone))
    untouched = [(await state_of(each.id))[0] for each in (mine, other)]
    await outcome(await hand_over(hub, "feedback@127.0.0.1", quoting))
    await outcome(await hand_over(hub, "feedback@127.0.0.1", folded))
    await hub.settle()

    assert untouched == ["sent", "sent"]
    assert [(await state_of(each.id))[0] for each in (mine, other)] == ["complained", "sent"]


async def test_line_ends_in_headers_reach_no_letter(hub: Hub, relay: Relay) -> None:
    taken, _ = await asked(hub, relay)
    address, local = str(taken.message["Reply-To"]), taken.to.partition("@")[0]
    evil = "=?utf-8?q?x=0D=0ABcc:_eve=40evil.example=0D=0A?="
    heads = [
        f"From: {evil} <{taken.to}>",
        f'From: "{evil}" <{taken.to}>',
        f"From: {local}=?utf-8?q?=0D=0A?=@{PEOPLE}",
        f"From: =?utf-8?q?{local}=40{PEOPLE}=0D=0ABcc:_eve=40evil.example?=",
        f"From: <{taken.to}>\r\nMessage-ID: {evil}\r\nSubject: {evil}",
        f"From: <{taken.to}\rBcc: eve@evil.example>",
    ]

    answers = [
        await outcome(await hand_over(hub, address, f"{head}\r\nTo: x\r\n\r\nMonday works.\r\n".encode()))
        for head in heads
    ]
    await hub.settle()

    assert {state for state, _ in answers} <= {"held", "refused"}
    told = [each for each in relay.server.taken if each.message["Subject"] == "Your answer was not passed on"]
    assert not [each.to for each in told if not each.to.isprintable() or "evil.example" in each.to]
    assert [each.message["Bcc"] for each in told] == [None] * len(told)
    assert len({name for each in told for name in each.message}) == len(set(told[0].message))


@pytest.mark.parametrize(
    ("headers", "mail_from"),
    [
        ({"Auto_Submitted": "auto-replied"}, "ada@people.example"),
        ({"Auto_Submitted": "Auto-Generated; type=x"}, "ada@people.example"),
        ({"Precedence": "Junk"}, "ada@people.example"),
        ({"Precedence": "list"}, "ada@people.example"),
        ({"Precedence": "auto_reply"}, "ada@people.example"),
        ({"X_Autoreply": "yes"}, "ada@people.example"),
        ({"List_Id": "<talk.people.example>"}, "ada@people.example"),
        ({}, ""),
        ({}, "<>"),
    ],
)
async def test_programs_get_no_answer(
    hub: Hub, relay: Relay, key: tuple[bytes, str], headers: dict[str, str], mail_from: str
) -> None:
    taken, _ = await asked(hub, relay)
    address, answer = str(taken.message["Reply-To"]), answer_of(taken, **headers)
    before = len(relay.server.taken)

    states = [
        await outcome(await hand_over(hub, address, content, mail_from))
        for content in (signed_by(key, answer), answer.as_bytes(policy=SMTP))
    ]
    heard = await hub.events("email.received")
    await hub.settle()

    assert states == [("ignored", "a program wrote it (RFC 3834)")] * 2
    assert (heard, len(relay.server.taken)) == ([], before)


async def test_our_own_letters_go_round_in_no_circle(hub: Hub, relay: Relay) -> None:
    taken, _ = await asked(hub, relay)
    address = str(taken.message["Reply-To"])
    unproven = [answer_of(taken, f"Monday or day {each}").as_bytes(policy=SMTP) for each in range(3)]

    held = [await outcome(await hand_over(hub, address, each)) for each in unproven]
    await hub.settle()
    [notice] = relay.server.to(taken.to)[1:]
    back = [
        await outcome(await hand_over(hub, address, each.content, mail_from))
        for each in (notice, taken)
        for mail_from in (each.return_path, "")
    ]
    bounced = await outcome(await hand_over(hub, notice.return_path, report(notice), ""))
    again = await outcome(await hand_over(hub, notice.return_path, report(notice), ""))
    await hub.settle()

    assert {state for state, _ in held} == {"held"}
    assert notice.message["Auto-Submitted"] == "auto-generated"
    assert back == [("ignored", "a program wrote it (RFC 3834)")] * 4
    assert bounced == again == ("accepted", "failed 5.1.1")
    assert len(relay.server.to(taken.to)) == 2


async def test_forged_answers_write_to_few_through_us(hub: Hub, relay: Relay) -> None:
    taken, _ = await asked(hub, relay)
    address = str(taken.message["Reply-To"])
    victims = [somebody("victims.example") for _ in range(MOST_TOLD + 3)]

    states = [
        await outcome(await hand_over(hub, address, answer_of(taken, From=each).as_bytes(policy=SMTP)))
        for each in victims
    ]
    await hub.settle()

    assert {state for state, _ in states} == {"held"}
    assert [len(relay.server.to(each)) for each in victims] == [1] * MOST_TOLD + [0] * 3
