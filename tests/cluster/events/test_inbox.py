"""Taking events over: once, in order, and one key's trouble is no other's."""

import asyncio
from itertools import groupby

import asyncpg
import pytest

from cluster import events
from cluster.base.ids import new_id
from cluster.data import Transaction
from cluster.data.postgres import pool
from cluster.events import Envelope, drainer, handling, inbox, parked
from cluster.events.drainer import MAX_ATTEMPTS
from cluster.events.inbox import Receipt
from tests.cluster.events.probe import FAULTS, Counted, Echoed, counted, drain_now, echoes, effects, parked_keys
from tests.kernel import committed, registries_kept, rows, run

pytestmark = pytest.mark.usefixtures("listener", "empty")


async def test_an_event_takes_effect_once_however_often_it_arrives() -> None:
    envelope = counted(new_id(), 1)
    assert await inbox.receive("listener", [envelope, envelope]) == Receipt(handled=1)
    assert await inbox.receive("listener", [envelope]) == Receipt()
    assert await effects() == {envelope.subject: [1]}
    assert await echoes() == [1]


async def test_two_consumers_with_the_same_batch_share_it() -> None:
    key = new_id()
    batch = [counted(key, n) for n in range(20)]
    receipts = await asyncio.gather(*(inbox.receive("listener", batch) for _ in range(4)))
    assert sum(receipt.handled for receipt in receipts) == 20
    assert await effects() == {str(key): list(range(20))}


async def test_a_failed_event_is_parked_with_later_ones_and_other_keys_go_on() -> None:
    bad, good = new_id(), new_id()
    FAULTS.errors[2] = 99
    batch = [counted(bad, 1), counted(bad, 2), counted(good, 11), counted(bad, 3), counted(good, 12)]
    assert await inbox.receive("listener", batch) == Receipt(handled=3, parked=2)
    assert await inbox.receive("listener", [counted(bad, 4), counted(good, 13)]) == Receipt(handled=1, parked=1)
    assert await effects() == {str(bad): [1], str(good): [11, 12, 13]}
    # What the failed handler had emitted before it failed is gone with it.
    assert sorted(await echoes()) == [1, 11, 12, 13]
    async with committed() as tx:
        [key] = await parked.list_keys(tx, "listener")
        waiting = await parked.list_events(tx, "listener", str(bad))
    assert (key.key, key.waiting, key.attempts, key.dead) == (str(bad), 3, 1, False)
    assert key.last_error.startswith("ValueError: event 2 is not wanted now (probe.py:")
    assert [Envelope.decode(event.envelope).payload["n"] for event in waiting] == [2, 3, 4]


async def test_the_drainer_works_a_key_in_order_and_frees_it() -> None:
    key = new_id()
    # 1 fails in the batch, on its own, and in the first round of the drainer; 3 behind the others, and on its own.
    FAULTS.errors.update({1: 3, 3: 2})
    await inbox.receive("listener", [counted(key, n) for n in (1, 2, 3, 4)])
    assert await drain_now()
    assert await parked_keys() == {str(key): (2, False)}
    assert await drain_now()
    assert await effects() == {str(key): [1, 2]}
    assert await parked_keys() == {str(key): (0, False)}
    # 1 and 2 are done, 3 has failed for the first time: its attempts start over.
    assert await drain_now()
    assert await parked_keys() == {str(key): (1, False)}
    assert await drain_now()
    assert not await drain_now()
    assert await effects() == {str(key): [1, 2, 3, 4]}
    assert await parked_keys() == {}
    assert await inbox.receive("listener", [counted(key, 5)]) == Receipt(handled=1)


async def test_a_long_queue_is_drained_in_parts() -> None:
    key = new_id()
    FAULTS.errors[0] = 2
    await inbox.receive("listener", [counted(key, n) for n in range(120)])
    rounds = 0
    while await drain_now():
        rounds += 1
    assert rounds == 3
    assert await effects() == {str(key): list(range(120))}


