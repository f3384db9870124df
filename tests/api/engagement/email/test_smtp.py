"""Mail servers hand over what they have for us: taken is what we made the address of, and acknowledged what is stored."""

import asyncio
import os
import smtplib
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import replace
from typing import Any, TypeVar
from urllib.parse import urlsplit

import asyncpg
import pytest

from actors import smtp
from actors.smtp import SmtpListener
from api.engagement.email.receiving import addresses, proof
from api.engagement.email.receiving import smtp as sessions
from api.engagement.email.receiving.addresses import reply_address
from api.engagement.email.receiving.smtp import Limits
from cluster.base.ids import new_id
from cluster.base.principal import PLATFORM
from cluster.base.settings import REPOSITORY, settings
from cluster.data import write
from tests.api.engagement.email.conftest import Relay, letter, somebody, state_of
from tests.api.engagement.email.dns_server import DnsServer
from tests.api.engagement.email.incoming import answer_of, arrived, asked, feedback, report, signed_by
from tests.harness import Hub

T = TypeVar("T")
MIB = 1024 * 1024
_WAITS_FOR_US = """
SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid)))
"""


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
        listener = SmtpListener(Limits(**limits))
        await listener.step()
        try:
            yield listener
        finally:
            await listener.stop()

    return listen


async def client(listener: SmtpListener, of: str = "127.0.0.1") -> smtplib.SMTP:
    assert listener.port is not None
    return await asyncio.to_thread(
        smtplib.SMTP, "127.0.0.1", listener.port, "mx.people.example", 30, source_address=(of, 0)
    )


async def told(call: Callable[..., T], *args: Any) -> T | tuple[int, str]:
    """Return what a call of the client returns, or how it was refused."""
    try:
        return await asyncio.to_thread(call, *args)
    except smtplib.SMTPRecipientsRefused as error:
        [(code, text)] = error.recipients.values()
        return code, text.decode()
    except smtplib.SMTPServerDisconnected:
        return -1, ""
    except smtplib.SMTPResponseException as error:
        return error.smtp_code, error.smtp_error.decode() if isinstance(error.smtp_error, bytes) else error.smtp_error


async def handed_over(listener: SmtpListener, to: str, content: bytes, mail_from: str = "ada@people.example") -> Any:
    """Hand a message over as a mail server does; {}: it was taken."""
    server = await client(listener)
    try:
        return await told(server.sendmail, mail_from, [to], content)
    finally:
        await asyncio.to_thread(server.close)


