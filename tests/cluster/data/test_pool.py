"""Connections are lent within a time limit, never broken, and one service cannot hold them all."""

import asyncio
import os
from collections.abc import AsyncIterator

import asyncpg
import pytest

from cluster.base.problems import Unavailable
from cluster.data import postgres, read
from cluster.data.pool import Pool, Raw, borrower


@pytest.fixture
async def two(database: None) -> AsyncIterator[Pool]:
    """A pool of two connections."""
    kept = postgres._pool  # pyright: ignore[reportPrivateUsage]
    await postgres.connect(os.environ["HUB_POSTGRES_URL"], size=2, application="pool tests")
    yield postgres.pool()
    await postgres.disconnect()
    postgres._pool = kept  # pyright: ignore[reportPrivateUsage]


async def backend(pool: Pool) -> int:
    return await pool.fetchval("SELECT pg_backend_pid()")


async def test_acquire_gives_up_when_no_connection_gets_free(two: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    async with two.acquire(), two.acquire():
        monkeypatch.setattr(two, "_wait_s", 0.05)
        with pytest.raises(Unavailable, match="the database is busy"):
            await two.take()

    assert await two.fetchval("SELECT 1") == 1


async def test_a_waiter_gets_the_connection_that_comes_back(two: Pool) -> None:
    first, second = await two.take(), await two.take()
    waiters = [asyncio.create_task(two.take()) for _ in range(2)]
    await asyncio.sleep(0)

    two.give_back(second)
    two.give_back(first)

    assert {await waiter for waiter in waiters} == {first, second}
    two.give_back(first)
    two.give_back(second)


async def test_a_cancelled_waiter_takes_no_connection(two: Pool) -> None:
    first, second = await two.take(), await two.take()
    granted, waiting = asyncio.create_task(two.take()), asyncio.create_task(two.take())
    await asyncio.sleep(0)

    two.give_back(first)
    granted.cancel()
    waiting.cancel()
    two.give_back(second)
    await asyncio.gather(granted, waiting, return_exceptions=True)

    async with two.acquire(), two.acquire():
        pass


async def test_one_service_leaves_a_connection_to_the_others(two: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    token = borrower.set("course")
    held = await two.take()
    with monkeypatch.context() as patched:
        patched.setattr(two, "_wait_s", 0.05)
        with pytest.raises(Unavailable):
            await two.take()
    waiting = asyncio.create_task(two.take())
    await asyncio.sleep(0)
    borrower.reset(token)

    async with two.acquire() as other:
        assert other is not held

    two.give_back(held)
    two.give_back(await waiting)


async def test_an_open_transaction_is_not_lent_again(two: Pool) -> None:
    raw = await two.take()
    before = raw.get_server_pid()
    await raw.execute("BEGIN; CREATE TEMPORARY TABLE left_behind ()")

    two.give_back(raw)

    assert raw.is_closed()
    assert await backend(two) != before


async def test_a_killed_connection_is_replaced(two: Pool) -> None:
    raw = await two.take()
    killer = await two.take()
    await killer.execute("SELECT pg_terminate_backend($1)", raw.get_server_pid())
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)):
        await raw.fetchval("SELECT 1")

    two.give_back(raw)
    two.give_back(killer)

    async with two.acquire() as one, two.acquire() as other:
        assert [await each.fetchval("SELECT 1") for each in (one, other)] == [1, 1]


async def test_a_cancelled_statement_ends_before_its_connection_is_lent(two: Pool) -> None:
    raw = await two.take()
    pid = raw.get_server_pid()
    sleeping = asyncio.create_task(raw.execute("SELECT pg_sleep(60)"))
    async with asyncio.timeout(30):
        while not await two.fetchval("SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = $1", pid):  # noqa: ASYNC110
            await asyncio.sleep(0)
    sleeping.cancel()
    await asyncio.gather(sleeping, return_exceptions=True)

    two.give_back(raw)
    second = await two.take()
    again = await two.take()

    assert again is raw
    assert await again.fetchval("SELECT 1") == 1
    two.give_back(again)
    two.give_back(second)


async def test_a_server_that_does_not_answer_is_unavailable() -> None:
    async def open_one() -> Raw:
        await asyncio.Event().wait()
        raise AssertionError

    pool = Pool(open_one, size=1, wait_s=0.05)

    for _ in range(2):
        with pytest.raises(Unavailable, match="does not answer"):
            await pool.take()


async def test_sessions_end_what_nobody_waits_for(two: Pool) -> None:
    found = [
        await two.fetchval(f"SHOW {name}") for name in ("statement_timeout", "idle_in_transaction_session_timeout")
    ]

    assert found == ["35s", "1min"]


async def test_close_waits_for_what_is_lent(two: Pool) -> None:
    lent, waits = asyncio.Event(), asyncio.Event()

    async def work() -> int:
        async with read() as db:
            lent.set()
            await waits.wait()
            return await db.value("SELECT 7")

    working = asyncio.create_task(work())
    await lent.wait()
    closing = asyncio.create_task(two.close())
    await asyncio.sleep(0)
    waits.set()

    assert await working == 7
    await closing
    with pytest.raises(asyncpg.InterfaceError, match="closing"):
        await two.take()
