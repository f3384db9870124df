"""Several carriers: SES beside a mail server, the next one when the first takes no letters, and one of them per try."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, cast
from uuid import UUID

import boto3
import pytest
from aiohttp import web
from moto import mock_aws
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ses.models import ses_backends

from api.engagement.email.delivery import logic as delivery
from api.engagement.email.delivery import store, transport
from api.engagement.email.delivery.carriers import FAILURES, Carriers, breakers
from api.engagement.email.delivery.ses import reply_of
from api.engagement.email.delivery.transport import CONNECTIONS, Outgoing, RelayAway
from api.engagement.email.rules import Reply, outcome_of, slows_down
from api.engagement.email.sender.signing import Signer, make_keys
from cluster.base import breaker as breaking
from cluster.base.breaker import Breaker
from cluster.base.ids import new_id
from cluster.base.principal import platform
from cluster.base.settings import settings
from cluster.data import read
from tests.api.engagement.email.conftest import Relay, letter, make_due, send, somebody, state_of
from tests.api.engagement.email.dkim_verifying import verified
from tests.api.engagement.email.mail_server import CUT, mail_server
from tests.harness import Hub, School, done

REGION = "eu-west-1"
NOBODY = "smtp://127.0.0.1:1"


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """Nobody was left alone before."""
    breakers.clear()
    yield
    breakers.clear()


@pytest.fixture
def ses() -> Iterator[Any]:
    """A stand-in of SES that takes letters from the platform; what it took."""
    with mock_aws():
        client = cast("Any", boto3).client("sesv2", region_name=REGION)
        client.create_email_identity(EmailIdentity="no-reply@127.0.0.1")
        yield ses_backends[DEFAULT_ACCOUNT_ID][REGION].sent_messages


@dataclass(slots=True)
class Endpoint:
    """Speaks as SES does; while `answer` is None it takes a letter and closes the connection."""

    url: str = ""
    asked: int = 0
    answer: tuple[int, dict[str, str]] | None = None
    codes: list[str] = field(default_factory=list[str])

    async def take(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        await request.read()
        if self.answer is None:
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        status, body = self.answer
        return web.json_response(body, status=status, headers={"x-amzn-ErrorType": body.get("code", "")})


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    found = Endpoint()
    app = web.Application()
    app.router.add_post("/v2/email/outbound-emails", found.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    found.url = f"ses://id:secret@{REGION}?endpoint=http://127.0.0.1:{port}"
    yield found
    await runner.cleanup()


class Answers:
    """A carrier that takes every letter, or none."""

    ascii_only = False
    keeps_content = False
    rewrites_headers = False

    def __init__(self, name: str) -> None:
        self.name = name
        self.away = False
        self.asked = 0

    async def deliver(self, outgoing: Outgoing) -> Reply:
        self.asked += 1
        if self.away:
            raise RelayAway(self.name)
        return Reply(code=250, text="2.0.0 taken", stage="data")

    async def close(self) -> None:
        return


OUTGOING = Outgoing(return_path="bounce@school.example", to="ada@people.example", message=b"")


def use(monkeypatch: pytest.MonkeyPatch, *urls: str) -> None:
    """Have letters go to these carriers."""
    named = replace(settings(), smtp_urls=urls)
    monkeypatch.setattr(transport, "settings", lambda: named)


async def attempts(id: UUID) -> list[tuple[Any, ...]]:
    async with read() as db:
        rows = await db.rows(
            "SELECT outcome, code, carrier FROM email.attempts WHERE letter_id = $1 ORDER BY number", id
        )
    return [tuple(row) for row in rows]


async def test_ses_takes_letters_and_its_id_leads_back(
    hub: Hub, ses: Any, school: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, f"ses://id:secret@{REGION}")
    new = letter(somebody(), org_id=school.org_id, name="Ñandú")
    await send(new)

    await hub.settle()
    [taken] = [each for each in ses if str(new.id) in each.raw_data]
    async with read() as db:
        found = await store.find_handed_over(db, taken.id)
        unknown = await store.find_handed_over(db, "0100")
    shown = done(await school.owner.get(f"/v1/emails/{new.id}/attempts"))

    assert await state_of(new.id) == ("sent", None)
    assert (found, unknown) == (new.id, None)
    assert [(each["code"], each["carrier"]) for each in shown] == [(250, f"ses://{REGION}")]
    assert taken.destinations[0] == new.to


async def test_a_second_carrier_takes_what_the_first_is_away_for(
    hub: Hub, relay: Relay, ses: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, NOBODY, f"ses://id:secret@{REGION}")
    first = [letter(somebody(f"d{number}.example")) for number in range(4)]
    await send(*first)
    await hub.settle()
    opened = breakers[NOBODY].open_s
    away = f"ses://id:secret@{REGION}?endpoint=http://127.0.0.1:1"
    use(monkeypatch, away, relay.url)
    second = letter(somebody())

    await send(second)
    await hub.settle()

    assert {(await state_of(each.id))[0] for each in first} == {"sent"}
    assert [await attempts(each.id) for each in first] == [[("sent", 250, f"ses://{REGION}")]] * 4
    assert opened > 0, "it is left alone for a while"
    assert await attempts(second.id) == [("sent", 250, relay.url)]


async def test_an_address_goes_to_the_carrier_that_takes_it(
    hub: Hub, relay: Relay, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    news = [letter(f"{new_id().hex}ü@people.example") for _ in range(4)]
    with mail_server(utf8=False) as (plain, plain_url):
        for new, urls in zip(
            news,
            (
                (endpoint.url, plain_url, relay.url),
                (endpoint.url, plain_url),
                (endpoint.url,),
                (endpoint.url, NOBODY),
            ),
            strict=True,
        ):
            use(monkeypatch, *urls)
            await send(new)
            await hub.settle()

    outcomes = [await attempts(each.id) for each in news]
    assert outcomes[0] == [("sent", 250, relay.url)]
    assert outcomes[1:3] == [[("refused", 550, None)]] * 2
    assert outcomes[3] == [("deferred", None, None)], "the one that is away may take it"
    assert (endpoint.asked, plain.taken) == (0, [])
    assert [each.failures for name, each in breakers.items() if name != NOBODY] == [0, 0, 0]


async def test_a_lost_answer_hands_a_letter_to_nobody_else_in_that_try(
    hub: Hub, relay: Relay, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, endpoint.url, relay.url)
    new = letter(somebody())
    await send(new)

    asked: list[tuple[int, int]] = []
    for _ in range(3):
        await make_due(new.id)
        await hub.settle()
        asked.append((endpoint.asked, len(relay.server.to(new.to))))
    await make_due(new.id)
    await hub.settle()

    assert asked == [(1, 0), (2, 0), (3, 0)]
    assert (endpoint.asked, len(relay.server.to(new.to))) == (3, 1), "after three it is left alone"
    lost = ("deferred", None, f"ses://{REGION}")
    assert await attempts(new.id) == [lost, lost, lost, ("sent", 250, relay.url)]


async def test_a_cut_connection_hands_a_letter_to_nobody_else_in_that_try(
    hub: Hub, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = somebody()
    relay.server.answers("DATA", to, CUT)
    with mail_server() as (second, url):
        use(monkeypatch, relay.url, url)
        new = letter(to)
        await send(new)
        await hub.settle()

        taken = len(relay.server.to(to)), len(second.to(to))

    assert taken == (1, 0)
    assert await attempts(new.id) == [("deferred", None, relay.url)]


async def test_a_carrier_that_dies_repeats_only_what_it_left_unanswered(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    news = [letter(somebody(f"d{number % 5}.example"), "email.news") for number in range(200)]
    with mail_server() as (second, second_url):
        with mail_server() as (first, first_url):
            use(monkeypatch, first_url, second_url)
            await send(*news)
            handing_over = asyncio.create_task(delivery.deliver(platform("email"), "bulk"))
            assert await asyncio.to_thread(first.wait_for, 40)
        await handing_over
        async with asyncio.timeout(60):
            while {await state_of(each.id) for each in news} != {("sent", None)}:
                for each in news:
                    if (await state_of(each.id))[0] == "deferred":
                        await make_due(each.id)
                await hub.settle()

    times = Counter(each.message["Message-ID"] for each in (*first.taken, *second.taken))
    twice = {name for name, count in times.items() if count > 1}
    lost = {each.id for each in news if None in [code for _, code, _ in await attempts(each.id)]}
    assert len(first.taken) < len(news), "it died while it worked"
    assert set(times) == {f"<{each.id}@127.0.0.1>" for each in news}
    assert max(times.values()) <= 2
    assert twice <= {f"<{id}@127.0.0.1>" for id in lost}, "each is counted as a try without a code"
    assert len(lost) <= CONNECTIONS


async def test_an_account_that_is_paused_is_no_fault_of_a_letter(
    hub: Hub, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint.answer = (400, {"code": "SendingPausedException", "message": "paused"})
    use(monkeypatch, endpoint.url)
    new = letter(somebody())
    await send(new)
    await hub.settle()
    waiting = await state_of(new.id), await attempts(new.id)
    endpoint.answer = (200, {"MessageId": f"id-{new.id}"})

    await make_due(new.id)
    await hub.settle()

    assert waiting == (("queued", None), [])
    assert await state_of(new.id) == ("sent", None)
    async with read() as db:
        assert await store.find_handed_over(db, f"id-{new.id}") == new.id


@pytest.mark.parametrize(
    ("code", "message", "status", "outcome", "enhanced"),
    [
        ("TooManyRequestsException", "Maximum sending rate exceeded.", 429, "deferred", "4.3.2"),
        ("InternalServerError", "", 500, "deferred", "4.4.2"),
        ("MailFromDomainNotVerifiedException", "x", 400, "deferred", "4.7.1"),
        ("NotFoundException", "Configuration set <x> does not exist.", 404, "deferred", "4.3.5"),
        ("MessageRejected", "Email address is not verified.", 400, "deferred", "4.7.1"),
        ("MessageRejected", "Illegal content", 400, "refused", "5.6.0"),
        ("BadRequestException", "Illegal address <Ada@people.example>", 400, "bounced", "5.1.3"),
        ("BadRequestException", "ToAddresses has an illegal address", 400, "bounced", "5.1.3"),
        ("BadRequestException", "Illegal address in FeedbackForwardingEmailAddress", 400, "refused", "5.6.0"),
        ("BadRequestException", "Missing final '@domain' of an address", 400, "refused", "5.6.0"),
        ("BadRequestException", "Header too long", 400, "refused", "5.6.0"),
    ],
)
def test_what_ses_refuses_reads_as_smtp(code: str, message: str, status: int, outcome: str, enhanced: str) -> None:
    reply = reply_of(code, message, status, OUTGOING.to)

    assert (outcome_of(reply), reply.status) == (outcome, enhanced)
    assert slows_down(reply) or status != 429


@pytest.mark.parametrize("code", ["AccountSuspendedException", "SignatureDoesNotMatch", "TooManyRequestsException"])
def test_an_account_that_may_send_nothing_is_away(code: str) -> None:
    with pytest.raises(RelayAway, match=re.escape(code)):
        reply_of(code, "Daily message quota exceeded", 400, OUTGOING.to)


def test_a_signature_holds_when_ses_writes_its_own_id_and_date() -> None:
    sender_id = new_id()
    keys = make_keys(sender_id, 1)
    signer = Signer("school.example", keys.selector, keys.rsa, keys.ed25519)
    records = {
        f"{keys.selector}._domainkey.school.example": [f"v=DKIM1; k=rsa; p={keys.rsa_public}"],
        f"{keys.selector}e._domainkey.school.example": [f"v=DKIM1; k=ed25519; p={keys.ed25519_public}"],
    }
    message = b"From: a@school.example\r\nDate: Sun, 4 May 2031 20:00:00 +0000\r\nMessage-ID: <1@x>\r\n\r\nHello\r\n"

    def rewritten(signed: bytes) -> bytes:
        return signed.replace(b"<1@x>", b"<2@amazonses.com>").replace(b"20:00:00", b"20:00:01")

    held = verified(rewritten(signer.sign(message, at_s=0, rewritten=True)), records)
    broken = verified(rewritten(signer.sign(message, at_s=0)), records)

    assert held == {"rsa-sha256": True, "ed25519-sha256": True}
    assert broken == {"rsa-sha256": False, "ed25519-sha256": False}


async def test_a_carrier_that_is_not_asked_keeps_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(breaking, "clock", lambda: now)
    first, second = Answers("first"), Answers("second")
    both = Carriers([first, second])
    first.away = second.away = True
    for _ in range(3):
        with pytest.raises(RelayAway):
            await both.deliver(OUTGOING)
    now, first.away = 31.0, False
    for _ in range(2):
        await both.deliver(OUTGOING)
    first.away = second.away = True
    first.asked = second.asked = 0

    with pytest.raises(RelayAway):
        await both.deliver(OUTGOING)
    second.away = False
    taken = await both.deliver(OUTGOING)

    assert taken.carrier == "second"
    assert (first.asked, second.asked) == (2, 2)


def test_a_breaker_lets_one_letter_through_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(breaking, "clock", lambda: now)
    breaker = Breaker(FAILURES)
    for _ in range(3):
        breaker.failed()
    shut = breaker.wait_s()
    now = 31.0

    probe, other = breaker.wait_s(), breaker.wait_s()
    breaker.answered()

    assert (shut, probe, other) == (30.0, 0.0, 60.0)
    assert breaker.wait_s() == 0.0
