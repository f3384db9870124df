"""Where mail is handed over: by a mail server, one message as the body, its envelope in signed headers; or by Amazon SES."""

import asyncio
import hashlib
import hmac
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import orjson
from starlette.datastructures import Headers
from starlette.responses import Response

from api.engagement.email.contract import InboundRefused, MailTooLarge
from api.engagement.email.receiving import logic, ses, sns
from api.engagement.email.receiving.logic import Envelope, Result
from api.engagement.email.receiving.sns import TYPE_HEADER
from cluster.base.problems import NotFound, RequestTimeout
from cluster.base.settings import settings

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

log = logging.getLogger(__name__)

PATH = "/v1/emails/-/inbound"
MOST_BYTES = 25 * 1024 * 1024
_MOST_NOTICE_BYTES = 1024 * 1024
"""SNS sends 256 KiB at most, which quotes and escapes make longer."""
WITHIN_S = 300
_READ_S = 120.0


def signature_of(secret: str, *, timestamp: str, mail_from: str, rcpt_to: str, sha256: str) -> str:
    """Return the signature of an envelope and the SHA-256 of its message, both in hexadecimal (HMAC-SHA-256)."""
    signed = "\n".join((timestamp, mail_from, rcpt_to, sha256))
    return hmac.digest(secret.encode(), signed.encode(), "sha256").hex()


async def receive_mail(scope: Scope, receive: Receive, send: Send) -> None:
    """Take one message, or what SES tells of one.

    Raises:
        NotFound: this platform receives no mail.
        InboundRefused, MailTooLarge
    """
    headers = Headers(scope=scope)
    from_sns = TYPE_HEADER in headers
    expected = settings().ses_topics if from_sns else settings().inbound_secret
    if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "POST" or not expected:
        needed = "HUB_SES_TOPICS" if from_sns else "HUB_INBOUND_SECRET"
        raise NotFound(f"no such path; POST mail here after {needed} is set (docs/operate.md)")
    result = await (_take_notice(headers, receive) if from_sns else _take_mail(headers, receive))
    answer = {"state": result.state, "reason": result.reason}
    await Response(orjson.dumps(answer), media_type="application/json")(scope, receive, send)


async def _take_mail(headers: Headers, receive: Receive) -> Result:
    envelope = _envelope(headers, settings().inbound_secret)
    content = await _read(headers, receive, MOST_BYTES)
    if not hmac.compare_digest(hashlib.sha256(content).hexdigest(), headers.get("x-hub-content-sha256", "")):
        raise InboundRefused("the body has another SHA-256 than X-Hub-Content-SHA256 says")
    return await logic.receive(envelope, content)


async def _take_notice(headers: Headers, receive: Receive) -> Result:
    message = await sns.read_message(await _read(headers, receive, _MOST_NOTICE_BYTES))
    match message.type:
        case "Notification":
            return await ses.take(message.message)
        case "SubscriptionConfirmation":
            await sns.confirm(message)
            return Result("accepted", "subscribed")
        case "UnsubscribeConfirmation":
            log.warning("SES tells nothing more on a topic: subscribe it again", extra={"topic": message.topic_arn})
            return Result("ignored", "unsubscribed")


def _envelope(headers: Headers, secret: str) -> Envelope:
    """Check the signature before anything of the body is read."""
    timestamp, mail_from, rcpt_to, sha256, signature = (
        headers.get(f"x-hub-{name}", "")
        for name in ("timestamp", "envelope-from", "envelope-to", "content-sha256", "signature")
    )
    expected = signature_of(secret, timestamp=timestamp, mail_from=mail_from, rcpt_to=rcpt_to, sha256=sha256)
    if not signature.isascii() or not hmac.compare_digest(expected, signature):
        raise InboundRefused("X-Hub-Signature is not that of the other headers under HUB_INBOUND_SECRET")
    if not (timestamp.isascii() and timestamp.isdigit()) or abs(time.time() - int(timestamp[:12])) > WITHIN_S:
        raise InboundRefused("X-Hub-Timestamp is more than five minutes from now: set the clock, or sign anew")
    return Envelope(mail_from=mail_from, rcpt_to=rcpt_to)


async def _read(headers: Headers, receive: Receive, limit: int) -> bytes:
    try:
        return await asyncio.wait_for(_body(headers, receive, limit), _READ_S)
    except TimeoutError:
        raise RequestTimeout(
            f"send the whole message within {_READ_S:.0f} s", headers={"Connection": "close"}
        ) from None


async def _body(headers: Headers, receive: Receive, limit: int) -> bytes:
    declared = headers.get("content-length", "0")
    if not (declared.isascii() and declared.isdigit()) or int(declared[:20]) > limit:
        raise _too_large(limit)
    content = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise InboundRefused("the connection ended before the message did")
        content += message.get("body", b"")
        if len(content) > limit:
            raise _too_large(limit)
        if not message.get("more_body"):
            return bytes(content)


def _too_large(limit: int) -> MailTooLarge:
    return MailTooLarge(f"a message has at most {limit:,} bytes", headers={"Connection": "close"}, limit_bytes=limit)
