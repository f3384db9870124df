"""Tickets: what a browser opens a WebSocket with, for it cannot send an Authorization header there.

A ticket is 256 random bits that lead once, for 30 s and on one path, to the principal that asked for it. Redis holds it under its
SHA-256: who reads Redis cannot use it.
"""

from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from secrets import token_bytes
from typing import Any, cast

import msgspec

from cluster.base.principal import Principal
from cluster.base.problems import Unavailable
from cluster.signals import redis

LIFETIME = timedelta(seconds=30)
SOCKET = "/v1/live/socket"
"""The path that tickets are for."""
_CHARACTERS = 43


@dataclass(frozen=True, slots=True)
class Admitted:
    """Whom a ticket names, and when they were authenticated (Unix time)."""

    principal: Principal
    since: float


async def issue(principal: Principal, now: datetime) -> str:
    """Return a new ticket for this principal.

    Raises:
        Unavailable: Redis does not answer.
    """
    ticket = urlsafe_b64encode(token_bytes(32)).rstrip(b"=").decode()
    content = msgspec.json.encode(Admitted(principal, now.timestamp()))
    try:
        await cast(Any, redis.redis()).set(_key(ticket), content, ex=LIFETIME)
    except Exception as error:
        raise Unavailable("tickets cannot be kept right now; ask again, or follow by GET /v1/live") from error
    return ticket


async def redeem(ticket: str) -> Admitted | None:
    """Return whom a ticket names, and forget it; None: it was used, is over, or never was one.

    Raises:
        Unavailable: Redis does not answer.
    """
    if len(ticket) != _CHARACTERS or not ticket.isascii():
        return None
    try:
        content = await cast(Any, redis.redis()).getdel(_key(ticket))
    except Exception as error:
        raise Unavailable("tickets cannot be read right now; ask for another in a moment") from error
    return None if content is None else msgspec.json.decode(content, type=Admitted)


def _key(ticket: str) -> str:
    return redis.key("ticket", sha256(ticket.encode()).hexdigest())
