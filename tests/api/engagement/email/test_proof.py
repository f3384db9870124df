"""Who vouches for an answer: headers that our own mail server wrote, never those that came with the message."""

from dataclasses import replace
from email.policy import SMTP

import pytest

from api.engagement.email.receiving import proof
from cluster.base.settings import settings
from tests.api.engagement.email.conftest import PEOPLE, Relay
from tests.api.engagement.email.dns_server import DnsServer
from tests.api.engagement.email.incoming import answer_of, asked, hand_over, outcome, signed_by
from tests.harness import Hub, problem

pytestmark = pytest.mark.usefixtures("zone")

OURS = "mx.school.example"
RECEIVED = "Received: from mail.people.example ([192.0.2.7]) by mx.school.example; Mon, 3 Nov 2031 10:00:00 +0000"
FOREIGN = "Received: from evil.example ([192.0.2.9]) by mx.evil.example; Mon, 3 Nov 2031 09:59:00 +0000"
UNPROVEN = ("held", "neither DKIM nor SPF shows that it comes from there")


def results(authserv_id: str = OURS, domain: str = PEOPLE, result: str = "pass") -> str:
    return f"Authentication-Results: {authserv_id}; spf={result} smtp.mailfrom={domain}"


@pytest.fixture
def named(zone: DnsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two mail servers of ours write results."""
    both = replace(proof.settings(), authserv_id=f"{OURS} mx2.school.example")
    monkeypatch.setattr(proof, "settings", lambda: both)


@pytest.mark.usefixtures("named")
@pytest.mark.parametrize(
    "head",
    [
        [results(), RECEIVED],
        [results().replace(OURS, "MX.School.Example"), RECEIVED],
        [results("mx2.school.example"), RECEIVED, FOREIGN],
        ["Received-SPF: pass", results("mx.relay.example", result="fail"), results(), RECEIVED],
        [results(domain="ada@people.example").replace("; spf", ";\r\n spf"), RECEIVED],
    ],
)
async def test_an_answer_counts_when_our_server_noted_spf(hub: Hub, relay: Relay, head: list[str]) -> None:
    taken, _ = await asked(hub, relay)
    content = "\r\n".join(head).encode() + b"\r\n" + answer_of(taken).as_bytes(policy=SMTP)

    answer = await outcome(await hand_over(hub, str(taken.message["Reply-To"]), content))
    await hub.settle()

    assert answer == ("accepted", None)


@pytest.mark.usefixtures("named")
@pytest.mark.parametrize(
    "head",
    [
        [RECEIVED, results()],
        [RECEIVED, results(), FOREIGN],
        [RECEIVED, "Received: from localhost by mx.school.example", results()],
        [results()],
        [results("mx.evil.example"), RECEIVED],
        [results("mx.evil.example; x.school.example"), RECEIVED],
        [results("school.example"), RECEIVED],
        [results(result="softfail"), RECEIVED],
        [results(domain="evil.example"), RECEIVED],
        [results(domain="sub.people.example"), RECEIVED],
        [results().replace("smtp.mailfrom", "smtp.helo"), RECEIVED],
        [f"Authentication-Results: {OURS}; dkim=pass header.d={PEOPLE}", RECEIVED],
        ["Authentication-Results: ;;;(", RECEIVED],
    ],
)
async def test_an_answer_is_held_on_results_of_others(hub: Hub, relay: Relay, head: list[str]) -> None:
    taken, _ = await asked(hub, relay)
    content = "\r\n".join(head).encode() + b"\r\n" + answer_of(taken).as_bytes(policy=SMTP)

    answer = await outcome(await hand_over(hub, str(taken.message["Reply-To"]), content))
    heard = await hub.events("email.received")
    await hub.settle()

    assert answer == UNPROVEN
    assert heard == []


@pytest.mark.usefixtures("named")
async def test_an_answer_is_held_when_its_envelope_is_anothers(hub: Hub, relay: Relay) -> None:
    taken, _ = await asked(hub, relay)
    content = f"{results()}\r\n{RECEIVED}\r\n".encode() + answer_of(taken).as_bytes(policy=SMTP)

    answers = [
        await outcome(await hand_over(hub, str(taken.message["Reply-To"]), content, mail_from=each))
        for each in ("eve@evil.example", "ada@sub.people.example")
    ]
    await hub.settle()

    assert answers == [UNPROVEN] * 2


async def test_an_answer_needs_dkim_while_no_server_is_named(
    hub: Hub, relay: Relay, zone: DnsServer, key: tuple[bytes, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = replace(settings(), dns_server=proof.settings().dns_server, authserv_id="")
    monkeypatch.setattr(proof, "settings", lambda: nobody)
    taken, _ = await asked(hub, relay)
    address, answer = str(taken.message["Reply-To"]), answer_of(taken)
    forged = f"Authentication-Results: ; spf=pass smtp.mailfrom={PEOPLE}\r\n{results()}\r\n{RECEIVED}\r\n".encode()
    zone.fails = True
    away = await hand_over(hub, address, forged + signed_by(key, answer))
    zone.fails = False

    held = await outcome(await hand_over(hub, address, forged + answer.as_bytes(policy=SMTP)))
    proven = await outcome(await hand_over(hub, address, forged + signed_by(key, answer)))
    await hub.settle()

    problem(away, 503)
    assert (held, proven) == (UNPROVEN, ("accepted", None))
