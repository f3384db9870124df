"""How many events a second go from the outbox through Kafka to a committed effect, and how long one takes at half that load.

One worker host runs in this process, the writer of the steady load in another.
"""

import asyncio
import sys
import time
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import asyncpg
import uvloop

from actors.worker import WorkerHost
from bench.figures import Figure, hand_over, progress, quick
from cluster import events
from cluster.base.ids import OrgId, new_id
from cluster.base.principal import platform
from cluster.base.settings import REPOSITORY, settings
from cluster.data import Transaction, postgres, read
from cluster.data.migrations import KERNEL, migrations
from cluster.data.postgres import pool, transaction
from cluster.events import Envelope, emit
from cluster.signals import redis

_BACKLOG = 2_000 if quick() else 20_000
_STEADY_S = 2.0 if quick() else 8.0
_PER_TRANSACTION = 10
_GOAL_PER_S = 2_500
_GOAL_P99_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Benched:
    thing_id: UUID
    org_id: OrgId | None = None
    n: int


async def run() -> list[Figure]:
    """Measure on a database, a topic and a group of its own; leave none of its rows behind."""
    name = f"{settings().stack}_bench_events"
    suffix = new_id().hex[-12:]
    admin = await asyncpg.connect(settings().postgres_url)
    try:
        await admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        await admin.execute(f'CREATE DATABASE "{name}"')
        try:
            url = urlunsplit(urlsplit(settings().postgres_url)._replace(path=f"/{name}"))
            return await _measure(url, f"bench-speaker-{suffix}", f"bench-listener-{suffix}")
        finally:
            await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    finally:
        await admin.close()


async def _measure(url: str, speaker: str, listener: str) -> list[Figure]:
    await postgres.connect(url, size=8, application="bench events")
    await redis.connect()
    async with read() as db:
        await db.raw.execute("CREATE SCHEMA hub")
        for migration in migrations():
            if migration.service == KERNEL:
                await db.raw.execute(migration.sql)
        await db.raw.execute(
            "CREATE TABLE hub.bench (id uuid PRIMARY KEY, told_at timestamptz, at timestamptz DEFAULT clock_timestamp())"
        )
    events.event("bench.benched", subject="thing_id", service=speaker)(Benched)
    events.on(Benched, service=listener)(_take_effect)
    host = WorkerHost((listener,))
    try:
        await _tell(speaker, 1)
        host.start_parts()
        # Topics, groups and leases are there once the first event has arrived.
        await _arrived(1)
        await host.stop_parts()
        for _ in range(_BACKLOG // 1000):
            await _tell(speaker, 1000)
        host.start_parts()
        await _arrived(2)
        begun = time.perf_counter()
        before = await _count()
        await _arrived(_BACKLOG + 1)
        per_s = (_BACKLOG + 1 - before) / (time.perf_counter() - begun)
        progress(f"{_BACKLOG} events that had waited took effect at {per_s:.0f}/s; now half of that, steadily")
        p50_s, p99_s = await _steady(url, speaker, per_s / 2)
    finally:
        await host.stop_parts()
        await redis.disconnect()
        await postgres.disconnect()
    return [
        Figure(name="events from outbox to effect", value=per_s, unit="1/s", goal=_GOAL_PER_S),
        Figure(name="event latency at half that load, p50", value=p50_s, unit="s"),
        Figure(name="event latency at half that load, p99", value=p99_s, unit="s", goal=_GOAL_P99_S, better="less"),
    ]


async def _take_effect(tx: Transaction, envelope: Envelope, event: Benched) -> None:
    await tx.run("INSERT INTO hub.bench (id, told_at) VALUES ($1, $2)", event.thing_id, envelope.time)


async def _tell(speaker: str, count: int) -> None:
    async with pool().acquire() as raw:
        async with transaction(raw, platform(speaker)) as tx:
            for n in range(count):
                emit(tx, Benched(thing_id=new_id(), n=n), version=1)
        await tx.committed()


async def _count() -> int:
    async with read() as db:
        return await db.value("SELECT count(*) FROM hub.bench")


async def _arrived(count: int) -> None:
    async with asyncio.timeout(120):
        while await _count() < count:  # noqa: ASYNC110  the database tells nobody
            await asyncio.sleep(0.05)


async def _steady(url: str, speaker: str, per_s: float) -> tuple[float, float]:
    """Tell `per_s` events a second for a while, from a process of its own; return p50 and p99 from commit to effect."""
    before = await _count()
    writer = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.events", url, speaker, str(per_s)),
        cwd=REPOSITORY,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await writer.communicate()
    told = int(output)
    await _arrived(before + told)
    async with read() as db:
        [(p50_s, p99_s)] = await db.rows(
            "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY took), percentile_cont(0.99) WITHIN GROUP (ORDER BY took) "
            "FROM (SELECT extract(epoch FROM at - told_at)::float8 AS took FROM hub.bench ORDER BY at DESC LIMIT $1) AS t",
            told,
        )
    return p50_s, p99_s


async def _write(url: str, speaker: str, per_s: float) -> None:
    """Tell events at a steady rate, some to a transaction, and print how many."""
    events.event("bench.benched", subject="thing_id", service=speaker)(Benched)
    await postgres.connect(url, size=2, application="bench events writer")
    await redis.connect()
    begun = time.perf_counter()
    told = 0
    while (elapsed_s := time.perf_counter() - begun) < _STEADY_S:
        while told < elapsed_s * per_s:
            await _tell(speaker, _PER_TRANSACTION)
            told += _PER_TRANSACTION
        await asyncio.sleep(0.002)
    await redis.disconnect()
    await postgres.disconnect()
    print(told)


if __name__ == "__main__":
    if len(sys.argv) == 1:
        # As a worker host of Ray.
        hand_over(uvloop.run(run()))
    else:
        uvloop.run(_write(sys.argv[1], sys.argv[2], float(sys.argv[3])))
