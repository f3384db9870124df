"""Reach every process: a Redis stream that each one tails from a remembered id.

A message is sent right after commit, and again by the relay from the outbox: the first copy is fast, the second
certain. Receivers drop the second by its id. Order is not promised, so a message says *what* changed ("access of user
X") and the receiver forgets or reloads it; one that carries a value carries its version too.
"""

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from contextvars import Context
from datetime import datetime, timedelta
from functools import partial
from typing import Any, cast
from uuid import UUID

import orjson

from cluster.base.ids import new_id
from cluster.data import Transaction
from cluster.signals import outbox, redis, wake

log = logging.getLogger(__name__)

Callback = Callable[[dict[str, Any]], Awaitable[None]]
OnGap = Callable[[], Awaitable[None]]

MAX_MESSAGES = 10_000
"""Kept in the stream: what a process that is cut off may miss before it is told that it has a gap."""
KEPT_FOR = timedelta(hours=1)
_BLOCK_MS = 500
_PAGE = 500
_REMEMBERED_IDS = 2 * MAX_MESSAGES
_SEND_LIMIT_S = 0.25


def announce(tx: Transaction, topic: str, message: dict[str, Any]) -> None:
    """Send `message` to every process that listens to `topic` once `tx` has committed."""
    id = new_id()
    document = orjson.dumps({"id": id, "topic": topic, "message": message}).decode()
    outbox.add(tx, outbox.Row(id, outbox.BROADCAST, topic, document))
    tx.buffer("broadcasts", document, _send_after_commit)


async def _send_after_commit(tx: Transaction) -> None:
    tx.after_commit(partial(_send_at_once, list(tx.buffers["broadcasts"])))


async def _send_at_once(documents: list[str]) -> None:
    try:
        # One limit for all of them: whoever changed the access of hundreds must not wait hundreds of times.
        async with asyncio.timeout(_SEND_LIMIT_S):
            await send(*documents)
    except Exception as error:
        # The request has committed and must not wait for Redis: the relay sends the same documents again.
        log.debug("broadcast left to the relay", extra={"error": repr(error)})


async def send(*documents: str) -> None:
    """Append documents of `announce` to the stream; the relay calls it with what the outbox holds.

    Raises:
        redis.RedisError, OSError: Redis does not answer.
    """
    await append((redis.key("broadcast"), document) for document in documents)


async def append(entries: Iterable[tuple[str, str]], *, at_most: int = MAX_MESSAGES) -> None:
    """Append documents to streams, each named by its key."""
    async with cast(Any, redis.redis()).pipeline() as pipe:
        for stream, document in entries:
            pipe.xadd(stream, {"m": document}, maxlen=at_most, approximate=True)
        await pipe.execute()


async def trim(before: datetime) -> None:
    """Delete what was sent before that instant: messages name people, and a quiet platform would keep them for long.

    A process that has not read so far is told that it has a gap.

    Raises:
        redis.RedisError, OSError: Redis does not answer.
    """
    await trim_stream(redis.key("broadcast"), before)


async def trim_stream(stream: str, before: datetime) -> None:
    """Delete the entries of a stream that were appended before that instant."""
    first_kept = int(before.timestamp() * 1000)
    await cast(Any, redis.redis()).xtrim(stream, minid=first_kept, approximate=False)


