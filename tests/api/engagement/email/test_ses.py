"""What Amazon SES tells: notices that SNS signed change letters once, all others change nothing."""

import base64
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.policy import SMTP
from typing import Any

import httpx
import orjson
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa

from api.engagement.email.receiving import door, sns
from api.engagement.email.receiving.door import PATH
from cluster.base.principal import platform
from cluster.base.settings import settings
from cluster.data import read, write
from tests.api.engagement.email.conftest import PEOPLE, Relay, letter, send, somebody, state_of
from tests.api.engagement.email.dns_server import DnsServer
from tests.api.engagement.email.incoming import answer_of, arrived, asked, outcome, report, signed_by
from tests.api.engagement.email.mail_server import Taken
from tests.api.engagement.email.sns_server import TOPIC, SnsServer
from tests.harness import Hub, problem


@pytest.fixture
async def amazon(zone: DnsServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SnsServer]:
    """SNS on the one port that is open to tests; one topic of it is ours."""
    url = f"http://127.0.0.1:{settings().outbound_loopback_port}"
    server, app = SnsServer(url), web.Application()
    app.router.add_get("/{path:.*}", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", settings().outbound_loopback_port).start()
    named = replace(door.settings(), ses_topics=frozenset({TOPIC}))
    for module in (door, sns):
        monkeypatch.setattr(module, "settings", lambda: named)
    monkeypatch.setattr(sns, "_kept", {})
    yield server
    await runner.cleanup()


async def post(hub: Hub, content: bytes, kind: str = "Notification") -> httpx.Response:
    headers = {"Content-Type": "text/plain; charset=UTF-8", sns.TYPE_HEADER: kind}
    return await hub.guest.client.post(PATH, content=content, headers=headers)


def bounce(taken: Taken, kind: str = "Permanent", status: str | None = "5.1.1", **mail: Any) -> str:
    recipient = {"emailAddress": taken.to, "action": "failed"} | ({} if status is None else {"status": status})
    told = {"bounceType": kind, "bounceSubType": "General", "bouncedRecipients": [recipient], "feedbackId": "1"}
    return orjson.dumps({"notificationType": "Bounce", "bounce": told, "mail": mail_of(taken) | mail}).decode()


def mail_of(taken: Taken) -> dict[str, Any]:
    return {
        "messageId": "0102018f",
        "source": taken.return_path,
        "destination": [taken.to],
        "headers": [{"name": name, "value": str(value)} for name, value in taken.message.items()],
    }


@pytest.mark.parametrize("version", ["1", "2"])
async def test_a_permanent_bounce_counts_once(hub: Hub, relay: Relay, amazon: SnsServer, version: str) -> None:
    new = letter(somebody())
    taken = await arrived(hub, relay, new)
    notice = amazon.notice(bounce(taken), version=version, fields={"Subject": "Amazon SES Email Event Notification"})

    answers = [await outcome(await post(hub, notice)) for _ in range(2)]
    told = await hub.events("letter.bounced")
    await hub.settle()
    news = letter(new.to, "email.news")
    await send(news)
    await hub.settle()

    assert answers == [("accepted", "failed 5.1.1")] * 2
    assert [(each.payload["hard"], each.payload["status"]) for each in told] == [(True, "5.1.1")]
    assert await state_of(new.id) == ("bounced", "it came back: 5.1.1")
    assert (await state_of(news.id))[0] == "suppressed"
    assert amazon.asked == ["/sns.pem"]


async def test_a_transient_bounce_leaves_the_address_in_use(hub: Hub, relay: Relay, amazon: SnsServer) -> None:
    full, away = letter(somebody()), letter(somebody())
    first, second = await arrived(hub, relay, full), await arrived(hub, relay, away)

    answers = [
        await outcome(await post(hub, amazon.notice(text)))
        for text in (bounce(first, "Transient", "4.2.2"), bounce(second, "Transient", None))
    ]
    told = await hub.events("letter.bounced")
    await hub.settle()
    later = letter(full.to, "email.news")
    await send(later)
    await hub.settle()

    assert answers == [("accepted", "failed 4.2.2"), ("ignored", "no mail server reports that it did not arrive")]
    assert [(each.payload["letter_id"], each.payload["hard"]) for each in told] == [(str(full.id), False)]
    assert [(await state_of(each.id))[0] for each in (full, away, later)] == ["bounced", "sent", "sent"]


async def test_notices_record_deliveries_and_complaints(hub: Hub, relay: Relay, amazon: SnsServer) -> None:
    new = letter(somebody())
    taken = await arrived(hub, relay, new)
    delivery = {"eventType": "Delivery", "delivery": {"recipients": [new.to]}, "mail": mail_of(taken)}
    complaint = {
        "eventType": "Complaint",
        "complaint": {"complaintFeedbackType": "abuse", "complainedRecipients": [{"emailAddress": new.to}]},
        "mail": mail_of(taken),
    }
    other = {"eventType": "Open", "mail": mail_of(taken)}

    states = []
    for each in (delivery, other, complaint, delivery, complaint):
        answer = await outcome(await post(hub, amazon.notice(orjson.dumps(each).decode())))
        states.append((answer[0], (await state_of(new.id))[0]))
    told = await hub.events("letter.complained")
    await hub.settle()

    assert states == [
        ("accepted", "delivered"),
        ("ignored", "delivered"),
        ("accepted", "complained"),
        ("accepted", "complained"),
        ("accepted", "complained"),
    ]
    assert [each.payload["letter_id"] for each in told] == [str(new.id)]


async def test_notices_find_their_letter_by_what_ses_keeps(hub: Hub, relay: Relay, amazon: SnsServer) -> None:
    letters = [letter(somebody()) for _ in range(5)]
    taken = [await arrived(hub, relay, each) for each in letters]
    known_as = f"0102018f-{letters[3].id}"
    async with write(platform("email")) as tx:
        await tx.run(
            "INSERT INTO email.handed_over (carrier_id, letter_id) VALUES ($id, $letter_id)",
            id=known_as,
            letter_id=letters[3].id,
        )
    ours = [
        {"name": "X-Letter", "value": taken[1].return_path},
        {"name": "Message-ID", "value": "<0102018f@ses.example>"},
    ]
    by_id = [{"name": "Message-ID", "value": f"<{letters[2].id}@127.0.0.1>"}]
    forged = taken[4].return_path.replace("bounce+", "bounce+0")[:-1]
    texts = [
        bounce(taken[0], headers=[]),
        bounce(taken[1], source="no-reply@school.example", headers=ours),
        bounce(taken[2], source="", headers=by_id),
        bounce(taken[3], messageId=known_as, source="no-reply@school.example", headers=[]),
        bounce(taken[4], source=forged, headers=[{"name": "Message-ID", "value": f"<{letters[4].id}>"}]),
        bounce(taken[4], source="bounce+ü@x", headers=[{"name": "X-Letter", "value": "bounce+" + "0" * 32 + ".ü@x"}]),
    ]

    answers = [await outcome(await post(hub, amazon.notice(each))) for each in texts]
    await hub.settle()

    assert answers[:4] == [("accepted", "failed 5.1.1")] * 4
    assert answers[4:] == [("ignored", "it is about no letter of ours")] * 2
    assert [(await state_of(each.id))[0] for each in letters] == ["bounced"] * 4 + ["sent"]


async def test_a_notice_waits_for_a_letter_under_way(hub: Hub, relay: Relay, amazon: SnsServer) -> None:
    new = letter(somebody())
    taken = await arrived(hub, relay, new)
    async with read() as db:
        await db.run("UPDATE email.letters SET state = 'sending' WHERE id = $1", new.id)

    early = await post(hub, amazon.notice(bounce(taken)))
    async with read() as db:
        await db.run("UPDATE email.letters SET state = 'sent' WHERE id = $1", new.id)

    problem(early, 503)
    assert await outcome(await post(hub, amazon.notice(bounce(taken)))) == ("accepted", "failed 5.1.1")
    await hub.settle()


async def test_a_notice_by_an_id_waits_until_that_is_recorded(hub: Hub, relay: Relay, amazon: SnsServer) -> None:
    new = letter(somebody())
    taken = await arrived(hub, relay, new)
    now = datetime.now(UTC)
    known_as = f"0102018f-{new.id}"

    def told_at(at: datetime | None, **mail: Any) -> bytes:
        timestamp = {} if at is None else {"timestamp": at.isoformat().replace("+00:00", "Z")}
        known: dict[str, Any] = {"messageId": known_as, "source": "no-reply@school.example", "headers": []}
        return amazon.notice(bounce(taken, **(known | timestamp | mail)))

    early = await post(hub, told_at(now))
    others = [
        await outcome(await post(hub, each))
        for each in (told_at(now - timedelta(minutes=6)), told_at(None), told_at(now, messageId=""))
    ]
    async with write(platform("email")) as tx:
        await tx.run(
            "INSERT INTO email.handed_over (carrier_id, letter_id) VALUES ($id, $letter_id)",
            id=known_as,
            letter_id=new.id,
        )
    later = await outcome(await post(hub, told_at(now)))
    await hub.settle()

    problem(early, 503)
    assert early.headers["Retry-After"] == "15"
    assert others == [("ignored", "it is about no letter of ours")] * 3
    assert later == ("accepted", "failed 5.1.1")


def received(to: list[str], content: bytes, *, spf: str = "PASS", encoding: str = "BASE64") -> str:
    text = base64.b64encode(content).decode() if encoding == "BASE64" else content.decode()
    receipt = {
        "recipients": to,
        "spfVerdict": {"status": spf},
        "dkimVerdict": {"status": "PASS"},
        "action": {"type": "SNS", "topicArn": TOPIC, "encoding": encoding},
    }
    told = {
        "notificationType": "Received",
        "mail": {"source": f"ada@{PEOPLE}", "headers": []},
        "receipt": receipt,
        "content": text,
    }
    return orjson.dumps(told).decode()


async def test_received_mail_reaches_who_listens_once(
    hub: Hub, relay: Relay, amazon: SnsServer, key: tuple[bytes, str]
) -> None:
    taken, new = await asked(hub, relay)
    address, signed = str(taken.message["Reply-To"]), signed_by(key, answer_of(taken))
    plain = answer_of(taken, "Tuesday works.\n").as_bytes(policy=SMTP)
    notices = [
        amazon.notice(received(["office@school.example", address], signed)),
        amazon.notice(received([address], plain, encoding="UTF-8")),
        amazon.notice(received([address], plain.replace(b"Tuesday", b"Friday"), spf="FAIL")),
        amazon.notice(received([taken.return_path], report(taken))),
    ]

    answers = [await outcome(await post(hub, each)) for each in notices for _ in range(2)]
    told = await hub.events("email.received")
    await hub.settle()

    unproven = ("held", "neither DKIM nor SPF shows that it comes from there")
    expected = [("accepted", None), ("accepted", None), unproven, ("accepted", "failed 5.1.1")]
    assert answers == [each for each in expected for _ in range(2)]
    assert [each.payload["user_id"] for each in told] == [str(new.user_id)] * 2


async def test_received_mail_does_not_vouch_for_itself(hub: Hub, relay: Relay, amazon: SnsServer) -> None:
    taken, _ = await asked(hub, relay)
    head = f"Authentication-Results: mx.school.example; spf=pass smtp.mailfrom={PEOPLE}\r\nReceived: by x\r\n"
    content = head.encode() + answer_of(taken).as_bytes(policy=SMTP)

    answer = await outcome(
        await post(hub, amazon.notice(received([str(taken.message["Reply-To"])], content, spf="FAIL")))
    )
    await hub.settle()

    assert answer[0] == "held"


async def test_a_subscription_is_confirmed_at_sns_alone(hub: Hub, amazon: SnsServer) -> None:
    kind = "SubscriptionConfirmation"
    asking = f"/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=t0"

    def notice(url: str, kind: str = kind) -> bytes:
        return amazon.notice("hello", fields={"Type": kind, "Token": "t0", "SubscribeURL": url})

    confirmed = await post(hub, notice(f"{amazon.url}{asking}"), kind)
    elsewhere = [
        await post(hub, notice(each), kind)
        for each in (
            f"https://evil.example{asking}",
            f"https://sns.us-east-1.amazonaws.com{asking}",
            f"https://sns.eu-central-1.amazonaws.com:8443{asking}",
            f"https://sns.eu-central-1.amazonaws.com@evil.example{asking}",
            f"https://sns.eu-central-1.amazonaws.com.evil.example{asking}",
            f"http://169.254.169.254{asking}",
            f"{amazon.url}/?Action=DeleteTopic&TopicArn={TOPIC}",
            f"{amazon.url}/?Action=ConfirmSubscription&TopicArn={TOPIC}2",
        )
    ]
    ended = await post(hub, notice(f"{amazon.url}{asking}", "UnsubscribeConfirmation"))

    assert await outcome(confirmed) == ("accepted", "subscribed")
    for each in elsewhere:
        problem(each, 403, "inbound-refused")
    assert await outcome(ended) == ("ignored", "unsubscribed")
    assert [each for each in amazon.asked if each != "/sns.pem"] == [asking]


async def test_notices_that_sns_did_not_sign_are_refused(hub: Hub, relay: Relay, amazon: SnsServer) -> None:
    new = letter(somebody())
    text = bounce(await arrived(hub, relay, new))
    stranger = rsa.generate_private_key(65537, 2048)
    forged = [
        amazon.notice(text, key=stranger),
        amazon.notice("{}", changed={"Message": text}),
        amazon.notice(text, changed={"Subject": "x"}),
        amazon.notice(text, changed={"Signature": "!"}),
        amazon.notice(text, changed={"SignatureVersion": "1"}),
        amazon.notice(text, changed={"SignatureVersion": "3"}),
        amazon.notice(text, fields={"TopicArn": "arn:aws:sns:eu-central-1:999999999999:mail"}),
        *(
            amazon.notice(text, cert=each)
            for each in (
                f"{amazon.url}/expired.pem",
                f"{amazon.url}/weak.pem",
                f"{amazon.url}/page.pem",
                f"{amazon.url}/none.pem",
                f"{amazon.url}/sns.pem?x=y",
                f"{amazon.url}/sns.txt",
                "https://evil.example/sns.pem",
                "https://sns.us-east-1.amazonaws.com/sns.pem",
                "https://evil.example/sns.eu-central-1.amazonaws.com/sns.pem",
                "https://sns.eu-central-1.amazonaws.com.evil.example/sns.pem",
                "https://sns.eu-central-1.amazonaws.com@evil.example/sns.pem",
                "http://sns.eu-central-1.amazonaws.com/sns.pem",
                "http://127.0.0.1:1/sns.pem",
                "https://[::1/sns.pem",
            )
        ),
        b"{}",
        b"not JSON",
        b"[" * 100_000,
    ]

    for each in forged:
        problem(await post(hub, each), 403, "inbound-refused")

    assert await state_of(new.id) == ("sent", None)
    problem(await post(hub, b"x" * (1024 * 1024 + 1)), 413, "mail-too-large")


async def test_a_notice_waits_for_a_certificate_that_is_away(hub: Hub, relay: Relay, amazon: SnsServer) -> None:
    new = letter(somebody())
    notice = amazon.notice(bounce(await arrived(hub, relay, new)))
    amazon.fails = True

    problem(await post(hub, notice), 503)
    amazon.fails = False

    assert await outcome(await post(hub, notice)) == ("accepted", "failed 5.1.1")
    await hub.settle()


async def test_a_signed_notice_that_nobody_reads_is_ignored(hub: Hub, amazon: SnsServer) -> None:
    texts = [
        "Successfully validated SNS topic for Amazon SES event publishing.",
        '{"notificationType": "Bounce"}',
        '{"notificationType": "Received", "receipt": null}',
        '{"notificationType": 5}',
        "[]",
    ]

    assert {(await outcome(await post(hub, amazon.notice(each))))[0] for each in texts} == {"ignored"}


async def test_notices_need_a_topic_that_is_ours(hub: Hub, amazon: SnsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = replace(door.settings(), ses_topics=frozenset[str]())
    monkeypatch.setattr(door, "settings", lambda: closed)

    problem(await post(hub, amazon.notice("{}")), 404)
