"""PostgreSQL: one pool per process, rows as dataclasses, and the one write transaction of a request.

What a transaction buffers (events, jobs, broadcasts) is written in one statement each just before COMMIT, so that state and its
consequences commit together or not at all.
"""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
import orjson

from cluster.base.principal import Principal
from cluster.data.named import bind, resolve
from cluster.data.pool import Pool

T = TypeVar("T")
log = logging.getLogger(__name__)

_holds_connection: ContextVar[bool] = ContextVar("holds_connection", default=False)
_counters: ContextVar["StatementCounter | None"] = ContextVar("statement_counter", default=None)

_TAKE_TURNS = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"

AfterCommit = Callable[[], Awaitable[None]]
BeforeCommit = Callable[["Transaction"], Awaitable[None]]


@dataclass(slots=True)
class StatementCounter:
    """How many statements ran in its scope, BEGIN and COMMIT included; `sql` has their texts."""

    sql: list[str]

    @property
    def count(self) -> int:
        return len(self.sql)


@contextmanager
def count_statements() -> Generator[StatementCounter]:
    """Count the statements of the code inside, for tests of budgets."""
    counter = StatementCounter([])
    token = _counters.set(counter)
    try:
        yield counter
    finally:
        _counters.reset(token)


def _count(sql: str) -> None:
    counter = _counters.get()
    if counter is not None:
        counter.sql.append(sql)


class Connection:
    """A pooled connection that returns rows as frozen dataclasses, matched by column name.

    A statement names its parameters: `$course_id` takes the keyword argument, or the field of a dataclass that is passed whole.
    """

    __slots__ = ("raw",)

    def __init__(self, raw: Any) -> None:
        self.raw: asyncpg.Connection[asyncpg.Record] = raw

    def _bind(self, sql: str, args: Sequence[object], named: dict[str, object]) -> tuple[str, Sequence[object]]:
        _count(sql)
        return bind(sql, args, named)

    async def one(self, row: type[T], sql: str, /, *args: object, **named: object) -> T:
        """Return the only row.

        Raises:
            LookupError: there is none.
        """
        found = await self.maybe(row, sql, *args, **named)
        if found is None:
            raise LookupError(f"no {row.__name__} where one must be")
        return found

    async def maybe(self, row: type[T], sql: str, /, *args: object, **named: object) -> T | None:
        """Return the first row, None without one."""
        text, values = self._bind(sql, args, named)
        record = await self.raw.fetchrow(text, *values)
        return None if record is None else row(**record)

    async def all(self, row: type[T], sql: str, /, *args: object, **named: object) -> list[T]:
        """Return every row."""
        text, values = self._bind(sql, args, named)
        return [row(**record) for record in await self.raw.fetch(text, *values)]

    async def rows(self, sql: str, /, *args: object, **named: object) -> Sequence[asyncpg.Record]:
        """Return every row as it is: for statements whose rows are not one dataclass."""
        text, values = self._bind(sql, args, named)
        return await self.raw.fetch(text, *values)

    async def value(self, sql: str, /, *args: object, **named: object) -> Any:
        """Return the first column of the first row, None without a row."""
        text, values = self._bind(sql, args, named)
        return await self.raw.fetchval(text, *values)

    async def run(self, sql: str, /, *args: object, **named: object) -> int:
        """Execute one statement and return the number of rows it touched."""
        text, values = self._bind(sql, args, named)
        status: str = await self.raw.execute(text, *values)
        count = status.rpartition(" ")[2]
        return int(count) if count.isdigit() else 0

    async def many(self, sql: str, rows: Sequence[Sequence[object]]) -> None:
        """Execute one statement for every row of arguments, in one round trip."""
        _count(sql)
        await self.raw.executemany(sql, rows)


class Transaction(Connection):
    """An open write transaction. Events and jobs are buffered here until COMMIT."""

    __slots__ = ("_after", "_before", "buffers", "now", "principal")

    def __init__(self, raw: Any, principal: Principal) -> None:
        super().__init__(raw)
        self.principal = principal
        self.now = datetime.now(UTC)
        self.buffers: dict[str, list[Any]] = {}
        self._before: dict[str, BeforeCommit] = {}
        self._after: list[AfterCommit] = []

    def _bind(self, sql: str, args: Sequence[object], named: dict[str, object]) -> tuple[str, Sequence[object]]:
        # `$now` is the transaction's start in every statement that names it.
        if "now" not in named and "now" in resolve(sql)[1]:
            named["now"] = self.now
        return super()._bind(sql, args, named)

    def buffer(self, name: str, item: object, flush: BeforeCommit) -> None:
        """Keep `item` under `name`; `flush` is called once before COMMIT when anything was kept."""
        self.buffers.setdefault(name, []).append(item)
        self._before[name] = flush

    def after_commit(self, callback: AfterCommit) -> None:
        """Run `callback` once this transaction has committed; its failure is logged, never raised."""
        self._after.append(callback)

    async def flush(self) -> None:
        """Write what was buffered so far. COMMIT does it; a handler's savepoint does it too."""
        before, self._before = self._before, {}
        for flush in before.values():
            await flush(self)
        self.buffers.clear()

    def forget(self) -> None:
        """Drop what was buffered since the last flush: its savepoint was rolled back."""
        self._before.clear()
        self.buffers.clear()

    @asynccontextmanager
    async def savepoint(self) -> AsyncGenerator[None]:
        """Run the body so that its failure undoes it alone: its rows, and what it buffered or wanted done after commit."""
        await self.flush()
        promised = len(self._after)
        try:
            async with self.raw.transaction():
                yield
                await self.flush()
        except BaseException:
            self.forget()
            del self._after[promised:]
            raise

    async def committed(self) -> None:
        for callback in self._after:
            try:
                await callback()
            except Exception:
                log.exception("after commit")

    async def take_turns(self, name: str, id: UUID | None = None) -> None:
        """Wait until no other transaction holds this name (and id), and hold it until the end of this one.

        Take it before you look at what it protects: a limit per person (`take_turns("bookmark.person", user_id)`), where
        two transactions that count at the same time would both find room.
        """
        await self.run(_TAKE_TURNS, name if id is None else f"{name} {id}")


