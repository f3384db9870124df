"""Hints about live topics: "there is something new in `<name>:<id>`", to every process that has followers of it.

A hint is sent right after commit, and again by the relay from the outbox: the first copy is fast, the second certain. It carries
no content, so doubled, late and lost ones change nothing but the delay: followers read what is new from the topic's owner.
"""

import asyncio
import logging
import zlib
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import orjson

from cluster.base.ids import new_id
from cluster.data import Transaction
from cluster.signals import broadcast, outbox, redis
from cluster.signals.broadcast import OnGap, Tail
from cluster.signals.outbox import Waiting

log = logging.getLogger(__name__)

SHARDS = 4
_SIGNALS = "signals"
_MAX_SIGNALS = 1000
"""Kept in the stream: who reads so slowly that these do not last has missed nothing that counts."""
_KEY = "room "
"""With this begin the keys of hints in the outbox, where they lie among the broadcasts."""
_SEND_LIMIT_S = 0.25

OnHint = Callable[[str, UUID, int], None]


def tell(tx: Transaction, topic_name: str, id: UUID, seq: int) -> None:
    """Tell all followers of `<topic_name>:<id>` once `tx` has committed that there is something new, up to `seq`."""
    document = orjson.dumps({"name": topic_name, "id": id, "seq": seq}).decode()
    outbox.add(tx, outbox.Row(new_id(), outbox.BROADCAST, f"{_KEY}{topic_name}:{id}", document))
    tx.buffer("hints", document, _send_after_commit)


async def _send_after_commit(tx: Transaction) -> None:
    tx.after_commit(partial(_send_at_once, list(tx.buffers["hints"])))


async def _send_at_once(documents: list[str]) -> None:
    try:
        async with asyncio.timeout(_SEND_LIMIT_S):
            await send(*documents)
    except Exception as error:
        # The request has committed and must not wait for Redis: the relay sends the same documents again.
        log.debug("hints left to the relay", extra={"error": repr(error)})


async def send(*documents: str) -> None:
    """Append hints to the streams of their topics.

    Raises:
        redis.RedisError, OSError: Redis does not answer.
    """
    await broadcast.append((_stream(orjson.loads(document)), document) for document in documents)


async def send_signals(*documents: str) -> None:
    """Append signals to the stream of all topics.

    Raises:
        redis.RedisError, OSError: Redis does not answer.
    """
    await broadcast.append(((redis.key(_SIGNALS), document) for document in documents), at_most=_MAX_SIGNALS)


async def send_waiting(rows: Sequence[Waiting]) -> None:
    """Send what waits in the outbox for processes, broadcasts and hints.

    Raises:
        redis.RedisError, OSError: Redis does not answer.
    """
    hints = [row.envelope for row in rows if row.key.startswith(_KEY)]
    if hints:
        await send(*hints)
    if len(hints) < len(rows):
        await broadcast.send(*(row.envelope for row in rows if not row.key.startswith(_KEY)))


async def trim(before: datetime) -> None:
    """Delete what was sent before that instant: the topics of people name them.

    Raises:
        redis.RedisError, OSError: Redis does not answer.
    """
    for shard in range(SHARDS):
        await broadcast.trim_stream(redis.key("rooms", shard), before)
    await broadcast.trim_stream(redis.key(_SIGNALS), before)


def _stream(hint: dict[str, str]) -> str:
    return redis.key("rooms", zlib.crc32(f"{hint['name']}:{hint['id']}".encode()) % SHARDS)


class Hints:
    """Tails the hints of all topics for one process."""

    def __init__(self, on_hint: OnHint, on_gap: OnGap) -> None:
        self._tails = [_HintTail(shard, on_hint, on_gap) for shard in range(SHARDS)]

    def fresh_within(self, seconds: float) -> bool:
        """Tell whether all hints that were sent up to `seconds` ago have been seen."""
        return all(tail.fresh_within(seconds) for tail in self._tails)

    async def start(self) -> None:
        await asyncio.gather(*(tail.start() for tail in self._tails))

    def resume(self) -> None:
        """Tail on from where `stop` left it."""
        for tail in self._tails:
            tail.resume()

    async def stop(self) -> None:
        await asyncio.gather(*(tail.stop() for tail in self._tails))


class _HintTail(Tail):
    def __init__(self, shard: int, on_hint: OnHint, on_gap: OnGap) -> None:
        super().__init__("rooms", shard)
        self._on_hint = on_hint
        self._on_gap.append(on_gap)

    async def receive(self, document: bytes | str) -> None:
        hint = orjson.loads(document)
        self._on_hint(hint["name"], UUID(hint["id"]), hint["seq"])


class SignalTail(Tail):
    """Tails the signals of all topics for one process; those that are missed are lost."""

    def __init__(self, on_signal: Callable[[dict[str, Any]], None]) -> None:
        super().__init__(_SIGNALS)
        self._on_signal = on_signal

    async def receive(self, document: bytes | str) -> None:
        self._on_signal(orjson.loads(document))
