"""APNs: messages to apps on Apple's devices, over HTTP/2.

Source: Apple, "Sending notification requests to APNs", "Establishing a token-based connection to APNs",
"Handling notification responses from APNs".
"""

import asyncio
import time
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from api.engagement.notification.delivery.answers import Answer
from api.engagement.notification.device.keys import WAIT_S, KeyUnusable, private_key, tell_unusable
from api.engagement.notification.device.message import Message, fitting, topic_of
from api.engagement.notification.device.replies import json_of, retry_after_s
from cluster.base.settings import settings

if TYPE_CHECKING:
    from cluster.http.outbound_http2 import OutboundHttp2

MAX_BYTES = 4096
TOKEN_S = 40 * 60
"""Apple refuses a token after an hour, and whoever makes new ones within 20 minutes. All processes sign for the same window."""
_PRIORITIES = {"low": "5", "normal": "10", "high": "10"}
clock = time.time
_lines: WeakKeyDictionary[asyncio.AbstractEventLoop, "OutboundHttp2"] = WeakKeyDictionary()


def is_offered() -> bool:
    now = settings()
    return all((now.apns_key_file, now.apns_key_id, now.apns_team_id, now.apns_topic))


def host() -> str:
    return urlsplit(settings().apns_origin).netloc


def _line() -> "OutboundHttp2":
    """Return the connection of this process: Apple wants one that is kept."""
    from cluster.http.outbound_http2 import OutboundHttp2

    return _lines.setdefault(asyncio.get_running_loop(), OutboundHttp2())


@lru_cache(maxsize=4)
def _key(path: str) -> EllipticCurvePrivateKey:
    try:
        key = private_key(Path(path).read_bytes(), EllipticCurvePrivateKey)
        if key.curve.name != "secp256r1":
            raise ValueError("it is a key of another curve")
    except (OSError, ValueError) as error:
        raise KeyUnusable("HUB_APNS_KEY_FILE is the .p8 of a key for APNs") from error
    else:
        return key


@lru_cache(maxsize=8)
def _bearer(path: str, key_id: str, team_id: str, window: int) -> str:
    return jwt.encode({"iss": team_id, "iat": window * TOKEN_S}, _key(path), algorithm="ES256", headers={"kid": key_id})


async def post(token: str, since: datetime, message: Message) -> Answer:
    """Hand over one message to the app that registered `since`."""
    now = settings()
    try:
        bearer = _bearer(now.apns_key_file, now.apns_key_id, now.apns_team_id, int(clock()) // TOKEN_S)
    except KeyUnusable as error:
        tell_unusable(error)
        return Answer("planned", "unreachable", retry_after_s=WAIT_S, asked=False)
    headers = {
        "authorization": f"bearer {bearer}",
        "apns-topic": now.apns_topic,
        "apns-push-type": "alert",
        "apns-collapse-id": topic_of(message.topic),
        "apns-expiration": str(int(clock()) + message.ttl_s if message.ttl_s else 0),
        "apns-priority": _PRIORITIES[message.urgency],
    }
    body = fitting(message, _shape, limit_bytes=MAX_BYTES)
    reply = await _line().post(f"{now.apns_origin}/3/device/{token}", body=body, headers=headers)
    return _answer(reply.status, json_of(reply), retry_after_s(reply), since)


def _shape(message: Message) -> dict[str, Any]:
    return {
        "aps": {"alert": {"title": message.title, "body": message.body}},
        "id": message.id,
        "seq": message.seq,
        "url": message.url,
        "tag": message.tag,
    }


def _answer(status: int, found: dict[str, Any], wait_s: float | None, since: datetime) -> Answer:
    if status == 200:
        return Answer("delivered", status=status)
    if status == 410:
        ended_at_ms = found.get("timestamp")
        if isinstance(ended_at_ms, int) and ended_at_ms <= since.timestamp() * 1000:
            # The app was installed again after that.
            return Answer("planned", "retried", status=status)
        return Answer("skipped", "no_device", status=status, ends="gone")
    if status == 400 and found.get("reason") == "BadDeviceToken":
        return Answer("skipped", "no_device", status=status, ends="gone")
    if status == 403:
        # What is wrong is our key or our clock: it is nobody's message that fails.
        return Answer("planned", "unreachable", status=status, retry_after_s=WAIT_S, asked=False)
    if status == 429 or status >= 500:
        return Answer("planned", "retried", status=status, retry_after_s=wait_s or (WAIT_S if status == 429 else None))
    return Answer("failed", "refused", status=status)
