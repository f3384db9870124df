"""Outbox, relay, Kafka, consumers: through crashes, stolen leases and rebalances each event takes effect once, in order."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

import pytest

from actors.consumers import Consumer
from actors.loops import Loop, Stuck
from actors.relay import Relay
from actors.worker import WorkerHost
from cluster import events, jobs
from cluster.base.ids import OrgId, new_id
from cluster.data import Transaction
from cluster.events import Envelope
from cluster.jobs import enqueue
from cluster.jobs import run as job_runs
from cluster.signals.wake import Bell
from tests.kernel import committed, registries_kept, rows, run

pytestmark = pytest.mark.usefixtures("kernel", "empty")


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    thing_id: UUID
    org_id: OrgId | None = None
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    thing_id: UUID


@dataclass(frozen=True)
class Stage:
    """Names of a speaker and a listener that no other run has used, so that their topic and group are new."""

    speaker: str
    listener: str
    poisoned: set[str]


@pytest.fixture
async def stage(kernel: str) -> AsyncIterator[Stage]:
    suffix = new_id().hex[-12:]
    stage = Stage(f"speaker-{suffix}", f"listener-{suffix}", set())

    async def note(tx: Transaction, envelope: Envelope, event: Moved) -> None:
        if envelope.subject in stage.poisoned:
            raise ValueError("poisoned")
        await tx.run(
            "INSERT INTO probe.effects (consumer, key, n, event_id) VALUES ('listener', $1, $2, $3)",
            envelope.subject,
            event.version,
            envelope.id,
        )

    with registries_kept():
        events.event("probe.moved", subject="thing_id", service=stage.speaker)(Moved)
        events.on(Moved, service=stage.listener)(note)
        yield stage


async def move(thing: UUID, speaker: str) -> None:
    """Change a thing and tell it, as logic does: the row first, the event under its lock."""
    async with committed(speaker) as tx:
        version = await tx.value(
            "INSERT INTO probe.things (id, version) VALUES ($1, 1) "
            "ON CONFLICT (id) DO UPDATE SET version = things.version + 1 RETURNING version",
            thing,
        )
        events.emit(tx, Moved(thing_id=thing, version=version), version=version)


async def effects() -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for key, n in await rows("SELECT key, n FROM probe.effects ORDER BY position"):
        found.setdefault(key, []).append(n)
    return found


async def eventually(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await true():  # noqa: ASYNC110  the database tells nobody
            await asyncio.sleep(0.05)


async def crash(*loops: Loop) -> None:
    """Stop in the middle of whatever they do, and release nothing."""
    for loop in loops:
        await loop.stop()


async def test_each_event_takes_effect_once_through_crashes_and_rebalances(stage: Stage) -> None:
    rng = random.Random(7)
    things = [new_id() for _ in range(4)]
    turn = asyncio.Semaphore(4)
    relays = [Relay(Bell()) for _ in range(2)]
    crashed: list[Relay] = []
    consumers = [Consumer(stage.listener, turn) for _ in range(2)]
    for part in (*relays, *(consumer.loop for consumer in consumers)):
        part.start()

    async def write() -> None:
        for _ in range(60):
            await move(rng.choice(things), stage.speaker)
            await asyncio.sleep(rng.random() * 0.02)

    async def trouble() -> None:
        for kind in ("steal", "relay", "consumer", "steal", "consumer", "relay", "steal"):
            await asyncio.sleep(0.3)
            if kind == "steal":
                await run("UPDATE hub.relay_leases SET owner = NULL, expires_at = '-infinity' WHERE shard % 2 = 0")
            elif kind == "relay":
                crashed.append(relays.pop(0))
                await crash(*crashed[-1].loops)
                await run("UPDATE hub.relay_leases SET expires_at = '-infinity'")
                relays.append(Relay(Bell()))
                relays[-1].start()
            else:
                dead = consumers.pop(0)
                await crash(dead.loop)
                await dead.leave()
                consumers.append(Consumer(stage.listener, turn))
                consumers[-1].loop.start()

    await asyncio.gather(*(write() for _ in range(3)), trouble())
    try:

        async def all_arrived() -> bool:
            return (await rows("SELECT count(*) FROM probe.effects"))[0][0] >= 180

        async def all_left() -> bool:
            # A relay deletes what Kafka has acknowledged, which may be after its effect.
            return await rows("SELECT 1 FROM hub.outbox") == []

        await eventually(all_arrived)
        await eventually(all_left)
    finally:
        for consumer in consumers:
            await consumer.loop.stop()
            await consumer.leave()
        for relay in (*relays, *crashed):
            await relay.stop()
    versions = dict(await rows("SELECT id::text, version FROM probe.things"))
    assert sum(versions.values()) == 180
    assert await effects() == {key: list(range(1, last + 1)) for key, last in versions.items()}
    assert await rows("SELECT 1 FROM hub.outbox") == []


async def test_a_worker_host_delivers_parks_heals_and_works(stage: Stage) -> None:
    fetched = asyncio.Event()

    async def fetch(job_run: job_runs.JobRun, args: Fetch) -> None:
        fetched.set()

    jobs.job("probe.fetch", service=stage.listener)(Fetch)
    jobs.perform(Fetch)(fetch)
    host = WorkerHost((stage.listener,))
    host.start_parts()
    try:
        bad, good = new_id(), new_id()
        stage.poisoned.add(str(bad))
        for _ in range(3):
            await move(bad, stage.speaker)
            await move(good, stage.speaker)
        async with committed() as tx:
            enqueue(tx, Fetch(thing_id=good))

        async def good_arrived() -> bool:
            return await effects() == {str(good): [1, 2, 3]}

        await eventually(good_arrived)
        await asyncio.wait_for(fetched.wait(), 30)
        await host.healthy()

        async def all_parked() -> bool:
            return (await rows("SELECT count(*) FROM hub.parked WHERE key = $1", str(bad)))[0][0] == 3

        await eventually(all_parked)
        stage.poisoned.clear()

        async def healed() -> bool:
            await run("UPDATE hub.parked_keys SET retry_at = now()")
            return (await effects()).get(str(bad)) == [1, 2, 3]

        await eventually(healed)
    finally:
        await host.stop_parts()


async def test_relays_share_the_shards_and_take_over_what_another_leaves() -> None:
    first, second = Relay(Bell()), Relay(Bell())
    await first.lease()
    assert await _shares() == [16]
    await second.lease()
    await first.lease()
    await second.lease()
    assert await _shares() == [8, 8]
    await first.stop()
    await second.lease()
    assert await _shares() == [16]
    await second.stop()
    assert await _shares() == []


async def _shares() -> list[int]:
    found = await rows("SELECT count(*) FROM hub.relay_leases WHERE expires_at > now() GROUP BY owner ORDER BY 1")
    return [count for (count,) in found]


async def test_a_loop_that_fails_goes_on_and_one_that_hangs_is_noticed() -> None:
    rounds = 0
    third = asyncio.Event()

    async def step() -> float:
        nonlocal rounds
        rounds += 1
        if rounds < 3:
            raise OSError("away")
        third.set()
        await asyncio.Event().wait()
        return 0.0

    loop = Loop("probe", step, limit_s=0.0)
    loop.start()
    await asyncio.wait_for(third.wait(), 30)
    with pytest.raises(Stuck, match="probe has hung"):
        loop.healthy()
    await loop.stop()
    with pytest.raises(Stuck, match="probe has ended"):
        loop.healthy()
