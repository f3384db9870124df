"""Values that a process keeps: loaded once, forgotten when a transaction that changes them commits."""

import asyncio
from collections.abc import Awaitable, Callable

import orjson
import pytest

from cluster.base.ids import new_id
from cluster.base.problems import Conflict, Unavailable
from cluster.data import read
from cluster.people import calls
from cluster.signals import broadcast, outbox
from cluster.signals.kept import Kept
from tests.kernel import committed

pytestmark = pytest.mark.usefixtures("kernel", "empty")


class Source:
    """Counts how often it is read; a reading waits while `held`."""

    def __init__(self) -> None:
        self.reads = 0
        self.began = asyncio.Event()
        self.held = asyncio.Event()
        self.held.set()

    async def load(self) -> int:
        self.reads += 1
        value = self.reads
        self.began.set()
        await self.held.wait()
        return value


@pytest.fixture
async def source() -> Source:
    return Source()


def a_minute(size: int = 10, weigh: Callable[[int], int] = lambda _: 1) -> Kept[str, int]:
    return Kept("test.kept", size=size, ttl_s=60, weigh=weigh, key=str)


async def test_kept_loads_once_for_all_who_ask_at_once(source: Source) -> None:
    kept = a_minute()

    answers = await asyncio.gather(*(kept.get("a", source.load) for _ in range(5)))

    assert answers == [1] * 5
    assert await kept.get("a", source.load) == 1


async def test_kept_loads_again_after_its_time(source: Source) -> None:
    kept: Kept[str, int] = Kept("test.kept", size=10, ttl_s=0)

    assert [await kept.get("a", source.load), await kept.get("a", source.load)] == [1, 2]
    assert kept.find("a") is None


async def test_kept_keeps_no_error(source: Source) -> None:
    kept = a_minute()

    async def fails() -> int:
        raise Conflict("not now")

    with pytest.raises(Conflict):
        await kept.get("a", fails)

    assert await kept.get("a", source.load) == 1


async def test_kept_forgets_what_a_transaction_drops_when_it_commits(source: Source) -> None:
    kept = a_minute()
    for key in ("a", "b"):
        await kept.get(key, source.load)

    async with committed() as tx:
        kept.drop(tx, "a")
        assert kept.find("a") == 1

    assert (kept.find("a"), kept.find("b")) == (None, 2)


async def test_kept_stays_when_the_transaction_rolls_back(source: Source) -> None:
    kept = a_minute()
    await kept.get("a", source.load)

    async def fails() -> None:
        async with committed() as tx:
            kept.drop(tx, "a")
            raise Conflict("not now")

    with pytest.raises(Conflict):
        await fails()

    assert kept.find("a") == 1


@pytest.mark.parametrize(("dropped", "left"), [("a", (None, 2)), (None, (None, None))])
async def test_kept_forgets_what_another_process_drops(
    source: Source, dropped: str | None, left: tuple[int | None, ...]
) -> None:
    async with committed() as tx:
        a_minute().drop(tx, dropped)
    async with read() as db:
        (told,) = await outbox.next_broadcasts(db, range(16), 10)
    kept = a_minute()
    for key in ("a", "b"):
        await kept.get(key, source.load)

    # With an id of its own: this process has heard the first copy.
    await broadcast.receive(orjson.dumps(orjson.loads(told.envelope) | {"id": str(new_id())}).decode())

    assert (kept.find("a"), kept.find("b")) == left


@pytest.mark.parametrize("forgotten", ["a", None])
async def test_kept_does_not_keep_a_value_read_before_its_change(source: Source, forgotten: str | None) -> None:
    kept = a_minute()
    source.held.clear()
    asking = asyncio.create_task(kept.get("a", source.load))
    await source.began.wait()

    kept.forget(forgotten)
    source.held.set()

    assert await asking == 1
    assert await kept.get("a", source.load) == 2


async def test_kept_answers_others_when_the_first_client_leaves(source: Source) -> None:
    kept = a_minute()
    source.held.clear()
    first, second = (asyncio.create_task(kept.get("a", source.load)) for _ in range(2))
    await source.began.wait()

    first.cancel()
    source.held.set()

    assert await second == 1


async def test_kept_does_not_refuse_others_when_the_first_is_out_of_time(source: Source) -> None:
    kept: Kept[str, float] = Kept("test.kept", size=10, key=str)

    async def left_s() -> float:
        await source.load()
        return calls.remaining_s()

    async def hurried() -> float:
        calls.set_deadline("0")
        return await kept.get("a", left_s)

    source.held.clear()
    first = asyncio.create_task(hurried())
    await source.began.wait()
    others = [asyncio.create_task(kept.get("a", left_s)) for _ in range(3)]
    source.held.set()

    with pytest.raises(Unavailable):
        await first
    assert await asyncio.gather(*others) == [calls.DEADLINE_S] * 3
    assert source.reads == 2


async def test_kept_tries_once_more_for_others_when_nobody_answers(source: Source) -> None:
    kept = a_minute()

    async def fails() -> int:
        await source.load()
        raise Unavailable("not now")

    source.held.clear()
    asking = [asyncio.create_task(kept.get("a", fails)) for _ in range(5)]
    await source.began.wait()
    source.held.set()

    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(each) for each in answers] == [Unavailable] * 5
    assert source.reads == 2


async def test_kept_lets_go_of_what_was_not_used_for_longest() -> None:
    kept = a_minute(size=10, weigh=lambda value: value)

    def gives(value: int) -> Callable[[], Awaitable[int]]:
        async def load() -> int:
            return value

        return load

    for key, weight in (("a", 4), ("b", 4)):
        await kept.get(key, gives(weight))
    kept.find("a")
    await kept.get("c", gives(5))

    assert [kept.find(key) for key in ("a", "b", "c")] == [4, None, 5]


@pytest.mark.parametrize(("arrive", "found"), [(True, (1, 1, 1)), (False, (None, 1, 2))])
async def test_kept_counts_only_while_broadcasts_arrive(
    source: Source, monkeypatch: pytest.MonkeyPatch, arrive: bool, found: tuple[int | None, ...]
) -> None:
    kept: Kept[str, int] = Kept("test.kept", size=10, ttl_s=60, max_broadcast_age_s=1.5)
    await kept.get("a", source.load)

    def fresh_within(_seconds: float) -> bool:
        return arrive

    monkeypatch.setattr(broadcast, "fresh_within", fresh_within)

    assert (kept.find("a"), kept.find_outdated("a"), await kept.get("a", source.load)) == found


async def test_kept_without_a_way_to_read_keys_drops_everything_only() -> None:
    kept: Kept[str, int] = Kept("test.kept", size=10)

    async with committed() as tx:
        with pytest.raises(TypeError, match=r"test\.kept"):
            kept.drop(tx, "a")
