"""Whatever is delivered again, at once, late or half, each event takes effect once and a key's order holds."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cluster.base.ids import new_id
from cluster.events import Envelope, inbox
from tests.cluster.events.probe import FAULTS, counted, drain_now, echoes, effects, parked_keys
from tests.kernel import run

pytestmark = pytest.mark.usefixtures("listener", "empty")

_Lost = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError)


@dataclass(frozen=True)
class Deliver:
    """A consumer reads from at most `again` events before the committed offset, `ahead` events beyond it."""

    again: int
    ahead: int
    commits: bool
    """False: it dies after the database transaction, before the offset is committed."""


@dataclass(frozen=True)
class Together:
    """A consumer and a zombie, which has not noticed that the partition was taken away, at the same time."""

    consumer: Deliver
    zombie: Deliver


@dataclass(frozen=True)
class Drain:
    beside: Deliver | None


deliveries = st.builds(Deliver, st.integers(0, 12), st.integers(1, 8), st.booleans())
steps = st.lists(
    st.one_of(deliveries, st.builds(Together, deliveries, deliveries), st.builds(Drain, st.none() | deliveries)),
    max_size=10,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    keys=st.lists(st.integers(0, 2), min_size=1, max_size=16),
    errors=st.dictionaries(st.integers(0, 15), st.integers(1, 4), max_size=4),
    lost=st.dictionaries(st.integers(0, 15), st.integers(1, 2), max_size=2),
    plan=steps,
)
async def test_each_event_takes_effect_once_and_in_order(
    keys: list[int], errors: dict[int, int], lost: dict[int, int], plan: list[Deliver | Together | Drain]
) -> None:
    await run("TRUNCATE hub.outbox, hub.inbox, hub.parked_keys, hub.parked, probe.effects")
    FAULTS.clear()
    FAULTS.errors.update(errors)
    FAULTS.lost_connections.update(lost)
    ids: list[UUID] = [new_id() for _ in range(3)]
    log = [counted(ids[key], n) for n, key in enumerate(keys)]
    committed = 0

    async def deliver(step: Deliver) -> int:
        """Return the offset that this consumer would commit."""
        start = max(0, committed - step.again)
        batch = log[start : committed + step.ahead]
        return start + len(batch) if await _take(batch) and step.commits else 0

    for step in plan:
        match step:
            case Deliver():
                committed = max(committed, await deliver(step))
            case Together():
                reached = await asyncio.gather(deliver(step.consumer), deliver(step.zombie))
                committed = max(committed, *reached)
            case Drain():
                tasks = [_drain()] + ([deliver(step.beside)] if step.beside else [])
                committed = max(committed, *await asyncio.gather(*tasks))
    while not await _take(log[max(0, committed - 3) :]):
        continue
    while await parked_keys():
        await _drain()

    expected: dict[str, list[int]] = {}
    for envelope in log:
        expected.setdefault(envelope.subject, []).append(envelope.payload["n"])
    assert await effects() == expected
    assert sorted(await echoes()) == sorted(range(len(log)))


async def _take(batch: list[Envelope]) -> bool:
    """Deliver as a consumer does: again after the database was away. False when it gives up for now."""
    for _ in range(3):
        try:
            await inbox.receive("listener", batch)
        except _Lost:
            continue
        return True
    return False


async def _drain() -> int:
    with suppress(*_Lost):
        await drain_now()
    return 0