async def spoken(listener: SmtpListener, *parts: bytes) -> list[str]:
    """Send parts without waiting for answers, and return every line until the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    for part in parts:
        writer.write(part)
        await writer.drain()
    async with asyncio.timeout(60):
        answers = (await reader.read(-1)).decode().splitlines()
    writer.close()
    return answers


async def test_an_answer_and_a_bounce_come_in_by_smtp(
    hub: Hub, relay: Relay, listening: Any, key: tuple[bytes, str]
) -> None:
    taken, new = await asked(hub, relay)
    other = letter(somebody())
    back = await arrived(hub, relay, other)
    content = signed_by(key, answer_of(taken))

    async with listening() as listener:
        answers = [
            await handed_over(listener, str(taken.message["Reply-To"]), content),
            await handed_over(listener, str(taken.message["Reply-To"]), content),
            await handed_over(listener, back.return_path, report(back), ""),
            await handed_over(listener, back.return_path.upper(), report(back), ""),
        ]
    heard = await hub.events("email.received", "letter.bounced")
    await hub.settle()

    assert answers == [{}] * 4
    assert [(each.type, each.payload["user_id"]) for each in heard] == [
        ("email.received", str(new.user_id)),
        ("letter.bounced", None),
    ]
    assert await state_of(other.id) == ("bounced", "it came back: 5.1.1")


async def test_a_complaint_comes_in_by_smtp(hub: Hub, relay: Relay, listening: Any) -> None:
    new = letter(somebody())
    taken = await arrived(hub, relay, new)

    async with listening() as listener:
        answer = await handed_over(listener, "feedback@127.0.0.1", feedback(taken), "fbl@people.example")
    await hub.settle()

    assert answer == {}
    assert (await state_of(new.id))[0] == "complained"


async def test_smtp_rejects_addresses_that_we_did_not_make(hub: Hub, relay: Relay, listening: Any) -> None:
    taken, new = await asked(hub, relay)
    address = str(taken.message["Reply-To"])
    strangers = [
        "ada@people.example",
        "postmaster@127.0.0.1",
        "feedback@people.example",
        f"x{address[1:]}",
        address.replace("+", "+0"),
        address.replace(".", ".x", 1),
        reply_address("nobody", new.id),
        taken.return_path.replace("bounce", "talk"),
        "bounce+" + "0" * 32 + ".ü@127.0.0.1",
    ]

    async with listening(strangers=len(strangers) + 1) as listener:
        server = await client(listener)
        await told(server.ehlo)
        await told(server.mail, "ada@people.example", ["SMTPUTF8"])
        server.command_encoding = "utf-8"
        refused = [await told(server.rcpt, each, ()) for each in strangers]
        ours = [await told(server.rcpt, each, ()) for each in (address, taken.return_path)]
        over = await told(server.rcpt, strangers[0], ())
        ended = await told(server.rcpt, address, ())

    assert [code for code, _ in refused] == [550] * len(strangers)
    assert [code for code, _ in ours] == [250, 250]
    assert (over[0], ended[0]) == (421, -1)


async def test_smtp_says_why_an_answer_is_refused(
    hub: Hub, relay: Relay, listening: Any, key: tuple[bytes, str]
) -> None:
    taken, _ = await asked(hub, relay)
    address = str(taken.message["Reply-To"])
    head = f"Authentication-Results: mx.school.example; spf=pass smtp.mailfrom={taken.to}\r\nReceived: by x\r\n"
    unproven = head.encode() + answer_of(taken, "unsigned").as_bytes()

    async with listening() as listener:
        empty = await handed_over(listener, address, signed_by(key, answer_of(taken, "> Dear Ada\n")))
        held = await handed_over(listener, address, unproven)
        automatic = await handed_over(listener, address, signed_by(key, answer_of(taken)), "")
    heard = await hub.events("email.received")
    await hub.settle()

    assert empty == (550, "5.7.1 there is nothing in it but what it quotes")
    assert (held, automatic, heard) == ({}, {}, [])
    assert [each.message["Subject"] for each in relay.server.to(taken.to)[1:]] == ["Your answer was not passed on"]


async def test_smtp_takes_commands_that_come_at_once(
    hub: Hub, relay: Relay, listening: Any, key: tuple[bytes, str]
) -> None:
    taken, _ = await asked(hub, relay)
    content = signed_by(key, answer_of(taken)).replace(b"\r\n.", b"\r\n..")
    commands = (
        f"MAIL FROM:<{taken.to}> BODY=8BITMIME\r\nRCPT TO:<x@y.example>\r\nRCPT TO:<{taken.message['Reply-To']}>\r\n"
    )

    async with listening() as listener:
        answers = await spoken(
            listener,
            b"EHLO mx.people.example\r\n",
            commands.encode() + b"DATA\r\n" + content + b"\r\n.\r\n" + b"NOOP\r\nQUIT\r\n",
        )
    heard = await hub.events("email.received")
    await hub.settle()

    assert "250-PIPELINING" in answers
    assert "250-SIZE 26214400" in answers
    assert not [each for each in answers if "AUTH" in each or "STARTTLS" in each]
    assert [each[:3] for each in answers[-7:]] == ["250", "550", "250", "354", "250", "250", "221"]
    assert len(heard) == 1


async def test_smtp_rejects_a_message_of_50_mb(hub: Hub, relay: Relay, listening: Any) -> None:
    taken = await arrived(hub, relay, letter(somebody()))
    line = b"x" * 70 + b"\r\n"
    large = line * (50 * MIB // len(line))

    async with listening() as listener:
        server = await client(listener)
        await told(server.ehlo)
        declared = await told(server.mail, "ada@people.example", [f"size={len(large)}"])
        await told(server.mail, "ada@people.example", [])
        await told(server.rcpt, taken.return_path, ())
        sent = await told(server.data, large)
        small = await told(server.sendmail, "", [taken.return_path], report(taken))
    await hub.settle()

    assert declared[0] == 552
    assert sent[0] == 552
    assert small == {}


async def test_smtp_rejects_a_message_of_empty_lines_before_its_end(hub: Hub, relay: Relay, listening: Any) -> None:
    taken = await arrived(hub, relay, letter(somebody()))

    async with listening(messages=1) as listener:
        server = await client(listener)
        await told(server.ehlo)
        await told(server.mail, "", [])
        await told(server.rcpt, taken.return_path, ())
        begun = await told(server.docmd, "DATA")
        assert server.sock is not None
        with suppress(ConnectionError):
            await asyncio.to_thread(server.sock.sendall, b"\r\n" * (5 * MIB // 2))
        answered = await told(server.getreply)
        within = await handed_over(listener, taken.return_path, report(taken) + b"\r\n" * 1000, "")
    await hub.settle()

    assert begun[0] == 354
    assert answered == (552, b"5.3.4 a message has 400000 lines at most")
    assert within == {}, "the next one finds room"


async def test_smtp_sends_slow_clients_away(hub: Hub, relay: Relay, listening: Any) -> None:
    taken = await arrived(hub, relay, letter(somebody()))
    begun = f"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<{taken.return_path}>\r\nDATA\r\nSubject: x\r\n"

    async with listening(command_s=0.5, data_s=1.0) as listener:
        silent = await spoken(listener)
        unfinished = await spoken(listener, b"EHLO x")
        in_data = await dripping(listener, begun.encode())
        idle = await spoken(listener, begun.encode() + b".\r\n")
    async with listening(session_s=1.0) as listener:
        busy = await dripping(listener, b"EHLO x\r\n", drop=b"NOOP\r\n")
    async with listening(slow_s=0.5) as listener:
        slow = await dripping(listener, begun.encode())

    for answers in (silent, unfinished, in_data, idle, busy, slow):
        assert answers[0].startswith("220 ")
        assert answers[-1] == "421 4.4.2 this takes too long"
    assert "250 2.0.0 ignored" in idle


async def dripping(listener: SmtpListener, begin: bytes, drop: bytes = b"x\r\n") -> list[str]:
    """Send a little again and again until the server ends it; return its answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(begin)
    reading = asyncio.create_task(reader.read(-1))
    async with asyncio.timeout(60):
        while not reading.done():
            writer.write(drop)
            await asyncio.wait([reading], timeout=0.05)
        answers = (await reading).decode().splitlines()
    writer.close()
    return answers


