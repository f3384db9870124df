"""Mail servers hand over what they have for us: taken is what we made the address of, and acknowledged what is stored."""

import asyncio
import os
import smtplib
import sys
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from api.engagement.email.receiving import proof, reading
from api.engagement.email.receiving.addresses import reply_address
from api.engagement.email.receiving.reading import Mail
from cluster.base.ids import new_id
from cluster.base.principal import PLATFORM
from cluster.base.settings import REPOSITORY
from cluster.data import write
from tests.api.engagement.email.conftest import Relay, letter, somebody, state_of
from tests.api.engagement.email.dns_server import DnsServer
from tests.api.engagement.email.incoming import answer_of, arrived, asked, feedback, report, signed_by
from tests.api.engagement.email.smtp_client import client, handed_over, spoken, told
from tests.harness import Hub

_WAITS_FOR_US = """
SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid)))
"""


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


async def test_smtp_reads_a_message_once_for_all_its_addresses(
    hub: Hub, relay: Relay, listening: Any, key: tuple[bytes, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken, _ = await asked(hub, relay)
    address, back = str(taken.message["Reply-To"]), taken.return_path
    read, sizes = reading.read, list[int]()

    def counted(content: bytes, mail_from: str) -> Mail:
        sizes.append(len(content))
        return read(content, mail_from)

    monkeypatch.setattr(reading, "read", counted)

    async with listening(recipients=2) as listener:
        server = await client(listener)
        await told(server.ehlo)
        await told(server.mail, taken.to, [])
        codes = [(await told(server.rcpt, each, ()))[0] for each in (address, address.upper(), address, back)]
        ended = await told(server.data, signed_by(key, answer_of(taken)))
    heard = await hub.events("email.received")
    await hub.settle()

    assert codes == [250] * 4
    assert (ended[0], len(sizes), len(heard)) == (250, 1, 1)


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