class _Session(asyncpg.Connection):
    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:
        """Execute, and tell when COMMIT rolled back instead.

        PostgreSQL says so in the command's tag alone: whoever swallows the error of a statement goes on in a transaction
        that is lost, and would take it for done.
        """
        tag = await super().execute(query, *args, timeout=timeout)
        if tag == "ROLLBACK" and query.startswith("COMMIT"):
            raise asyncpg.InFailedSQLTransactionError("nothing is committed: a statement failed, and nobody minded")
        return tag


_pool: Pool | None = None
_SETTINGS = {
    "timezone": "UTC",
    "jit": "off",
    # The client gives a statement up after 30 s, see `command_timeout`. This ends those whose client is gone.
    "statement_timeout": "35s",
    "idle_in_transaction_session_timeout": "60s",
}


async def connect(url: str, *, size: int, application: str, wait_s: float = 30.0) -> None:
    """Open this process's pool. One process, one pool, one role.

    Whoever needs a connection waits for it `wait_s` at most.

    Raises:
        OSError, asyncpg.PostgresError: the server does not answer or refuses the role.
    """
    global _pool

    async def open_one() -> Any:
        raw = await asyncpg.connect(
            url,
            connection_class=_Session,
            command_timeout=30,
            server_settings={"application_name": application, **_SETTINGS},
        )
        try:
            await prepare_connection(raw)
        except BaseException:
            raw.terminate()
            raise
        return raw

    opened = Pool(open_one, size=size, wait_s=wait_s)
    async with opened.acquire():
        _pool = opened


async def disconnect() -> None:
    global _pool
    closed, _pool = _pool, None
    if closed is not None:
        await closed.close()


async def prepare_connection(raw: Any) -> None:
    """Let jsonb carry Python values, and uuid the standard library's UUID: encoders know no subclass of it."""
    await raw.set_type_codec("uuid", schema="pg_catalog", encoder=_encode_uuid, decoder=_decode_uuid, format="binary")
    await raw.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=_encode_jsonb,
        decoder=_decode_jsonb,
        format="binary",
    )


def _encode_uuid(value: UUID) -> bytes:
    return value.bytes


def _decode_uuid(content: bytes) -> UUID:
    return UUID(bytes=bytes(content))


def _encode_jsonb(value: Any) -> bytes:
    # PostgreSQL's binary format of jsonb begins with a version, which is 1.
    return b"\x01" + orjson.dumps(value)


def _decode_jsonb(content: bytes) -> Any:
    return orjson.loads(content[1:])


def pool() -> Pool:
    if _pool is None:
        raise RuntimeError("no database pool: start a ServiceHost or a WorkerHost first")
    return _pool


def holds_connection() -> bool:
    """Tell whether the current task has a connection: a second one, calls and other network are refused then.

    A transaction would hold locks while the network takes its time, and a pool whose connections all wait for another
    one stands still.
    """
    return _holds_connection.get()


class read:
    """Lend a connection without a transaction: each statement sees the newest commit.

    Raises:
        RuntimeError: the task has a connection already.
        Unavailable: no connection is free in time.
    """

    __slots__ = ("_pool", "_raw", "_token")

    async def __aenter__(self) -> Connection:
        if _holds_connection.get():
            raise RuntimeError("a second connection while one is held: use that one, or give it back first")
        self._pool = pool()
        self._raw = await self._pool.take()
        self._token = _holds_connection.set(True)
        return Connection(self._raw)

    async def __aexit__(self, *failure: object) -> None:
        _holds_connection.reset(self._token)
        self._pool.give_back(self._raw)


@asynccontextmanager
async def transaction(raw: Any, principal: Principal) -> AsyncGenerator[Transaction]:
    """Open a transaction on a connection that the caller holds; `write` and the workers stand on it.

    The caller awaits `tx.committed()` once the connection is given back.
    """
    tx = Transaction(raw, principal)
    token = _holds_connection.set(True)
    try:
        _count("BEGIN")
        async with raw.transaction():
            yield tx
            await tx.flush()
        _count("COMMIT")
    finally:
        _holds_connection.reset(token)
