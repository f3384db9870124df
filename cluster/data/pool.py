"""The connections of one process to PostgreSQL: lending one takes no task and no round trip, and nobody waits without end."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Generator
from contextvars import ContextVar
from typing import Any, TypeAlias

import asyncpg

from cluster.base.problems import Unavailable

Raw: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

borrower: ContextVar[str] = ContextVar("borrower", default="")
"""The service that a request is for. All its requests together leave one connection to the others."""

_MAX_QUERIES = 50_000
"""A connection ends after so many: its server process only ever grows."""
_CLOSE_LIMIT_S = 10.0


class Pool:
    """Up to `size` connections, opened when needed and lent to one task at a time."""

    def __init__(self, open_one: Callable[[], Awaitable[Raw]], *, size: int, wait_s: float) -> None:
        self._open_one = open_one
        self._size = size
        self._share = max(1, size - 1)
        self._wait_s = wait_s
        self._idle: list[Raw] = []
        self._lent: dict[Raw, str] = {}
        self._taken = 0
        self._taken_by: Counter[str] = Counter()
        self._waiting: dict[asyncio.Future[None], str] = {}
        self._settling: set[asyncio.Task[None]] = set()
        self._closing = False
        self._returned = asyncio.Event()

    def acquire(self) -> "Lease":
        """Lend a connection: `async with pool.acquire() as raw`, or `await` it and `give_back` later."""
        return Lease(self)

    async def take(self) -> Raw:
        """Lend a connection that `give_back` must get again.

        Raises:
            Unavailable: none is free in time, or the server does not answer in time.
            OSError, asyncpg.PostgresError: the server refuses.
        """
        service = borrower.get()
        if self._has_room(service):
            self._reserve(service)
        else:
            await self._wait_for_room(service)
        try:
            if self._closing:
                raise asyncpg.InterfaceError("the pool is closing")
            raw = self._pop_idle() or await self._open()
        except BaseException:
            self._free(service)
            raise
        self._lent[raw] = service
        return raw

    def give_back(self, raw: Raw) -> None:
        """Take a lent connection back. One that failed or is in a transaction is not lent again."""
        service = self._lent.pop(raw)
        protocol: Any = raw._protocol  # pyright: ignore[reportPrivateUsage, reportUnknownMemberType, reportAttributeAccessIssue, reportUnknownVariableType]
        if raw.is_closed() or self._closing:
            raw.terminate()
        elif protocol._is_cancelling():
            # The server still works on what its task no longer waits for.
            task = asyncio.get_running_loop().create_task(self._settle(raw, protocol, service))
            self._settling.add(task)
            task.add_done_callback(self._settling.discard)
            return
        elif raw.is_in_transaction() or protocol.queries_count >= _MAX_QUERIES:
            raw.terminate()
        else:
            self._idle.append(raw)
        self._free(service)

    async def close(self) -> None:
        """Close the connections. Those that are lent have some seconds to come back."""
        self._closing = True
        for waiter in self._waiting:
            waiter.cancel()
        while self._idle:
            await self._end(self._idle.pop())
        try:
            async with asyncio.timeout(_CLOSE_LIMIT_S):
                while self._taken:
                    self._returned.clear()
                    await self._returned.wait()
        except TimeoutError:
            for raw in self._lent:
                raw.terminate()

    async def execute(self, sql: str, *args: object) -> str:
        async with self.acquire() as raw:
            return await raw.execute(sql, *args)

    async def fetch(self, sql: str, *args: object) -> list[asyncpg.Record]:
        async with self.acquire() as raw:
            return await raw.fetch(sql, *args)

    async def fetchval(self, sql: str, *args: object) -> Any:
        async with self.acquire() as raw:
            return await raw.fetchval(sql, *args)

    def _has_room(self, service: str) -> bool:
        return self._taken < self._size and (not service or self._taken_by[service] < self._share)

    def _reserve(self, service: str) -> None:
        self._taken += 1
        self._taken_by[service] += 1

    def _free(self, service: str) -> None:
        self._taken -= 1
        self._taken_by[service] -= 1
        self._returned.set()
        for waiter, waiting_service in self._waiting.items():
            if self._has_room(waiting_service) and not waiter.done():
                self._grant(waiter)
                return

    def _grant(self, waiter: asyncio.Future[None]) -> None:
        self._reserve(self._waiting.pop(waiter))
        waiter.set_result(None)

    async def _wait_for_room(self, service: str) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiting[waiter] = service
        try:
            async with asyncio.timeout(self._wait_s):
                await waiter
        except BaseException as error:
            if self._waiting.pop(waiter, None) is None:
                self._free(service)
            if isinstance(error, TimeoutError):
                raise Unavailable("the database is busy; nothing was done, repeat it shortly") from None
            raise

    def _pop_idle(self) -> "Raw | None":
        while self._idle:
            raw = self._idle.pop()
            if not raw.is_closed():
                return raw
        return None

    async def _open(self) -> Raw:
        try:
            async with asyncio.timeout(self._wait_s):
                return await self._open_one()
        except TimeoutError:
            raise Unavailable("the database does not answer; nothing was done, repeat it shortly") from None

    async def _settle(self, raw: Raw, protocol: Any, service: str) -> None:
        """Wait until the server has given up the statement, then keep the connection if it is as new."""
        try:
            await protocol._wait_for_cancellation(self._wait_s)
        except (Exception, asyncio.CancelledError):
            raw.terminate()
        else:
            if raw.is_closed() or raw.is_in_transaction() or self._closing:
                raw.terminate()
            else:
                self._idle.append(raw)
        self._free(service)

    async def _end(self, raw: Raw) -> None:
        try:
            await raw.close(timeout=_CLOSE_LIMIT_S)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            raw.terminate()


class Lease:
    """A connection for the body of `async with`, or for whoever awaits this."""

    __slots__ = ("_pool", "_raw")

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def __await__(self) -> Generator[Any, None, Raw]:
        return self._pool.take().__await__()

    async def __aenter__(self) -> Raw:
        self._raw = await self._pool.take()
        return self._raw

    async def __aexit__(self, *failure: object) -> None:
        self._pool.give_back(self._raw)