async def test_smtp_takes_so_many_connections_and_messages_at_once(hub: Hub, relay: Relay, listening: Any) -> None:
    taken = await arrived(hub, relay, letter(somebody()))
    async with listening(per_network=2, messages=1) as listener:
        first, second = await client(listener), await client(listener)
        third = await spoken(listener)
        for each in (first, second):
            await told(each.ehlo)
            await told(each.mail, "", [])
            await told(each.rcpt, taken.return_path, ())

        begun = await told(first.docmd, "DATA")
        refused = await told(second.docmd, "DATA")
        await told(first.send, b"Subject: x\r\n\r\nx\r\n.\r\n")
        ended = await told(first.getreply)
        later = await told(second.docmd, "DATA")
        await told(first.quit)
        fourth = await client(listener)
        over = await spoken(listener)
        await asyncio.to_thread(fourth.close)
        await asyncio.to_thread(second.close)
    async with listening(connections=1) as listener:
        one = await client(listener)
        two = await spoken(listener)
        await asyncio.to_thread(one.close)

    assert third == over == two == ["421 4.7.0 too many connections at once: try again later"]
    assert [code for code, _ in (begun, refused, ended, later)] == [354, 451, 250, 354]


async def test_smtp_takes_one_message_of_a_network_at_once(hub: Hub, relay: Relay, listening: Any) -> None:
    taken = await arrived(hub, relay, letter(somebody()))

    async with listening(messages=2) as listener:
        codes: list[int] = []
        servers = [await client(listener, f"127.0.0.{each}") for each in (1, 1, 2, 3)]
        for each in servers:
            await told(each.ehlo)
            await told(each.mail, "", [])
            await told(each.rcpt, taken.return_path, ())
            codes.append((await told(each.docmd, "DATA"))[0])
        await told(servers[0].send, b"Subject: x\r\n\r\nx\r\n.\r\n")
        ended = await told(servers[0].getreply)
        later = await told(servers[1].docmd, "DATA")
        for each in servers:
            await asyncio.to_thread(each.close)
    await hub.settle()

    assert codes == [354, 451, 354, 451], "its own share first, then what all have"
    assert (ended[0], later[0]) == (250, 354)


