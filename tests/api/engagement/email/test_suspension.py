"""Letters to many wait while their organization is suspended, and go on afterwards."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

import pytest

from api.core.organization.contract import OrganizationUpdated
from api.core.rbac.contract import RbacCalls
from api.engagement.email.contract import EmailCalls, LetterState
from api.engagement.email.delivery import logic as delivery
from api.engagement.email.delivery import store
from api.engagement.email.delivery.gate import pass_gate
from api.engagement.email.hold import logic
from api.engagement.email.hold import store as holds
from api.engagement.email.letter import store as letters
from cluster.base.ids import OrgId, new_id
from cluster.base.principal import platform
from cluster.data import Transaction, read, write
from cluster.people.calls import client
from tests.api.engagement.email.conftest import Relay, letter, make_due, send, somebody, state_of
from tests.harness import Hub, Person, School, done

T = TypeVar("T")
_HELD = "SELECT count(*) FROM email.held_letters WHERE org_id = $1"


async def tell(hub: Hub, org_id: OrgId, *, suspended: bool, version: int) -> None:
    """Tell email alone of an organization's state, as its event does."""
    await hub.old_news(OrganizationUpdated(org_id=org_id, state="suspended" if suspended else "active"), version)


async def held(org_id: OrgId) -> int:
    async with read() as db:
        return await db.value(_HELD, org_id)


async def suspend(administrator: Person, school: School, *, ends: bool = False) -> None:
    """Suspend a school, or end that, as the platform's administrators do."""
    done(await administrator.post(f"/v1/organizations/{school.org_id}/{'resume' if ends else 'suspend'}"))


@pytest.fixture
async def administrator(hub: Hub) -> Person:
    person = await hub.person("admin")
    await client(RbacCalls).grant(person.id, "platform_admin", "platform", None, None)
    return person


async def take(tx: Transaction, lease: UUID) -> list[UUID]:
    """Take what is due as a pump does, and return what goes."""
    taken = await store.update_taken(tx, "bulk", lease=lease, until=tx.now + timedelta(seconds=15), limit=100)
    return [letter.id for _, letters in await pass_gate(tx, "bulk", taken, lease=lease) for letter in letters]


@asynccontextmanager
async def meanwhile(work: Callable[[Transaction], Awaitable[T]]) -> AsyncGenerator[T]:
    """Do this in a transaction of another task, which commits at the end of the block."""
    begun, leave = asyncio.get_running_loop().create_future(), asyncio.Event()

    async def hold() -> None:
        async with write(platform("email")) as tx:
            begun.set_result(await work(tx))
            await leave.wait()

    task = asyncio.create_task(hold())
    await asyncio.wait({task, begun}, return_when=asyncio.FIRST_COMPLETED)
    try:
        yield begun.result()
    finally:
        leave.set()
        await task


async def waits_for_a_lock(task: asyncio.Task[Any]) -> bool:
    """Return when the task waits for a lock, or False when it has ended."""
    while not task.done():
        async with read() as db:
            if await db.value("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"):
                return True
        await asyncio.sleep(0.01)
    return False


async def test_letters_to_many_wait_for_the_end_of_a_suspension(hub: Hub, relay: Relay, administrator: Person) -> None:
    school, other = await hub.school(), await hub.school()
    news = [letter(somebody(f"d{number % 3}.example"), "email.news", org_id=school.org_id) for number in range(30)]
    rest = [letter(somebody(), name, org_id=school.org_id) for name in ("email.way_in", "email.note")]
    elsewhere = letter(somebody("d1.example"), "email.news", org_id=other.org_id)
    await suspend(administrator, school)
    await hub.settle()
    await send(*news, *rest, elsewhere)

    await hub.settle()
    waiting = {await state_of(each.id) for each in news}
    listed = done(
        await administrator.get(
            "/v1/emails", params={"organization_id": str(school.org_id), "state": "held", "limit": 100}
        )
    )["items"]
    gone = {await state_of(each.id) for each in (*rest, elsewhere)}
    await suspend(administrator, school, ends=True)
    await hub.settle()

    assert waiting == {("held", None)}
    assert {UUID(each["id"]) for each in listed} == {each.id for each in news}
    assert gone == {("sent", None)}
    assert {await state_of(each.id) for each in news} == {("sent", None)}
    assert [len(relay.server.to(each.to)) for each in news] == [1] * 30
    assert await held(school.org_id) == 0


