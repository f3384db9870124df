"""What a device gets, whoever brings it."""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import orjson

Urgency = Literal["low", "normal", "high"]
URGENCIES: tuple[Urgency, ...] = ("low", "normal", "high")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A newer message of the same `topic` replaces one that waits at the push service or is shown; it waits for `ttl_s`."""

    title: str
    body: str
    url: str
    id: str
    seq: int
    tag: str
    """The topic as a device tells it from others."""
    topic: str
    ttl_s: int
    urgency: Urgency


def topic_of(text: str) -> str:
    """Return at most 32 characters of the alphabet that a topic has. Source: RFC 8030, section 5.4."""
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()[:32]


def fitting(message: Message, shape: Callable[[Message], dict[str, Any]], *, limit_bytes: int) -> bytes:
    """Return the JSON of a message, without what is beyond the length that a push service takes."""
    content = orjson.dumps(shape(message))
    if len(content) > limit_bytes:
        content = orjson.dumps(shape(replace(message, body="", url="/notifications")))
    return content
