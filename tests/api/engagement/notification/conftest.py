"""People who are told something, and a push service that opens what it gets."""

import base64
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, get_args

import http_ece
import jwt
import orjson
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from api.engagement.notification import jobs
from api.engagement.notification.contract import AwayChannel, delivering
from api.engagement.notification.delivery.rules import SHARDS
from cluster.base.principal import platform
from cluster.base.settings import settings
from cluster.data import read, write
from cluster.jobs import enqueue
from tests.api.learning.course.conftest import Draft, draft, published, school
from tests.harness import Hub, Person, done

__all__ = ["draft", "published", "school"]


@dataclass(slots=True)
class Browser:
    """A browser with a subscription, and what came to it, opened."""

    private: ec.EllipticCurvePrivateKey
    secret: bytes
    endpoint: str
    device: dict[str, Any] = field(default_factory=dict[str, Any])
    messages: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    headers: list[dict[str, str]] = field(default_factory=list[dict[str, str]])

    @property
    def subscription(self) -> dict[str, Any]:
        point = self.private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        keys = {"p256dh": _encode(point), "auth": _encode(self.secret)}
        return {"endpoint": self.endpoint, "keys": keys, "name": "Firefox on Linux"}


class PushService:
    """Stands where a browser's maker has one (RFC 8030): checks who speaks, and opens as the browser would."""

    def __init__(self) -> None:
        self.url = f"http://127.0.0.1:{settings().outbound_loopback_port}"
        self.browsers: dict[str, Browser] = {}
        self.answers: dict[str, list[tuple[int, dict[str, str]]]] = {}
        """What it says to the next messages for a path, before 201."""
        self.others: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = None
        """Answers for another push service: paths below `/others`."""

    def browser(self) -> Browser:
        path = f"/send/{os.urandom(8).hex()}"
        made = Browser(ec.generate_private_key(ec.SECP256R1()), os.urandom(16), self.url + path)
        self.browsers[path] = made
        return made

    async def receive_for_others(self, request: web.Request) -> web.StreamResponse:
        assert self.others is not None
        return await self.others(request)

    async def receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        scheme, _, rest = request.headers["Authorization"].partition(" ")
        parts = dict(part.strip().split("=", 1) for part in rest.split(","))
        point = base64.urlsafe_b64decode(parts["k"] + "=")
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
        claims = jwt.decode(parts["t"], key, algorithms=["ES256"], audience=self.url)
        assert (scheme, claims["sub"]) == ("vapid", settings().public_url)
        assert len(body) <= 4096
        waiting = self.answers.get(request.path, [])
        if waiting:
            status, headers = waiting.pop(0)
            return web.Response(status=status, headers=headers)
        browser = self.browsers[request.path]
        plain = http_ece.decrypt(body, private_key=browser.private, auth_secret=browser.secret, version="aes128gcm")
        browser.messages.append(orjson.loads(plain))
        browser.headers.append({name: request.headers[name] for name in ("TTL", "Topic", "Urgency")})
        return web.Response(status=201)


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


@pytest.fixture
async def push(servers: None) -> AsyncIterator[PushService]:
    service = PushService()
    app = web.Application()
    app.router.add_post("/send/{id}", service.receive)
    app.router.add_post("/others/{id}", service.receive_for_others)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", settings().outbound_loopback_port).start()
    yield service
    await runner.cleanup()


async def with_browser(push: PushService, person: Person) -> Browser:
    """Let somebody be told in a browser."""
    browser = push.browser()
    browser.device = done(await person.post("/v1/devices", browser.subscription), 201)
    return browser


@pytest.fixture
def at(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], Any]:
    """Let everybody be told of what is due at a moment."""

    async def deliver_at(moment: datetime) -> None:
        monkeypatch.setattr(jobs, "clock", lambda: moment)
        async with write(platform("notification")) as tx:
            for channel in get_args(AwayChannel):
                for shard in range(SHARDS):
                    job = delivering(channel, shard)
                    enqueue(tx, job, dedupe=job.dedupe)
        await hub.settle()

    return deliver_at


async def learner(hub: Hub, published: Draft, name: str = "tariq") -> Person:
    """Let somebody new learn in the course."""
    person = await hub.person(name)
    done(await person.post("/v1/enrollments", {"run_id": published.course["default_run_id"]}), 201)
    return person


async def publish_again(published: Draft, title: str = "Algebra, again") -> None:
    """Publish a revision with another title."""
    seen = await published.owner.get(published.path)
    headers = {"If-Match": seen.headers["ETag"]}
    done(await published.owner.patch(published.path, {"title": title}, headers=headers))
    done(await published.owner.post(f"{published.path}/publish"))


async def inbox(person: Person, **params: Any) -> list[dict[str, Any]]:
    return done(await person.get("/v1/notifications", params=params))["items"]


async def titles(person: Person, **params: Any) -> list[str]:
    return [each["title"] for each in await inbox(person, **params)]


async def deliveries(person: Person, notification: dict[str, Any]) -> dict[str, tuple[str, str | None]]:
    """Return state and reason by channel."""
    found = done(await person.get(f"/v1/notifications/{notification['id']}/deliveries"))["items"]
    return {each["channel"]: (each["state"], each["reason"]) for each in found}


async def choose(person: Person, **changes: Any) -> dict[str, Any]:
    """Change how somebody is told."""
    seen = await person.get("/v1/notification-preferences/me")
    headers = {"If-Match": seen.headers["ETag"]}
    return done(await person.patch("/v1/notification-preferences/me", changes, headers=headers))


async def shift(person: Person, moment: datetime) -> None:
    """Let everything that somebody was told so far have come at another time."""
    async with read() as db:
        await db.run("UPDATE notification.notifications SET created_at = $1 WHERE user_id = $2", moment, person.id)
        await db.run(
            "UPDATE notification.deliveries SET due_at = $1 WHERE user_id = $2 AND state IN ('planned', 'held')",
            moment,
            person.id,
        )
