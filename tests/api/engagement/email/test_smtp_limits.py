"""What one process takes on by SMTP: so much of a message, of a network, and at once."""

import asyncio
from contextlib import suppress
from typing import Any

from tests.api.engagement.email.conftest import Relay, letter, somebody
from tests.api.engagement.email.incoming import arrived, report
from tests.api.engagement.email.smtp_client import client, dripping, handed_over, spoken, told
from tests.harness import Hub

MIB = 1024 * 1024


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
