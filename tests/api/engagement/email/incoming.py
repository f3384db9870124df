"""What tests of incoming mail share: reports and answers, and who hands them over."""

import hashlib
import time
from dataclasses import replace
from email.message import EmailMessage
from email.policy import SMTP

import dkim
import httpx

from api.engagement.email.contract import NewLetter, ReplyTo
from api.engagement.email.delivery.message import return_path
from api.engagement.email.receiving.door import PATH, signature_of
from cluster.base.ids import UserId, new_id
from tests.api.engagement.email.conftest import INBOUND_SECRET, PEOPLE, Relay, letter, send, somebody
from tests.api.engagement.email.mail_server import Taken
from tests.harness import Hub


async def hand_over(
    hub: Hub, rcpt_to: str, content: bytes, mail_from: str = "ada@people.example", **changed: str
) -> httpx.Response:
    signed = {
        "timestamp": str(int(time.time())),
        "mail_from": mail_from,
        "rcpt_to": rcpt_to,
        "sha256": hashlib.sha256(content).hexdigest(),
    } | changed
    signature = signed.pop("signature", None) or signature_of(INBOUND_SECRET, **signed)  # pyright: ignore[reportArgumentType]
    headers = {
        "X-Hub-Timestamp": signed["timestamp"],
        "X-Hub-Envelope-From": signed["mail_from"],
        "X-Hub-Envelope-To": signed["rcpt_to"],
        "X-Hub-Content-SHA256": signed["sha256"],
        "X-Hub-Signature": signature,
        "Content-Type": "message/rfc822",
    }
    return await hub.guest.client.post(PATH, content=content, headers=headers)


async def outcome(answer: httpx.Response) -> tuple[str, str | None]:
    assert answer.status_code == 200, answer.text
    return answer.json()["state"], answer.json()["reason"]


def report(taken: Taken, *, action: str = "failed", status: str = "5.1.1") -> bytes:
    return (
        "From: MAILER-DAEMON@mx.people.example\r\nTo: x\r\nSubject: Undelivered\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: text/plain\r\n\r\nSorry.\r\n"
        "--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.people.example\r\n\r\n"
        f"Final-Recipient: rfc822; {taken.to}\r\nAction: {action}\r\nStatus: {status}\r\n\r\n"
        f"--b\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: {taken.message['Message-ID']}\r\n\r\n--b--\r\n"
    ).encode()


def feedback(taken: Taken, kind: str = "abuse") -> bytes:
    return (
        (
            "From: fbl@mx.people.example\r\nMIME-Version: 1.0\r\n"
            'Content-Type: multipart/report; report-type=feedback-report; boundary="b"\r\n\r\n'
            f"--b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: {kind}\r\nVersion: 1\r\n\r\n"
            "--b\r\nContent-Type: message/rfc822\r\n\r\n"
        ).encode()
        + taken.content
        + b"\r\n--b--\r\n"
    )


async def arrived(hub: Hub, relay: Relay, new: NewLetter) -> Taken:
    await send(new)
    await hub.settle()
    return relay.server.to(new.to)[-1]


def signed_by(key: tuple[bytes, str], message: EmailMessage) -> bytes:
    content = message.as_bytes(policy=SMTP)
    made: bytes = dkim.sign(content, b"s1", PEOPLE.encode(), key[0], include_headers=[b"from", b"to", b"subject"])
    return made + content


def answer_of(
    taken: Taken, text: str = "Monday works.\n\nOn Mon, 3 Nov 2026, School wrote:\n> Dear Ada\n", **headers: str
) -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    message["From"] = headers.pop("From", f"Ada <{taken.to}>")
    message["To"] = str(taken.message["Reply-To"])
    message["Subject"] = "Re: News"
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    message.set_content(text)
    return message


async def asked(hub: Hub, relay: Relay) -> tuple[Taken, NewLetter]:
    """Send a letter that may be answered."""
    reply = ReplyTo(route="talk", subject_id=new_id())
    new = replace(letter(somebody(PEOPLE), user_id=UserId(new_id())), reply=reply)
    return await arrived(hub, relay, new), new


def under_way(new: NewLetter) -> Taken:
    """Return a letter as a mail server has it that has not answered yet."""
    path = return_path(new.id, "127.0.0.1")
    head = f"X-Letter: {path}\r\nMessage-ID: <{new.id}@127.0.0.1>\r\nSubject: News\r\n\r\nDear Ada\r\n"
    return Taken(path, new.to, head.encode())
