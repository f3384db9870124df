"""Upkeep deletes by lots and finds them by index, however much has piled up."""

import time
from collections.abc import AsyncIterator
from typing import Any, cast

import orjson
import pytest

from actors import upkeep
from actors.upkeep import Upkeep
from cluster.base.ids import new_id
from cluster.base.telemetry import REGISTRY
from cluster.data import idempotency
from cluster.data.postgres import count_statements
from cluster.jobs import operations
from cluster.signals import outbox, redis
from tests.kernel import rows, run

pytestmark = pytest.mark.usefixtures("kernel", "empty")


@pytest.fixture
async def piled_up(empty: None) -> AsyncIterator[None]:
    """Enough rows for the planner to mind."""
    await run(
        "INSERT INTO hub.idempotency_keys SELECT sha256(n::text::bytea), 'x', NULL, 200, now() - n * interval '10 s' "
        "FROM generate_series(1, 30000) AS n"
    )
    await run(
        "INSERT INTO hub.operations (id, kind, state, created_at, finished_at) "
        "SELECT gen_random_uuid(), 'bulk', 'succeeded', now(), now() - n * interval '5 min' "
        "FROM generate_series(1, 30000) AS n"
    )
    await run(
        "INSERT INTO hub.outbox (id, topic, key, shard, envelope) SELECT gen_random_uuid(), "
        "CASE WHEN n <= 30000 THEN 'broadcast' ELSE 'hub.course' END, '', n % 16, '{}' FROM generate_series(1, 30010) n"
    )
    await run("ANALYZE hub.idempotency_keys, hub.operations, hub.outbox")
    yield
    await run("TRUNCATE hub.idempotency_keys, hub.operations, hub.outbox CASCADE")


async def explain(sql: str, *args: object) -> str:
    return "\n".join(line for (line,) in await rows(f"EXPLAIN {sql}", *args))


@pytest.mark.usefixtures("piled_up")
async def test_what_is_deleted_or_sent_is_found_by_index() -> None:
    plans = [
        await explain(idempotency.PURGE),
        await explain(operations.PURGE),
        await explain(outbox.NEXT_EVENTS, list(range(16)), 500),
        await explain(outbox.NEXT_BROADCASTS, list(range(16)), 500),
    ]
    for plan in plans:
        assert "Seq Scan" not in plan, plan
        assert "Join" not in plan, plan
    assert "outbox_events" in plans[2]
    assert "outbox_broadcasts" in plans[3]


@pytest.mark.usefixtures("piled_up")
async def test_a_step_deletes_one_lot_and_the_next_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "_FIRST_PURGE_S", 0.0)
    work = Upkeep()
    left = [30_000]
    rest_s = 0.0

    while not rest_s:
        rest_s = await work.step()
        [(count,)] = await rows("SELECT count(*) FROM hub.idempotency_keys")
        if count != left[-1]:
            left.append(count)

    assert left[:3] == [30_000, 20_000, 10_000]
    assert await rows("SELECT count(*) FROM hub.idempotency_keys WHERE created_at < now() - interval '1 day'") == [(0,)]
    assert await rows("SELECT count(*) FROM hub.operations WHERE finished_at < now() - interval '30 d'") == [(0,)]


async def test_upkeep_deletes_broadcasts_of_an_hour_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "_FIRST_PURGE_S", 0.0)
    client, stream = cast(Any, redis.redis()), redis.key("broadcast")
    await client.delete(stream)
    document = orjson.dumps({"id": new_id(), "topic": "probe", "message": {}})
    now_ms = int(time.time() * 1000)
    sent = [await client.xadd(stream, {"m": document}, id=f"{now_ms - ago_s * 1000}-0") for ago_s in (3660, 3540)]
    work = Upkeep()

    while not await work.step():
        pass

    assert [id for id, _ in await client.xrange(stream)] == sent[1:]


@pytest.mark.usefixtures("piled_up")
async def test_measuring_does_not_count_a_million_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "_COUNTED", 100)
    with count_statements() as statements:
        await upkeep.measure()
    assert statements.count == 3
    assert REGISTRY.get_sample_value("hub_outbox_rows") == 100