async def test_a_key_is_dead_after_its_attempts_until_somebody_decides() -> None:
    key = new_id()
    FAULTS.errors[1] = 1000
    await inbox.receive("listener", [counted(key, 1), counted(key, 2)])
    for _ in range(MAX_ATTEMPTS - 1):
        assert await drain_now()
    assert await parked_keys() == {str(key): (MAX_ATTEMPTS, True)}
    assert not await drain_now()
    await inbox.receive("listener", [counted(key, 3)])

    async with committed() as tx:
        assert await parked.replay(tx, "listener", str(key)) == 1
    assert await drain_now()
    assert await parked_keys() == {str(key): (1, False)}

    async with committed() as tx:
        skipped = await parked.skip(tx, "listener", str(key))
    assert skipped is not None
    assert Envelope.decode(skipped.envelope).payload["n"] == 1
    assert await drain_now()
    assert await effects() == {str(key): [2, 3]}


async def test_skipping_the_only_event_frees_the_key() -> None:
    key = new_id()
    FAULTS.errors[1] = 1000
    await inbox.receive("listener", [counted(key, 1)])
    async with committed() as tx:
        assert await parked.skip(tx, "listener", str(key)) is not None
        assert await parked.skip(tx, "listener", str(key)) is None
    assert await drain_now()
    assert await parked_keys() == {}


async def test_a_lost_connection_parks_nothing() -> None:
    key = new_id()
    FAULTS.lost_connections[2] = 1
    batch = [counted(key, 1), counted(key, 2)]
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await inbox.receive("listener", batch)
    assert await effects() == {}
    assert await inbox.receive("listener", batch) == Receipt(handled=2)
    assert await parked_keys() == {}


async def test_a_handler_that_hangs_is_parked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handling, "HANDLER_LIMIT_S", 0.05)

    async def hang(tx: Transaction, envelope: Envelope, event: object) -> None:
        await tx.run("SELECT pg_sleep(30)")

    with registries_kept():
        kind = events.event_type("probe.counted")
        assert kind is not None
        events.on(kind.python, service="sleeper")(hang)
        receipt = await inbox.receive("sleeper", [counted(new_id(), 1)])
    assert receipt == Receipt(parked=1)
    [(error,)] = await rows("SELECT last_error FROM hub.parked_keys")
    assert error.startswith("TimeoutError")


async def test_an_event_without_a_required_field_is_parked_unknown_fields_pass() -> None:
    newer, broken = counted(new_id(), 1), counted(new_id(), 2)
    newer.payload["colour"] = "blue"
    del broken.payload["n"]
    assert await inbox.receive("listener", [newer, broken]) == Receipt(handled=1, parked=1)
    assert await effects() == {newer.subject: [1]}


async def test_a_consumer_waits_for_the_drainer_of_its_key() -> None:
    """The drainer holds the key while it finishes; the consumer's next event comes after, not beside."""
    key = new_id()
    FAULTS.errors[1] = 2
    await inbox.receive("listener", [counted(key, 1)])
    async with pool().acquire() as drainer, drainer.transaction():
        await drainer.execute("SELECT 1 FROM hub.parked_keys WHERE key = $1 FOR UPDATE", str(key))
        receiving = asyncio.create_task(inbox.receive("listener", [counted(key, 2)]))
        done, _ = await asyncio.wait([receiving], timeout=0.2)
        assert not done
        await drainer.execute("DELETE FROM hub.parked WHERE key = $1", str(key))
        await drainer.execute("DELETE FROM hub.parked_keys WHERE key = $1", str(key))
    assert await receiving == Receipt(handled=1)
    assert await effects() == {str(key): [2]}


async def test_listeners_to_everything_get_batches_and_park_like_others() -> None:
    heard: list[list[int]] = []

    async def hear(tx: Transaction, envelopes: list[Envelope]) -> None:
        numbers = [envelope.payload["n"] for envelope in envelopes]
        heard.append(numbers)
        if 2 in numbers:
            raise ValueError("not 2")

    with registries_kept():
        events.on_all(hear, service="chronicle")
        batch = [counted(new_id(), n) for n in (1, 2, 3)]
        assert await inbox.receive("chronicle", batch) == Receipt(handled=2, parked=1)
    assert heard == [[1, 2, 3], [1], [2, 3], [2], [3]]


