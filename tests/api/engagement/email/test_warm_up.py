"""A sender that warms up sends so many letters a day, and the others on the next."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from api.engagement.email.delivery import logic as delivery
from api.engagement.email.sender import dns
from api.engagement.email.warm_up import logic, store
from api.engagement.email.warm_up.rules import Plan
from cluster.base.principal import platform
from cluster.base.settings import settings
from cluster.data import read, write
from tests.api.engagement.email.conftest import Relay, letter, make_due, send, somebody, state_of
from tests.api.engagement.email.dns_server import DnsServer, dns_server
from tests.api.engagement.email.test_senders import check, publish, sender_of
from tests.harness import Hub, School, done, problem
from tests.org_settings import change, settings_of

KIRITIMATI, PAGO = ZoneInfo("Pacific/Kiritimati"), ZoneInfo("Pacific/Pago_Pago")
"""14 hours before UTC and 11 after: never the same day."""


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[DnsServer]:
    """Have DNS asked of a server of the test."""
    with dns_server() as (server, address):
        named = replace(settings(), dns_server=address)
        monkeypatch.setattr(dns, "settings", lambda: named)
        yield server


async def warming(zone: DnsServer, school: School, domain: str, steps: list[int]) -> str:
    """Make a verified sender with a plan, and return its path."""
    sender = await sender_of(school, domain)
    publish(zone, sender)
    assert (await check(school, sender))["state"] == "verified"
    path = f"/v1/senders/{sender['id']}"
    done(await school.owner.put(f"{path}/warm-up", {"steps": steps}))
    return path


async def shown(school: School, path: str) -> dict[str, Any]:
    return done(await school.owner.get(path))["warm_up"]


async def states(*ids: UUID) -> list[str]:
    return sorted([(await state_of(id))[0] for id in ids])


async def due_at(id: UUID) -> datetime:
    async with read() as db:
        return await db.value("SELECT due_at FROM email.letters WHERE id = $1", id)


async def yesterday(path: str) -> None:
    """Let everything about a plan have been a day before."""
    async with read() as db:
        await db.run(
            "UPDATE email.warm_ups SET started_on = started_on - 1, counted_on = counted_on - 1 WHERE sender_id = $1",
            UUID(path.rpartition("/")[2]),
        )


async def test_letters_beyond_the_days_number_wait_for_the_next(hub: Hub, relay: Relay, zone: DnsServer) -> None:
    school = await hub.school()
    path = await warming(zone, school, "warm.example", [3, 5])
    new = [letter(somebody(), "email.news", org_id=school.org_id) for _ in range(10)]
    way_in = letter(somebody(), "email.way_in", org_id=school.org_id)
    await send(*new, way_in)

    await hub.settle()
    first, second = await states(*(each.id for each in new)), await shown(school, path)
    waiting = [each.id for each in new if await state_of(each.id) == ("queued", None)]
    midnight = datetime.combine(datetime.now(UTC).date() + timedelta(days=1), time(0), UTC)
    postponed = {await due_at(id) for id in waiting}
    await yesterday(path)
    for id in waiting:
        await make_due(id)
    await hub.settle()

    assert first == ["queued"] * 7 + ["sent"] * 3
    assert await state_of(way_in.id) == ("sent", None)
    assert (second["limit_today"], second["sent_today"], second["time_zone"]) == (3, 3, "UTC")
    assert postponed == {midnight}
    assert await states(*(each.id for each in new)) == ["queued"] * 2 + ["sent"] * 8
    third = await shown(school, path)
    assert (third["limit_today"], third["sent_today"]) == (5, 5)


async def test_what_was_tried_goes_on_and_counts_once(hub: Hub, relay: Relay, zone: DnsServer) -> None:
    school, to = await hub.school(), somebody()
    path = await warming(zone, school, "again.example", [1])
    relay.server.answers("RCPT", to, "450 4.2.0 later")
    deferred, late = letter(to, org_id=school.org_id), letter(somebody(), org_id=school.org_id)
    await send(deferred)
    await hub.settle()
    await send(late)
    await make_due(deferred.id)

    await hub.settle()
    async with read() as db:
        since = await db.value("SELECT tried_since FROM email.letters WHERE id = $1", late.id)

    assert await state_of(deferred.id) == ("sent", None)
    assert await state_of(late.id) == ("queued", None)
    assert since == await due_at(late.id), "its two days begin when it may go"
    assert (await shown(school, path))["sent_today"] == 1


async def test_two_lanes_at_once_send_no_more_than_the_day_has(hub: Hub, relay: Relay, zone: DnsServer) -> None:
    school = await hub.school()
    path = await warming(zone, school, "race.example", [7])
    new = [
        letter(somebody(f"d{number % 3}.example"), name, org_id=school.org_id)
        for number in range(10)
        for name in ("email.news", "email.note")
    ]
    await send(*new)

    await asyncio.gather(
        *(delivery.deliver(platform("email"), lane) for lane in ("bulk", "personal", "bulk", "personal"))
    )
    await hub.settle()

    assert await states(*(each.id for each in new)) == ["queued"] * 13 + ["sent"] * 7
    assert (await shown(school, path))["sent_today"] == 7


async def test_letters_of_others_and_of_the_platform_are_not_counted(hub: Hub, relay: Relay, zone: DnsServer) -> None:
    school, other = await hub.school(), await hub.school()
    path = await warming(zone, school, "own.example", [1])
    new = [letter(somebody(), org_id=org_id) for org_id in (other.org_id, None, school.org_id)]
    await send(*new)

    await hub.settle()

    assert await states(*(each.id for each in new)) == ["sent"] * 3
    assert (await shown(school, path))["sent_today"] == 1


async def test_a_plan_keeps_its_beginning_and_ends_by_request(hub: Hub, relay: Relay, zone: DnsServer) -> None:
    school = await hub.school()
    path = await warming(zone, school, "plan.example", [10, 20])
    await yesterday(path)

    same = done(await school.owner.put(f"{path}/warm-up", {"steps": [10, 20]}))
    other = done(await school.owner.put(f"{path}/warm-up", {"steps": [5, 20, 30]}))
    read_there = done(await school.owner.get(f"{path}/warm-up"))
    done(await school.owner.delete(f"{path}/warm-up"), 204)
    done(await school.owner.delete(f"{path}/warm-up"), 204)
    await send(*(letter(somebody(), org_id=school.org_id) for _ in range(6)))
    await hub.settle()

    today = datetime.now(UTC).date()
    assert (same["started_on"], same["ends_on"]) == (str(today - timedelta(days=1)), str(today + timedelta(days=1)))
    assert (same["limit_today"], other["limit_today"], other["started_on"]) == (20, 5, str(today))
    assert read_there == other
    assert await shown(school, path) is None
    problem(await school.owner.get(f"{path}/warm-up"), 404, "warm-up-not-found")


async def test_what_waits_for_tomorrow_goes_when_the_plan_is_changed(
    hub: Hub, relay: Relay, zone: DnsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logic, "look_again", partial(logic.look_again, limit=2))
    school = await hub.school()
    path = await warming(zone, school, "change.example", [1])
    new = [
        letter(somebody(f"d{number % 2}.example"), name, org_id=school.org_id)
        for number in range(4)
        for name in ("email.news", "email.note")
    ]
    await send(*new)
    await hub.settle()
    tight = await states(*(each.id for each in new))

    done(await school.owner.put(f"{path}/warm-up", {"steps": [3]}))
    await hub.settle()
    wider = await states(*(each.id for each in new))
    done(await school.owner.delete(f"{path}/warm-up"), 204)
    await hub.settle()

    assert tight == ["queued"] * 7 + ["sent"]
    assert wider == ["queued"] * 5 + ["sent"] * 3
    assert await states(*(each.id for each in new)) == ["sent"] * 8


async def test_days_begin_in_the_organizations_time_zone(hub: Hub, zone: DnsServer) -> None:
    school = await hub.school()
    chosen = settings_of(school.org_id)
    done(await change(school.owner, chosen, {"email.time_zone": "Pacific/Kiritimati"}))
    await hub.broadcasts_arrived()
    path = await warming(zone, school, "east.example", [10, 20])
    east = await shown(school, path)
    done(await change(school.owner, chosen, {"email.time_zone": "Pacific/Pago_Pago"}))
    await hub.broadcasts_arrived()
    await hub.run_cron("email.follow_zones")

    west = await shown(school, path)

    assert (east["time_zone"], west["time_zone"]) == ("Pacific/Kiritimati", "Pacific/Pago_Pago")
    assert date.fromisoformat(east["started_on"]) == datetime.now(KIRITIMATI).date()
    problem(await change(school.owner, chosen, {"email.time_zone": "Middle/Nowhere"}), 422)


async def test_a_taker_behind_midnight_counts_on_the_day_that_has_begun(
    hub: Hub, relay: Relay, zone: DnsServer
) -> None:
    """Another one, whose clock says tomorrow, has counted as many letters as that day has."""
    school = await hub.school()
    path = await warming(zone, school, "midnight.example", [1, 2])
    sender_id = UUID(path.rpartition("/")[2])
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    async with read() as db:
        await db.run("UPDATE email.warm_ups SET counted_on = $1, letters = 2 WHERE sender_id = $2", tomorrow, sender_id)
    new = letter(somebody(), org_id=school.org_id)

    await send(new)
    await hub.settle()

    async with read() as db:
        [row] = await db.rows("SELECT counted_on, letters FROM email.warm_ups WHERE sender_id = $1", sender_id)
    assert (await state_of(new.id))[0] == "queued"
    assert tuple(row) == (tomorrow, 2)


async def test_a_plan_that_is_over_is_neither_locked_nor_counted(hub: Hub, relay: Relay, zone: DnsServer) -> None:
    school = await hub.school()
    path = await warming(zone, school, "over.example", [1, 2])
    sender_id = UUID(path.rpartition("/")[2])
    new = [letter(somebody(), org_id=school.org_id) for _ in range(3)]
    locked: list[bool] = []
    for days in (1, 4):
        async with write(platform("email")) as tx:
            await tx.run(
                "UPDATE email.warm_ups SET started_on = $day WHERE sender_id = $sender_id",
                day=datetime.now(UTC).date() - timedelta(days=days),
                sender_id=sender_id,
            )
            locked.append(sender_id in {each.sender_id for each in await store.lock_plans(tx, {school.org_id})})

    await send(*new)
    await hub.settle()

    async with read() as db:
        counted = await db.value("SELECT counted_on FROM email.warm_ups WHERE sender_id = $1", sender_id)
    assert locked == [True, False]
    assert await states(*(each.id for each in new)) == ["sent"] * 3
    assert counted is None


def test_a_day_of_a_plan_ends_when_its_clock_says_so() -> None:
    plan = Plan(steps=[1, 2], started_on=date(2031, 3, 30), time_zone="Europe/Berlin", counted_on=None, letters=9)

    late = datetime(2031, 3, 29, 23, 30, tzinfo=UTC)

    assert plan.day_of(late) == date(2031, 3, 30)
    assert plan.next_day(late) == datetime(2031, 3, 30, 22, tzinfo=UTC), "the clock is put forward that day"
    assert [plan.limit_on(date(2031, 3, 29 + n)) for n in range(3)] == [1, 1, 2]
    assert plan.limit_on(date(2031, 4, 1)) is None
    assert plan.room(date(2031, 3, 31)) == 2


@pytest.mark.parametrize(
    ("steps", "pointer"),
    [([], "/steps"), ([0, 5], "/steps/0"), ([5, 10, 10], "/steps/2"), ([1] * 91, "/steps"), (["many"], "/steps/0")],
)
async def test_a_plan_rejects(hub: Hub, zone: DnsServer, steps: list[Any], pointer: str) -> None:
    school = await hub.school()
    path = f"/v1/senders/{(await sender_of(school, 'bad.example'))['id']}/warm-up"

    answer = await school.owner.put(path, {"steps": steps})

    assert [each["pointer"] for each in problem(answer, 422)["errors"]] == [pointer]
    problem(await (await hub.school()).owner.put(path, {"steps": [1, 2]}), 404, "sender-not-found")