async def test_held_letters_expire_and_are_stopped_as_others(hub: Hub, relay: Relay) -> None:
    school = await hub.school()
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    late, purged, stopped, kept = (
        letter(somebody(), "email.news", org_id=school.org_id, expires_at=tomorrow) for _ in range(4)
    )
    await tell(hub, school.org_id, suspended=True, version=10)
    await send(late, purged, stopped, kept)
    await hub.settle()
    async with read() as db:
        await db.run("UPDATE email.held_letters SET expires_at = now() WHERE letter_id = $1", purged.id)
        await db.run("UPDATE email.letters SET expires_at = now() WHERE id = $1", late.id)

    await hub.run_cron("email.purge")
    cancelled = await client(EmailCalls).cancel([stopped.id])
    still = await state_of(late.id)
    await tell(hub, school.org_id, suspended=False, version=11)
    await hub.settle()

    assert cancelled == [LetterState(id=stopped.id, state="cancelled")]
    assert still == ("held", None)
    states = [(await state_of(each.id))[0] for each in (late, purged, stopped, kept)]
    assert states == ["expired", "expired", "cancelled", "sent"]
    assert await held(school.org_id) == 0


async def test_letters_without_an_end_are_held_for_14_days(hub: Hub, relay: Relay) -> None:
    school = await hub.school()
    in_a_year = datetime.now(UTC) + timedelta(days=365)
    new = [letter(somebody(), "email.news", org_id=school.org_id, expires_at=each) for each in (None, in_a_year, None)]
    await tell(hub, school.org_id, suspended=True, version=10)
    await send(*new)
    await hub.settle()
    async with read() as db:
        ends = await db.rows("SELECT expires_at FROM email.held_letters WHERE org_id = $1", school.org_id)
        for each in new[:2]:
            await db.run(
                "UPDATE email.held_letters SET expires_at = expires_at - interval '14 days' WHERE letter_id = $1",
                each.id,
            )

    await hub.run_cron("email.purge")
    await tell(hub, school.org_id, suspended=False, version=11)
    await hub.settle()

    assert {(row["expires_at"] - datetime.now(UTC)).days for row in ends} <= {13, 14}
    assert [(await state_of(each.id))[0] for each in new] == ["expired", "expired", "sent"]
    assert relay.server.to(new[0].to) == []


async def test_what_is_being_stopped_is_not_waited_for_and_not_let_go(hub: Hub, relay: Relay) -> None:
    school = await hub.school()
    stopped, kept = (letter(somebody(), "email.news", org_id=school.org_id) for _ in range(2))
    await tell(hub, school.org_id, suspended=True, version=10)
    await send(stopped, kept)
    await hub.settle()
    await tell(hub, school.org_id, suspended=False, version=11)

    async with meanwhile(lambda tx: letters.update_cancelled(tx, [stopped.id])):
        first = await logic.let_go(platform("email"), school.org_id, 10)
    second = await logic.let_go(platform("email"), school.org_id, 10)
    third = await logic.let_go(platform("email"), school.org_id, 10)
    await hub.settle()

    assert (first, second, third) == (10, 1, 0), "it comes back for the one that was being changed"
    assert [(await state_of(each.id))[0] for each in (stopped, kept)] == ["cancelled", "sent"]


