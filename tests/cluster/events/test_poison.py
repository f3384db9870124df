"""Events whose handlers fail in ways that are hard to put aside: they hold up their key, and nothing else."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from uuid import UUID

import pytest

from actors.consumers import Drainer
from cluster import events
from cluster.base.ids import new_id
from cluster.data import Transaction
from cluster.events import Envelope, drainer, handling, inbox
from cluster.events.inbox import Receipt
from tests.cluster.events.probe import Counted, counted
from tests.kernel import registries_kept, rows, run

pytestmark = pytest.mark.usefixtures("listener", "empty")

BAD = 13
Fault = Callable[[Transaction], Awaitable[object]]


@pytest.fixture
async def deferred(kernel: str) -> AsyncIterator[None]:
    """A table whose constraint is looked at when the transaction commits."""
    await run("CREATE TABLE probe.parents (n int PRIMARY KEY)")
    await run(
        "CREATE TABLE probe.children (n int REFERENCES probe.parents DEFERRABLE INITIALLY DEFERRED, event_id uuid)"
    )
    await run("INSERT INTO probe.parents SELECT generate_series(1, 10)")
    yield
    await run("DROP TABLE probe.children, probe.parents")


async def adopt(tx: Transaction, envelope: Envelope, event: Counted) -> None:
    await tx.run("INSERT INTO probe.children VALUES ($1, $2)", event.n, envelope.id)


@pytest.fixture
def registry() -> Iterator[None]:
    with registries_kept():
        yield


async def drain() -> bool:
    await run("UPDATE hub.parked_keys SET retry_at = now() WHERE NOT dead")
    return await drainer.drain_once(["strict"])


async def children() -> list[int]:
    return [n for (n,) in await rows("SELECT n FROM probe.children ORDER BY n")]


async def keys() -> list[tuple[str, int]]:
    return [(key, attempts) for key, attempts in await rows("SELECT key, attempts FROM hub.parked_keys ORDER BY key")]


@pytest.mark.usefixtures("deferred", "registry")
async def test_an_event_that_only_commit_refuses_is_parked_alone_and_retried() -> None:
    events.on(Counted, service="strict")(adopt)
    bad = new_id()
    batch = [counted(new_id(), n) for n in (1, 2, 3)] + [counted(bad, BAD), counted(new_id(), 4), counted(bad, 5)]
    assert await inbox.receive("strict", batch) == Receipt(handled=4, parked=2)
    assert await inbox.receive("strict", batch) == Receipt()
    assert await children() == [1, 2, 3, 4]
    [(error,)] = await rows("SELECT last_error FROM hub.parked_keys")
    assert error.startswith("ForeignKeyViolationError: ")
    assert await drain()
    assert await keys() == [(str(bad), 2)]
    await run("INSERT INTO probe.parents VALUES ($1)", BAD)
    assert await drain()
    assert await keys() == []
    assert await children() == [1, 2, 3, 4, 5, BAD]


@pytest.mark.usefixtures("deferred", "registry")
async def test_a_parked_key_that_commit_refuses_does_not_delay_other_keys() -> None:
    events.on(Counted, service="strict")(adopt)
    bad, good = sorted(new_id() for _ in range(2))
    await inbox.receive("strict", [counted(bad, BAD), counted(good, BAD + 1)])
    assert [attempts for _, attempts in await keys()] == [1, 1]
    await run("INSERT INTO probe.parents VALUES ($1)", BAD + 1)
    await run("UPDATE hub.parked_keys SET retry_at = now() - interval '1 s' WHERE key = $1", str(bad))
    await run("UPDATE hub.parked_keys SET retry_at = now() WHERE key = $1", str(good))
    assert await drainer.drain_once(["strict"])
    assert await drainer.drain_once(["strict"])
    assert not await drainer.drain_once(["strict"])
    assert await keys() == [(str(bad), 2)]
    assert await children() == [BAD + 1]


async def unprintable(tx: Transaction) -> None:
    raise ValueError("what ffmpeg says: \0 \udcff")


async def cancelled_inside(tx: Transaction) -> None:
    raise asyncio.CancelledError


async def two_statements_at_once(tx: Transaction) -> None:
    await asyncio.gather(tx.run("SELECT pg_sleep(0.2)"), tx.run("SELECT 1"))


async def an_aborted_transaction(tx: Transaction) -> None:
    try:
        await tx.run("SELECT 1 / 0")
    except Exception:
        return


@pytest.mark.parametrize("fault", [unprintable, cancelled_inside, two_statements_at_once, an_aborted_transaction])
@pytest.mark.usefixtures("registry")
async def test_whatever_a_handler_does_its_event_is_parked(fault: Fault) -> None:
    done: list[UUID] = []

    async def handle(tx: Transaction, envelope: Envelope, event: Counted) -> None:
        if event.n == BAD:
            await fault(tx)
        done.append(envelope.id)

    events.on(Counted, service="strict")(handle)
    batch = [counted(new_id(), n) for n in (1, BAD, 2)]
    async with asyncio.timeout(10):
        assert await inbox.receive("strict", batch) == Receipt(handled=2, parked=1)
        assert await drain()
    assert await keys() == [(batch[1].subject, 2)]
    assert done[-1] == batch[2].id or fault is an_aborted_transaction


@pytest.mark.usefixtures("registry")
async def test_slow_handlers_do_not_delay_the_parked_keys_of_other_services(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(handling, "HANDLER_LIMIT_S", 0.5)
    failing = True

    async def hang(tx: Transaction, envelope: Envelope, event: Counted) -> None:
        if failing:
            raise ValueError("park it")
        await asyncio.sleep(60)

    async def quick(tx: Transaction, envelope: Envelope, event: Counted) -> None:
        if failing:
            raise ValueError("park it")

    events.on(Counted, service="slow")(hang)
    events.on(Counted, service="quick")(quick)
    for service in ("slow", "quick"):
        await inbox.receive(service, [counted(new_id(), n) for n in range(5)])
    failing = False
    await run("UPDATE hub.parked_keys SET retry_at = now() - interval '1 s' * (1 + (consumer = 'slow')::int)")
    drainer = Drainer(("quick", "slow"), asyncio.Semaphore(2))
    await drainer.step()
    assert await rows("SELECT count(*) FROM hub.parked_keys WHERE consumer = 'quick'") == [(0,)]
    assert await rows("SELECT count(*) FROM hub.parked_keys WHERE consumer = 'slow'") == [(5,)]
