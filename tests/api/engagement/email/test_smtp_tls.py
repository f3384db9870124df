"""The listener under TLS, and where it listens."""

import asyncio
import datetime
import ipaddress
import smtplib
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from actors import smtp, worker
from actors.smtp import SmtpListener
from cluster.base.settings import settings
from cluster.signals.wake import Bell
from tests.api.engagement.email.conftest import Relay, letter, somebody, state_of
from tests.api.engagement.email.incoming import arrived, report
from tests.harness import Hub

pytestmark = pytest.mark.usefixtures("zone")


def write_certificate(folder: Path, number: int) -> None:
    """Write a certificate for this machine, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mx.school.example")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(number)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "mx.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "mx.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


@pytest.fixture
async def listener(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SmtpListener]:
    write_certificate(tmp_path, 1)
    named = replace(
        settings(),
        smtp_listen=("127.0.0.1", 0),
        smtp_certificate=str(tmp_path / "mx.pem"),
        smtp_key=str(tmp_path / "mx.key"),
    )
    monkeypatch.setattr(smtp, "settings", lambda: named)
    listener = SmtpListener()
    await listener.step()
    yield listener
    await listener.stop()


def secured(port: int, folder: Path) -> tuple[smtplib.SMTP, int]:
    """Connect under TLS, and return the serial number of the server's certificate too."""
    server = smtplib.SMTP("127.0.0.1", port, "mx.people.example", 30)
    server.starttls(context=ssl.create_default_context(cafile=folder / "mx.pem"))
    server.ehlo()
    assert isinstance(server.sock, ssl.SSLSocket)
    shown = server.sock.getpeercert()
    assert shown is not None
    return server, int(str(shown["serialNumber"]), 16)


async def test_smtp_goes_on_under_tls(hub: Hub, relay: Relay, listener: SmtpListener, tmp_path: Path) -> None:
    new = letter(somebody())
    taken = await arrived(hub, relay, new)
    assert listener.port is not None

    server, first = await asyncio.to_thread(secured, listener.port, tmp_path)
    again = [server.has_extn(each) for each in ("starttls", "auth")]
    answer = await asyncio.to_thread(server.sendmail, "", [taken.return_path], report(taken))
    await asyncio.to_thread(server.quit)
    write_certificate(tmp_path, 2)
    await listener.step()
    other, second = await asyncio.to_thread(secured, listener.port, tmp_path)
    await asyncio.to_thread(other.quit)
    await hub.settle()

    assert (again, answer, first, second) == ([False, False], {}, 1, 2)
    assert (await state_of(new.id))[0] == "bounced"


async def test_what_came_before_tls_is_forgotten(
    hub: Hub, relay: Relay, listener: SmtpListener, tmp_path: Path
) -> None:
    taken = await arrived(hub, relay, letter(somebody()))
    trusting = ssl.create_default_context(cafile=tmp_path / "mx.pem")
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    await reader.readline()
    writer.write(f"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<{taken.return_path}>\r\nSTARTTLS\r\n".encode())
    async with asyncio.timeout(30):
        while not (line := await reader.readline()).startswith(b"220 "):
            assert line[:3] == b"250"

    await writer.start_tls(trusting, server_hostname="127.0.0.1")
    writer.write(b"DATA\r\nEHLO x\r\nDATA\r\nQUIT\r\n")
    answers = (await reader.read(-1)).decode().splitlines()
    writer.close()

    assert answers[0].startswith("503 ")
    assert answers[-2:] == ["503 Error: need RCPT command", "221 Bye"]


async def test_a_listener_waits_for_its_port(hub: Hub, listener: SmtpListener, monkeypatch: pytest.MonkeyPatch) -> None:
    port = listener.port
    assert port is not None
    named = replace(smtp.settings(), smtp_listen=("127.0.0.1", port), smtp_certificate="")
    monkeypatch.setattr(smtp, "settings", lambda: named)
    beside = SmtpListener()
    await beside.step()
    assert beside.port == port

    await listener.stop()
    server = await asyncio.to_thread(smtplib.SMTP, "127.0.0.1", port, "mx.people.example", 30)
    code, _ = await asyncio.to_thread(server.quit)
    await beside.stop()

    assert code == 221


@pytest.mark.usefixtures("hub")
def test_workers_with_email_alone_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    def listens(*services: str) -> bool:
        return any(isinstance(part, SmtpListener) for part in worker.parts_of(services, Bell()))

    assert not listens("course", "email")
    named = replace(settings(), smtp_listen=("127.0.0.1", 2525))
    monkeypatch.setattr(worker, "settings", lambda: named)

    assert [listens("course", "email"), listens("course")] == [True, False]
