"""Reports that come before the letter's sender has recorded what the mail server answered."""

import asyncio

import httpx
import pytest

from cluster.base.principal import PLATFORM
from cluster.data import read, write
from tests.api.engagement.email.conftest import Relay, letter, make_due, send, somebody, state_of
from tests.api.engagement.email.incoming import arrived, feedback, hand_over, outcome, report, under_way
from tests.api.engagement.email.mail_server import CUT
from tests.harness import Hub, problem

pytestmark = pytest.mark.usefixtures("zone")

_WAITS_FOR_US = """
SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid)))
"""


async def test_a_report_waits_for_the_answer_to_its_letter(hub: Hub, relay: Relay) -> None:
    """The mail server has the letter and reports, while its 250 is still under way."""
    relay.server.open.clear()
    new = letter(f"slow-{somebody()}")
    await send(new)
    sender = asyncio.create_task(hub.settle())
    async with asyncio.timeout(30):
        while (await state_of(new.id))[0] != "sending":  # noqa: ASYNC110  the database tells nobody
            await asyncio.sleep(0.02)
    taken = under_way(new)

    early = [
        await hand_over(hub, taken.return_path, report(taken), ""),
        await hand_over(hub, taken.return_path, report(taken, action="delivered", status="2.0.0"), ""),
        await hand_over(hub, "feedback@127.0.0.1", feedback(taken), ""),
    ]
    relay.server.open.set()
    await sender
    again = await outcome(await hand_over(hub, taken.return_path, report(taken), ""))
    told = await hub.events("letter.bounced")
    await hub.settle()

    for each in early:
        assert problem(each, 503)["detail"] == "the letter is being handed over: report this again"
        assert each.headers["Retry-After"] == "15"
    assert again == ("accepted", "failed 5.1.1")
    assert await state_of(new.id) == ("bounced", "it came back: 5.1.1")
    assert [each.payload["letter_id"] for each in told] == [str(new.id)]


async def test_a_report_waits_for_the_commit_of_its_sender(hub: Hub, relay: Relay) -> None:
    new = letter(somebody())
    taken = await arrived(hub, relay, new)
    async with read() as db:
        await db.run("UPDATE email.letters SET state = 'sending', ended_at = NULL WHERE id = $1", new.id)

    async def report_when(recorded: asyncio.Event) -> httpx.Response:
        await recorded.wait()
        return await hand_over(hub, taken.return_path, report(taken), "")

    reporting = asyncio.create_task(report_when(recorded := asyncio.Event()))
    async with write(PLATFORM) as tx:
        await tx.run("UPDATE email.letters SET state = 'sent', ended_at = $now WHERE id = $id", id=new.id)
        recorded.set()
        async with asyncio.timeout(30):
            while not await tx.value(_WAITS_FOR_US):  # noqa: ASYNC110  the database tells nobody
                await asyncio.sleep(0.02)
    answer = await outcome(await reporting)
    await hub.settle()

    assert answer == ("accepted", "failed 5.1.1")
    assert await state_of(new.id) == ("bounced", "it came back: 5.1.1")


async def test_a_report_ends_a_letter_whose_answer_was_lost(hub: Hub, relay: Relay) -> None:
    new = letter(somebody())
    relay.server.answers("DATA", new.to, CUT)
    taken = await arrived(hub, relay, new)
    assert (await state_of(new.id))[0] == "deferred"

    await outcome(await hand_over(hub, taken.return_path, report(taken), ""))
    await make_due(new.id)
    await hub.settle()

    assert await state_of(new.id) == ("bounced", "it came back: 5.1.1")
    assert len(relay.server.to(new.to)) == 1
