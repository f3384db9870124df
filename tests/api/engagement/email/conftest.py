"""What tests of email share: a mail server, DNS, and templates of each lane."""

import base64
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from actors import smtp
from actors.smtp import SmtpListener
from api.engagement.email.contract import EmailCalls, LetterState, LetterTemplate, NewLetter, ReplyRoute
from api.engagement.email.delivery import transport
from api.engagement.email.receiving import addresses, door, proof
from api.engagement.email.receiving import smtp as sessions
from api.engagement.email.sender import dns
from api.engagement.email.template import sources, texts
from cluster.base.ids import OrgId, UserId, new_id
from cluster.base.settings import settings
from cluster.data import read
from cluster.people.calls import client
from tests.api.engagement.email.dns_server import DnsServer, dns_server
from tests.api.engagement.email.mail_server import MailServer, mail_server
from tests.harness import Hub, School

SOURCE = '<mj-title>News for {{ name }}</mj-title><mj-text>Dear {{ name }}, <a href="{{ url }}">read</a> &amp; smile</mj-text>'
INBOUND_SECRET = "shared with the mail server of the school"
PEOPLE = "people.example"
"""The domain of those who answer letters."""
LANES = {"email.way_in": "security", "email.note": "personal", "email.news": "bulk"}


@dataclass(frozen=True, slots=True)
class Relay:
    """A mail server to which the platform's letters go."""

    server: MailServer
    url: str


@pytest.fixture(autouse=True)
def offered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Offer a template of each lane."""
    real = sources.sources
    offers: Any = sources.templates()
    for name, lane in LANES.items():
        offers[name] = LetterTemplate(name=name, title=name, lane=lane, fields=("name", "url"))  # pyright: ignore[reportArgumentType]
    monkeypatch.setattr(texts, "sources", lambda name: {"en": SOURCE} if name in LANES else real(name))  # pyright: ignore[reportUnknownLambdaType]
    yield
    for name in LANES:
        del offers[name]


@pytest.fixture
def relay(monkeypatch: pytest.MonkeyPatch) -> Iterator[Relay]:
    """Have letters go to a mail server."""
    with mail_server() as (server, url):
        named = replace(settings(), smtp_urls=(url,))
        monkeypatch.setattr(transport, "settings", lambda: named)
        yield Relay(server, url)


@pytest.fixture(scope="module")
async def school(hub: Hub) -> School:
    return await hub.school()


def somebody(domain: str = "people.example") -> str:
    return f"{new_id().hex}@{domain}"


def letter(
    to: str,
    template: str = "email.note",
    *,
    id: UUID | None = None,
    org_id: OrgId | None = None,
    user_id: UserId | None = None,
    expires_at: datetime | None = None,
    category: str | None = None,
    **fields: str,
) -> NewLetter:
    return NewLetter(
        id=id or new_id(),
        template=template,
        to=to,
        locale="en",
        user_id=user_id,
        org_id=org_id,
        fields={"name": "Ada", "url": "https://school.example/x", **fields},
        expires_at=expires_at,
        category=category,
    )


async def send(*letters: NewLetter) -> list[LetterState]:
    return await client(EmailCalls).send(list(letters))


async def state_of(id: UUID) -> tuple[str, str | None]:
    async with read() as db:
        [row] = await db.rows("SELECT state, reason FROM email.letters WHERE id = $1", id)
    return row["state"], row["reason"]


async def make_due(id: UUID) -> None:
    """Make the time of a letter's next try come."""
    async with read() as db:
        await db.run("UPDATE email.letters SET due_at = now() WHERE id = $1", id)
        await db.run("UPDATE email.destinations SET due_at = now() WHERE due_at IS NOT NULL")
        await db.run("UPDATE hub.jobs SET due_at = now() WHERE kind LIKE 'email.deliver%' AND state = 'queued'")


@pytest.fixture(scope="module")
def key() -> tuple[bytes, str]:
    """A key of the domain of people, and its record."""
    made = rsa.generate_private_key(65537, 2048)
    pem = made.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    der = made.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return pem, f"v=DKIM1; k=rsa; p={base64.b64encode(der).decode()}"


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch, key: tuple[bytes, str]) -> Iterator[DnsServer]:
    """Take mail under a secret, offer a route, and have DNS asked of a server of the test."""
    with dns_server() as (server, address):
        server.records[f"s1._domainkey.{PEOPLE}"] = [key[1]]
        named = replace(settings(), dns_server=address, inbound_secret=INBOUND_SECRET, authserv_id="mx.school.example")
        for module in (dns, door, proof):
            monkeypatch.setattr(module, "settings", lambda: named)
        monkeypatch.setattr(addresses, "routes", lambda: {"talk": ReplyRoute(name="talk", title="Talk")})
        monkeypatch.setattr("api.engagement.email.receiving.logic.routes", addresses.routes)
        monkeypatch.setattr("api.engagement.email.letter.logic.routes", addresses.routes)
        yield server


@pytest.fixture
def listening(
    hub: Hub, zone: DnsServer, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., AbstractAsyncContextManager[SmtpListener]]:
    """Listen on a free port of this machine."""
    named = replace(settings(), smtp_listen=("127.0.0.1", 0))
    monkeypatch.setattr(smtp, "settings", lambda: named)
    monkeypatch.setattr(sessions, "routes", addresses.routes)

    @asynccontextmanager
    async def listen(**limits: Any) -> AsyncGenerator[SmtpListener]:
        listener = SmtpListener(sessions.Limits(**limits))
        await listener.step()
        try:
            yield listener
        finally:
            await listener.stop()

    return listen