async def test_smtp_says_451_while_the_database_is_away(
    hub: Hub, relay: Relay, listening: Any, key: tuple[bytes, str], zone: DnsServer
) -> None:
    taken, _ = await asked(hub, relay)
    address, content = str(taken.message["Reply-To"]), signed_by(key, answer_of(taken))
    name = urlsplit(os.environ["HUB_POSTGRES_URL"]).path[1:]
    admin: Any = await asyncpg.connect(os.environ["HUB_ADMIN_URL"])

    async with listening() as listener:
        try:
            await admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
            await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
            away = await handed_over(listener, address, content)
        finally:
            await admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
            await admin.close()
        zone.fails = True
        unproven = await handed_over(listener, address, content)
        zone.fails = False
        taken_now = await handed_over(listener, address, content)
    heard = await hub.events("email.received")
    await hub.settle()

    assert (away, unproven) == ((451, "4.3.0 this cannot be stored now: try again"),) * 2
    assert (taken_now, len(heard)) == ({}, 1)


async def test_smtp_says_451_about_a_letter_under_way(hub: Hub, relay: Relay, listening: Any) -> None:
    new = letter(somebody())
    taken = await arrived(hub, relay, new)
    async with write(PLATFORM) as tx:
        await tx.run("UPDATE email.letters SET state = 'sending' WHERE id = $id", id=new.id)

    async with listening() as listener:
        early = await handed_over(listener, taken.return_path, report(taken), "")
        async with write(PLATFORM) as tx:
            await tx.run("UPDATE email.letters SET state = 'sent' WHERE id = $id", id=new.id)
        late = await handed_over(listener, taken.return_path, report(taken), "")
    await hub.settle()

    assert (early, late) == ((451, "4.3.0 this cannot be stored now: try again"), {})


async def test_a_listener_that_stops_answers_what_it_stores(hub: Hub, relay: Relay, listening: Any) -> None:
    new = letter(somebody())
    taken = await arrived(hub, relay, new)
    async with listening() as listener:
        idle = await client(listener)

        async def send_when(locked: asyncio.Event) -> Any:
            await locked.wait()
            return await handed_over(listener, taken.return_path, report(taken), "")

        async def stop_when(stored: asyncio.Event) -> None:
            await stored.wait()
            await listener.stop()

        stopping = asyncio.create_task(stop_when(stored := asyncio.Event()))
        sending = asyncio.create_task(send_when(locked := asyncio.Event()))
        async with write(PLATFORM) as tx:
            await tx.run("SELECT FROM email.letters WHERE id = $id FOR UPDATE", id=new.id)
            locked.set()
            async with asyncio.timeout(30):
                while not await tx.value(_WAITS_FOR_US):  # noqa: ASYNC110  the database tells nobody
                    await asyncio.sleep(0.02)
            stored.set()
            left = await asyncio.to_thread(idle.getreply)
        await stopping
        answer = await sending
    await hub.settle()

    assert left[0] == 421
    assert answer == {}
    assert (await state_of(new.id))[0] == "bounced"


async def test_a_listener_killed_before_its_answer_repeats_nothing(
    hub: Hub, relay: Relay, listening: Any, key: tuple[bytes, str]
) -> None:
    taken, new = await asked(hub, relay)
    message_id = f"<{new_id()}@people.example>"
    content = signed_by(key, answer_of(taken, Message_ID=message_id))
    other = letter(somebody())
    back = await arrived(hub, relay, other)
    killed: list[object] = []

    for to, each, mail_from in (
        (str(taken.message["Reply-To"]), content, "ada@people.example"),
        (back.return_path, report(back), ""),
    ):
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.api.engagement.email.killed_listener"),
            cwd=REPOSITORY,
            env=os.environ | {"HUB_DNS_SERVER": proof.settings().dns_server},
            stdout=asyncio.subprocess.PIPE,
        )
        assert child.stdout is not None
        server = await asyncio.to_thread(smtplib.SMTP, "127.0.0.1", int(await child.stdout.readline()), "mx", 60)
        sending = asyncio.create_task(told(server.sendmail, mail_from, [to], each))
        stored = (await child.stdout.readline()).decode().strip()
        child.kill()
        await child.wait()
        killed.append((stored, await sending))
    async with listening() as listener:
        again = [
            await handed_over(listener, str(taken.message["Reply-To"]), content),
            await handed_over(listener, str(taken.message["Reply-To"]), b"Received: by backup.example\r\n" + content),
            await handed_over(listener, back.return_path, report(back), ""),
        ]
    heard = await hub.events("email.received", "letter.bounced")
    await hub.settle()

    assert killed == [("accepted", (-1, ""))] * 2
    assert again == [{}] * 3
    assert [each.type for each in heard] == ["email.received", "letter.bounced"]
    assert heard[0].payload["user_id"] == str(new.user_id)
