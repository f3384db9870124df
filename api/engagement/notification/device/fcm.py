"""FCM: messages to apps by Google's HTTP v1 protocol.

Source: Firebase, "Send messages with the FCM HTTP v1 API" and its ErrorCode;
RFC 7523 (the token is asked for by a signed assertion).
"""

import asyncio
import time
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlencode, urlsplit

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from api.engagement.notification.delivery.answers import Answer
from api.engagement.notification.device.keys import WAIT_S, KeyUnusable, private_key, tell_unusable
from api.engagement.notification.device.message import Message, fitting, topic_of
from api.engagement.notification.device.replies import json_of, retry_after_s
from cluster.base.settings import settings
from cluster.http.outbound_urls import OutboundRefused

if TYPE_CHECKING:
    from cluster.http.outbound import Outbound

MAX_BYTES = 4096
"""Of the message without the token. Source: Firebase, "About FCM messages"."""
_SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_EARLIER_S = 300.0
"""A token is renewed so long before it ends."""
_GONE = frozenset(("UNREGISTERED", "SENDER_ID_MISMATCH"))
clock = time.time


class NoToken(Exception):
    """Google gives no token now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    project_id: str
    client_email: str
    private_key_id: str
    private_key: str = field(repr=False)
    token_uri: str


def is_offered() -> bool:
    return bool(settings().fcm_account_file)


def host() -> str:
    return urlsplit(settings().fcm_origin).netloc


@lru_cache(maxsize=4)
def read_account(path: str) -> Account:
    """Read the file of a service account.

    Raises:
        KeyUnusable: it is none.
    """
    try:
        found = cast("dict[str, Any]", orjson.loads(Path(path).read_bytes()))
        account = Account(**{name: str(found[name]) for name in Account.__dataclass_fields__})
        private_key(account.private_key.encode(), RSAPrivateKey)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise KeyUnusable("HUB_FCM_ACCOUNT_FILE is the JSON of a service account, with its private key") from error
    else:
        return account


@dataclass(slots=True)
class Tokens:
    """The token of an account: kept until shortly before its end, and exchanged once for all who ask meanwhile."""

    account: Account
    _text: str | None = None
    _renew_at: float = 0.0
    _exchange: asyncio.Task[None] | None = None

    async def get(self) -> str:
        """Return a token that is valid.

        Raises:
            NoToken: none is given now.
        """
        if self._text is None or clock() >= self._renew_at:
            if self._exchange is None or self._exchange.done():
                self._exchange = asyncio.create_task(self._renew())
                self._exchange.add_done_callback(_noted)
            # Who waits may give up: the others want it still.
            await asyncio.shield(self._exchange)
        assert self._text is not None
        return self._text

    def drop(self, text: str) -> None:
        """Forget a token that was refused, unless there is a newer one."""
        if self._text == text:
            self._text = None

    async def _renew(self) -> None:
        import aiohttp

        from cluster.http.outbound import Outbound

        now = int(clock())
        claims = {"iss": self.account.client_email, "scope": _SCOPE, "aud": self.account.token_uri}
        assertion = jwt.encode(
            {**claims, "iat": now, "exp": now + 3600},
            self.account.private_key,
            algorithm="RS256",
            headers={"kid": self.account.private_key_id},
        )
        body = urlencode({"grant_type": _GRANT, "assertion": assertion}).encode()
        try:
            async with Outbound(connections=1) as outbound:
                reply = await outbound.post(
                    self.account.token_uri, body=body, headers={"Content-Type": "application/x-www-form-urlencoded"}
                )
        except (OutboundRefused, aiohttp.ClientError, TimeoutError, OSError) as error:
            raise NoToken("nobody answers") from error
        found = json_of(reply)
        if reply.status != 200 or not isinstance(found.get("access_token"), str):
            raise NoToken(f"the answer is {reply.status}")
        lasts_s = found.get("expires_in")
        lasts_s = lasts_s if isinstance(lasts_s, int | float) else 3600
        self._text, self._renew_at = found["access_token"], now + lasts_s - _EARLIER_S


def _noted(exchange: asyncio.Task[None]) -> None:
    if not exchange.cancelled():
        exchange.exception()


@lru_cache(maxsize=4)
def _tokens_of(account: Account) -> Tokens:
    return Tokens(account)


async def post(outbound: "Outbound", token: str, message: Message) -> Answer:
    """Hand over one message to one app."""
    try:
        account = read_account(settings().fcm_account_file)
    except KeyUnusable as error:
        tell_unusable(error)
        return Answer("planned", "unreachable", retry_after_s=WAIT_S, asked=False)
    url = f"{settings().fcm_origin}/v1/projects/{account.project_id}/messages:send"
    limit = MAX_BYTES + len(token)
    body = fitting(message, lambda made: _shape(made, token), limit_bytes=limit)
    tokens = _tokens_of(account)
    try:
        bearer = await tokens.get()
        reply = await outbound.post(url, body=body, headers=_headers(bearer))
        if reply.status == 401:
            tokens.drop(bearer)
            reply = await outbound.post(url, body=body, headers=_headers(await tokens.get()))
    except NoToken:
        return Answer("planned", "unreachable", retry_after_s=WAIT_S, asked=False)
    return _answer(reply.status, json_of(reply), retry_after_s(reply))


def _headers(bearer: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"}


def _shape(message: Message, token: str) -> dict[str, Any]:
    collapse = topic_of(message.topic)
    return {
        "message": {
            "token": token,
            "notification": {"title": message.title, "body": message.body},
            "data": {"id": message.id, "seq": str(message.seq), "url": message.url, "tag": message.tag},
            "android": {
                "collapse_key": collapse,
                "ttl": f"{message.ttl_s}s",
                "priority": "HIGH" if message.urgency == "high" else "NORMAL",
                "notification": {"tag": collapse},
            },
        }
    }


def _answer(status: int, found: dict[str, Any], wait_s: float | None) -> Answer:
    if status == 200:
        return Answer("delivered", status=status)
    code, fields = _fault(found)
    if (status == 404 and code == "UNREGISTERED") or code in _GONE or (status == 400 and "message.token" in fields):
        return Answer("skipped", "no_device", status=status, ends="gone")
    if status in (401, 403):
        # What is wrong is our account: it is nobody's message that fails.
        return Answer("planned", "unreachable", status=status, retry_after_s=WAIT_S, asked=False)
    if status == 429 or status >= 500:
        return Answer("planned", "retried", status=status, retry_after_s=wait_s or (WAIT_S if status == 429 else None))
    return Answer("failed", "refused", status=status)


def _fault(found: dict[str, Any]) -> tuple[str, set[str]]:
    """Return the code of an error, and the fields that it blames."""
    code, fields = "", set[str]()
    error = found.get("error")
    details: Any = cast("dict[str, Any]", error).get("details") if isinstance(error, dict) else None
    for each in cast("list[Any]", details) if isinstance(details, list) else []:
        if isinstance(each, dict):
            detail = cast("dict[str, Any]", each)
            code = str(detail.get("errorCode") or code)
            violations: Any = detail.get("fieldViolations")
            for violation in cast("list[Any]", violations) if isinstance(violations, list) else []:
                if isinstance(violation, dict):
                    fields.add(str(cast("dict[str, Any]", violation).get("field")))
    return code, fields