async def test_drainer_keeps_a_parked_event_that_this_release_does_not_know() -> None:
    key = new_id()
    FAULTS.errors[1] = 2
    await inbox.receive("listener", [counted(key, 1), counted(key, 2)])

    with registries_kept():
        events.handlers_of("listener").by_type.clear()
        for _ in range(MAX_ATTEMPTS + 1):
            assert await drain_now()
        unknown = await parked_keys()
        [(error,)] = await rows("SELECT last_error FROM hub.parked_keys")
    assert await drain_now()

    assert unknown == {str(key): (1, False)}
    assert error.startswith("UnknownEvent: this release of listener has no handler for probe.counted")
    assert await effects() == {str(key): [1, 2]}
    assert await parked_keys() == {}


async def test_drainer_takes_over_what_stands_before_an_unknown_event() -> None:
    key = new_id()
    FAULTS.errors[1] = 2
    newer = events.envelope_of(Echoed(thing_id=key, n=2), version=2, id=new_id())
    with registries_kept():
        events.on(Echoed, service="listener")(ignore)
        await inbox.receive("listener", [counted(key, 1), newer, counted(key, 3)])

    assert await drain_now()
    assert await drain_now()

    assert await effects() == {str(key): [1]}
    assert [row[0] for row in await rows("SELECT type FROM hub.parked ORDER BY seq")] == [
        "probe.echoed",
        "probe.counted",
    ]
    assert await parked_keys() == {str(key): (0, False)}


async def test_receive_skips_a_type_without_a_handler() -> None:
    newer = events.envelope_of(Echoed(thing_id=new_id(), n=2), version=2, id=new_id())

    assert await inbox.receive("listener", [newer]) == Receipt()

    assert await rows("SELECT 1 FROM hub.inbox") == []


async def ignore(tx: Transaction, envelope: Envelope, event: Echoed) -> None:
    return


async def test_receive_commits_about_a_second_of_handlers_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(handling, "monotonic", clock)
    calls: list[tuple[int, int]] = []

    async def slow(tx: Transaction, envelope: Envelope, event: Counted) -> None:
        clock.now_s += 0.4
        calls.append((event.n, await tx.value("SELECT pg_current_xact_id()::text::bigint")))

    with registries_kept():
        events.on(Counted, service="slow")(slow)
        batch = [counted(new_id(), n) for n in range(7)]
        receipt = await inbox.receive("slow", batch)
        again = await inbox.receive("slow", batch)

    assert receipt == Receipt(handled=7)
    assert again == Receipt()
    assert [n for n, _ in calls] == list(range(7))
    assert [len(list(group)) for _, group in groupby(xid for _, xid in calls)] == [3, 3, 1]


async def test_drainer_commits_about_a_second_of_handlers_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, key = Clock(), new_id()
    monkeypatch.setattr(handling, "monotonic", clock)
    failing = True
    calls: list[tuple[int, int]] = []

    async def slow(tx: Transaction, envelope: Envelope, event: Counted) -> None:
        if failing:
            raise ValueError("park it")
        clock.now_s += 0.4
        calls.append((event.n, await tx.value("SELECT pg_current_xact_id()::text::bigint")))

    with registries_kept():
        events.on(Counted, service="slow")(slow)
        await inbox.receive("slow", [counted(key, n) for n in range(7)])
        failing = False
        await run("UPDATE hub.parked_keys SET retry_at = now()")
        while await drainer.drain_once(["slow"]):
            pass

    assert [n for n, _ in calls] == list(range(7))
    assert [len(list(group)) for _, group in groupby(xid for _, xid in calls)] == [3, 3, 1]
    assert await parked_keys() == {}


class Clock:
    """A clock that stands still unless a handler moves it."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s
