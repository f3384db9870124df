"""A provider of text messages that stands where Twilio does, and people with phones."""

import asyncio
import base64
import hashlib
import hmac
import itertools
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from cluster.base.settings import settings
from tests.api.engagement.notification.conftest import choose
from tests.harness import Person, done

ACCOUNT, TOKEN, SENDER = "AC0123456789", "t0ken", "+15550100"
PHONE = "/v1/notification-preferences/me/phone"
CONFIRM = "/v1/notification-preferences/me/confirm-phone"
_numbers = itertools.count()


def new_number() -> str:
    """Return the number of a mobile phone that no other test has."""
    return f"+491511234{next(_numbers):04}"


@dataclass(slots=True)
class Twilio:
    """Keeps what was sent to each number; refuses those that stopped or do not exist, as Twilio does."""

    sent: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    stopped: set[str] = field(default_factory=set[str])
    unknown: set[str] = field(default_factory=set[str])
    answers: dict[str, list[tuple[int, dict[str, str]]]] = field(
        default_factory=dict[str, list[tuple[int, dict[str, str]]]]
    )
    """What it says to the next messages for a number, before it takes them."""
    loses: set[str] = field(default_factory=set[str])
    """It takes the next message for a number, and gives no answer."""
    mended: asyncio.Event | None = None
    """It does not answer before."""
    asked: int = 0

    @property
    def url(self) -> str:
        return f"twilio://{ACCOUNT}:{TOKEN}@127.0.0.1:{settings().outbound_loopback_port}?from={SENDER}"

    async def receive(self, request: web.Request) -> web.Response:
        self.asked += 1
        signed_in = base64.b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode()
        if request.headers.get("Authorization") != f"Basic {signed_in}" or request.match_info["account"] != ACCOUNT:
            return web.json_response({"code": 20003, "status": 401}, status=401)
        if self.mended is not None:
            await self.mended.wait()
        fields = dict(parse_qsl(await request.text()))
        assert (fields["From"], set(fields)) == (SENDER, {"From", "To", "Body"})
        to = fields["To"]
        if self.answers.get(to):
            status, headers = self.answers[to].pop(0)
            return web.json_response({"code": 20429, "status": status}, status=status, headers=headers)
        for numbers, code in ((self.stopped, 21610), (self.unknown, 21211)):
            if to in numbers:
                return web.json_response({"code": code, "message": "refused", "status": 400}, status=400)
        self.sent.setdefault(to, []).append(fields["Body"])
        if to in self.loses:
            self.loses.discard(to)
            assert request.transport is not None
            request.transport.abort()
        return web.json_response({"sid": "SM1", "status": "queued"}, status=201)

    def code_of(self, number: str) -> str:
        found = re.match(r"\d{6}", self.sent[number][-1])
        assert found is not None
        return found[0]


def signed(url: str, fields: dict[str, str]) -> str:
    """Sign a reply as Twilio does."""
    text = url + "".join(name + fields[name] for name in sorted(fields))
    return base64.b64encode(hmac.digest(TOKEN.encode(), text.encode(), hashlib.sha1)).decode()


async def with_phone(twilio: Twilio, person: Person, pace: str = "at_once") -> str:
    """Let somebody be told of learning on a phone, and return its number."""
    number = new_number()
    done(await person.put(PHONE, {"number": number}))
    done(await person.post(CONFIRM, {"code": twilio.code_of(number)}))
    await choose(person, categories={"learning": {"sms": pace}})
    return number


async def phone_of(person: Person) -> dict[str, Any]:
    return done(await person.get(PHONE))