class Tail(ABC):
    """Reads a stream from its end on, for one process, and knows when it may have missed something."""

    def __init__(self, *stream: object) -> None:
        """Tail the stream of the key that these parts name."""
        self._parts = stream
        self._on_gap: list[OnGap] = []
        self._position: bytes | None = None
        self._caught_up_at = float("-inf")
        self._task: asyncio.Task[None] | None = None

    @abstractmethod
    async def receive(self, document: bytes | str) -> None:
        """Take one document of the stream."""

    def fresh_within(self, seconds: float) -> bool:
        """Tell whether all that was sent up to `seconds` ago has been seen: only then may a cache be trusted."""
        return time.monotonic() - self._caught_up_at <= seconds

    async def start(self) -> None:
        """Remember the stream's end, then tail it: what is loaded after this misses nothing. Redis may be away."""
        try:
            self._position = await _end_of_stream(self._stream)
            self._caught_up_at = time.monotonic()
        except Exception as error:
            log.warning("broadcasts start later: Redis is away", extra={"error": repr(error)})
        self.resume()

    def resume(self) -> None:
        """Tail on from where `stop` left it."""
        self._task = asyncio.create_task(self._tail(), name="broadcast", context=Context())

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            await wake.end(task)
        self._caught_up_at = float("-inf")

    @property
    def _stream(self) -> str:
        return redis.key(*self._parts)

    async def _tail(self) -> None:
        away = False
        while True:
            try:
                if self._position is None:
                    self._position = await _end_of_stream(self._stream)
                    await self._missed()
                elif away or (not self.fresh_within(2.0) and await _trimmed_past(self._stream, self._position)):
                    # Who answers again may be a replica that never got the last messages, though it has our position.
                    await _end_of_stream(self._stream)
                    await self._missed()
                away = False
                await self._read(self._position)
            except Exception as error:
                if not away:
                    log.warning("broadcasts stopped", extra={"error": repr(error)})
                away = True
                await asyncio.sleep(0.2)

    async def _read(self, position: bytes) -> None:
        replies = await redis.read_stream(self._stream, position, count=_PAGE, block_ms=_BLOCK_MS)
        answered_at = time.monotonic()
        entries = wake.entries_of(replies)
        for entry_id, fields in entries:
            self._position = entry_id
            await self.receive(fields[b"m"])
        if len(entries) < _PAGE:
            self._caught_up_at = answered_at
        elif await _trimmed_past(self._stream, position):
            # So far behind that messages may have been trimmed before they were read.
            await self._missed()

    async def _missed(self) -> None:
        log.warning("broadcasts may have been missed: caches start over")
        for callback in self._on_gap:
            try:
                await callback()
            except Exception:
                log.exception("broadcast gap")


class Listener(Tail):
    """Tails the broadcasts and calls back by topic."""

    def __init__(self) -> None:
        super().__init__("broadcast")
        self._callbacks: dict[str, list[Callback]] = {}
        self._seen: OrderedDict[UUID, None] = OrderedDict()

    def listen(self, topic: str, callback: Callback, *, on_gap: OnGap | None = None) -> None:
        """Call `callback` with every message of `topic`, and `on_gap` whenever messages may have been missed."""
        callbacks = self._callbacks.setdefault(topic, [])
        if callback not in callbacks:
            callbacks.append(callback)
        if on_gap is not None and on_gap not in self._on_gap:
            self._on_gap.append(on_gap)

    async def receive(self, document: bytes | str) -> None:
        """Call back for one message of the stream, unless it was seen before."""
        read = orjson.loads(document)
        id = UUID(read["id"])
        if id in self._seen:
            return
        self._seen[id] = None
        if len(self._seen) > _REMEMBERED_IDS:
            self._seen.popitem(last=False)
        for callback in self._callbacks.get(read["topic"], ()):
            try:
                await callback(read["message"])
            except Exception:
                log.exception("broadcast callback", extra={"topic": read["topic"]})


async def _end_of_stream(stream: str) -> bytes:
    client = cast(Any, redis.redis())
    newest: Any = await client.xrevrange(stream, count=1)
    return newest[0][0] if newest else b"0-0"


async def _trimmed_past(stream: str, position: bytes) -> bool:
    """Tell whether entries after `position` may be gone: trimmed, or lost with the server's memory."""
    client = cast(Any, redis.redis())
    if position != b"0-0":
        # While the entry itself is there, everything behind it is.
        return not await client.xrange(stream, min=position, max=position)
    oldest: Any = await client.xrange(stream, count=1)
    return bool(oldest) and (await client.xinfo_stream(stream))["entries-added"] > await client.xlen(stream)


_listener = Listener()


def listen(topic: str, callback: Callback, *, on_gap: OnGap | None = None) -> None:
    """Call `callback` with every message of `topic`, and `on_gap` whenever some may have been missed."""
    _listener.listen(topic, callback, on_gap=on_gap)


def fresh_within(seconds: float) -> bool:
    """Tell whether this process has seen every broadcast that was sent up to `seconds` ago."""
    return _listener.fresh_within(seconds)


async def receive(document: str) -> None:
    """Take a message that did not come through Redis: tests hand over what the outbox holds."""
    await _listener.receive(document)


async def start() -> None:
    """Begin to tail the stream in this process."""
    await _listener.start()


async def stop() -> None:
    await _listener.stop()