async def test_late_news_of_a_suspension_changes_nothing(hub: Hub, relay: Relay) -> None:
    school = await hub.school()
    await tell(hub, school.org_id, suspended=True, version=10)
    await tell(hub, school.org_id, suspended=False, version=11)
    await tell(hub, school.org_id, suspended=True, version=10)
    first = letter(somebody(), "email.news", org_id=school.org_id)
    await send(first)
    await hub.settle()

    await tell(hub, school.org_id, suspended=True, version=12)
    await tell(hub, school.org_id, suspended=False, version=11)
    second = letter(somebody(), "email.news", org_id=school.org_id)
    await send(second)
    await hub.settle()

    assert [(await state_of(each.id))[0] for each in (first, second)] == ["sent", "held"]


async def test_a_letter_deferred_before_a_suspension_gets_two_days_more(hub: Hub, relay: Relay) -> None:
    school, to = await hub.school(), somebody()
    relay.server.answers("RCPT", to, "450 4.2.0 later", "450 4.2.0 later")
    new = letter(to, "email.news", org_id=school.org_id)
    await send(new)
    await hub.settle()
    await tell(hub, school.org_id, suspended=True, version=10)
    await make_due(new.id)
    await hub.settle()
    async with read() as db:
        await db.run("UPDATE email.letters SET created_at = now() - interval '9 days' WHERE id = $1", new.id)

    await tell(hub, school.org_id, suspended=False, version=11)
    await hub.settle()
    after = await state_of(new.id)
    await make_due(new.id)
    await hub.settle()

    assert after == ("deferred", "4.2.0 later")
    assert await state_of(new.id) == ("sent", None)
    assert len(relay.server.to(to)) == 1


async def test_a_suspension_that_ends_while_letters_are_held_leaves_none(hub: Hub, relay: Relay) -> None:
    school, lease = await hub.school(), new_id()
    news = [letter(somebody(), "email.news", org_id=school.org_id) for _ in range(5)]
    await tell(hub, school.org_id, suspended=True, version=10)
    await send(*news)

    async with meanwhile(lambda tx: take(tx, lease)) as went:
        ending = asyncio.create_task(tell(hub, school.org_id, suspended=False, version=11))
        waited = await waits_for_a_lock(ending)
    await ending
    async with read() as db:
        await db.run("UPDATE email.destinations SET due_at = now(), lease = NULL WHERE lease = $1", lease)
    await hub.settle()

    assert waited, "whoever ends it finds what is held"
    assert {each.id for each in news} & {*went} == set()
    assert {await state_of(each.id) for each in news} == {("sent", None)}


async def test_letters_wait_a_moment_while_a_suspension_is_changing(hub: Hub, relay: Relay) -> None:
    school = await hub.school()
    new = letter(somebody(), "email.news", org_id=school.org_id)
    await tell(hub, school.org_id, suspended=True, version=10)
    await send(new)

    ends = partial(holds.upsert_organization, org_id=school.org_id, suspended=False, version=11)
    async with meanwhile(ends):
        await delivery.deliver(platform("email"), "bulk")
        between = await state_of(new.id)
    await make_due(new.id)
    await hub.settle()

    assert between == ("queued", None)
    assert await state_of(new.id) == ("sent", None)


async def test_suspending_again_and_again_sends_each_letter_once(hub: Hub, relay: Relay) -> None:
    schools = [await hub.school() for _ in range(3)]
    news = [
        letter(somebody(f"d{number % 5}.example"), "email.news", org_id=schools[number % 3].org_id)
        for number in range(150)
    ]
    await send(*news)

    async def turn(school: School) -> None:
        for version in range(10, 20):
            await tell(hub, school.org_id, suspended=version % 2 == 0, version=version)
            await logic.let_go(platform("email"), school.org_id, 7)

    async def pump() -> None:
        for _ in range(6):
            await delivery.deliver(platform("email"), "bulk")

    await asyncio.gather(*(turn(school) for school in schools), pump(), pump())
    async with asyncio.timeout(60):
        while {await state_of(each.id) for each in news} != {("sent", None)}:
            await make_due(news[0].id)
            async with read() as db:
                await db.run("UPDATE email.letters SET due_at = now() WHERE state = 'queued'")
            await hub.settle()

    assert [len(relay.server.to(each.to)) for each in news] == [1] * 150
