"""Where a mail server hands over what it received: one message as the body, its envelope in signed headers."""

import asyncio
import hashlib
import hmac
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import orjson
from starlette.datastructures import Headers
from starlette.responses import Response

from api.engagement.email.contract import InboundRefused, MailTooLarge
from api.engagement.email.receiving import logic
from api.engagement.email.receiving.logic import Envelope
from cluster.base.problems import NotFound, RequestTimeout
from cluster.base.settings import settings

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PATH = "/v1/emails/-/inbound"
MOST_BYTES = 25 * 1024 * 1024
WITHIN_S = 300
_READ_S = 120.0


def signature_of(secret: str, *, timestamp: str, mail_from: str, rcpt_to: str, sha256: str) -> str:
    """Return the signature of an envelope and the SHA-256 of its message, both in hexadecimal (HMAC-SHA-256)."""
    signed = "\n".join((timestamp, mail_from, rcpt_to, sha256))
    return hmac.digest(secret.encode(), signed.encode(), "sha256").hex()


async def receive_mail(scope: Scope, receive: Receive, send: Send) -> None:
    """Take one message.

    Raises:
        NotFound: this platform receives no mail.
        InboundRefused, MailTooLarge
    """
    secret = settings().inbound_secret
    if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "POST" or not secret:
        raise NotFound("no such path; POST mail here after HUB_INBOUND_SECRET is set (docs/operate.md)")
    headers = Headers(scope=scope)
    envelope = _envelope(headers, secret)
    try:
        content = await asyncio.wait_for(_body(headers, receive), _READ_S)
    except TimeoutError:
        raise RequestTimeout(
            f"send the whole message within {_READ_S:.0f} s", headers={"Connection": "close"}
        ) from None
    if not hmac.compare_digest(hashlib.sha256(content).hexdigest(), headers.get("x-hub-content-sha256", "")):
        raise InboundRefused("the body has another SHA-256 than X-Hub-Content-SHA256 says")
    result = await logic.receive(envelope, content)
    answer = {"state": result.state, "reason": result.reason}
    await Response(orjson.dumps(answer), media_type="application/json")(scope, receive, send)


def _envelope(headers: Headers, secret: str) -> Envelope:
    """Check the signature before anything of the body is read."""
    timestamp, mail_from, rcpt_to, sha256, signature = (
        headers.get(f"x-hub-{name}", "")
        for name in ("timestamp", "envelope-from", "envelope-to", "content-sha256", "signature")
    )
    expected = signature_of(secret, timestamp=timestamp, mail_from=mail_from, rcpt_to=rcpt_to, sha256=sha256)
    if not signature.isascii() or not hmac.compare_digest(expected, signature):
        raise InboundRefused("X-Hub-Signature is not that of the other headers under HUB_INBOUND_SECRET")
    if not timestamp.isdigit() or abs(time.time() - int(timestamp[:12])) > WITHIN_S:
        raise InboundRefused("X-Hub-Timestamp is more than five minutes from now: set the clock, or sign anew")
    return Envelope(mail_from=mail_from, rcpt_to=rcpt_to)


async def _body(headers: Headers, receive: Receive) -> bytes:
    declared = headers.get("content-length", "0")
    if not declared.isdigit() or int(declared[:20]) > MOST_BYTES:
        raise _too_large()
    content = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise InboundRefused("the connection ended before the message did")
        content += message.get("body", b"")
        if len(content) > MOST_BYTES:
            raise _too_large()
        if not message.get("more_body"):
            return bytes(content)


def _too_large() -> MailTooLarge:
    return MailTooLarge(
        f"a message has at most {MOST_BYTES:,} bytes", headers={"Connection": "close"}, limit_bytes=MOST_BYTES
    )
