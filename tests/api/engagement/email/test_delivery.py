"""Handing over under load: a killed worker, and letters that somebody waits for while many others wait."""

import asyncio
import sys
from collections import Counter

from api.engagement.email.delivery import logic as delivery
from api.engagement.email.delivery.transport import CONNECTIONS
from cluster.base.principal import platform
from cluster.base.settings import REPOSITORY
from cluster.data import read
from tests.api.engagement.email.conftest import Relay, letter, send, somebody, state_of
from tests.harness import Hub

_FREE = "UPDATE email.destinations SET due_at = now() WHERE lease IS NOT NULL"


async def test_a_killed_worker_loses_none_and_repeats_what_was_under_way(hub: Hub, relay: Relay) -> None:
    letters = [letter(somebody(f"d{number % 7}.example"), "email.news") for number in range(300)]
    await send(*letters)
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.api.engagement.email.killed_worker", relay.url), cwd=REPOSITORY
    )
    assert await asyncio.to_thread(relay.server.wait_for, 40)
    worker.kill()
    await worker.wait()
    at_kill = len(relay.server.taken)

    # As when the dead worker's leases have ended. Its last transaction may commit after its death, and extend one.
    async with asyncio.timeout(30):
        while {await state_of(each.id) for each in letters} != {("sent", None)}:
            async with read() as db:
                await db.run(_FREE)
            await hub.settle()

    # Letters that other tests left in the queue may have come along.
    ours = {f"<{each.id}@127.0.0.1>" for each in letters}
    times = Counter(id for each in relay.server.taken if (id := each.message["Message-ID"]) in ours)
    assert at_kill < len(letters), "it was killed while it worked"
    assert set(times) == ours
    assert max(times.values()) <= 2
    assert sum(count - 1 for count in times.values()) <= CONNECTIONS


async def test_a_way_in_arrives_while_bulk_letters_fill_every_connection(hub: Hub, relay: Relay) -> None:
    relay.server.open.clear()
    news = [letter(f"slow-{somebody(f'd{number}.example')}", "email.news") for number in range(50)]
    await send(*news)
    bulk = asyncio.create_task(delivery.deliver(platform("email"), "bulk"))
    way_in = letter(somebody("d1.example"), "email.way_in")
    await send(way_in)

    await delivery.deliver(platform("email"), "security")

    assert await state_of(way_in.id) == ("sent", None)
    assert {(await state_of(each.id))[0] for each in news} <= {"queued", "sending"}
    relay.server.open.set()
    await bulk
    await hub.settle()
    assert {await state_of(each.id) for each in news} == {("sent", None)}
