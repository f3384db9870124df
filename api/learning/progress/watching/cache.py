"""Watched ranges in Redis: heartbeats are gathered here and written to PostgreSQL some seconds later, many at once.

Learners are dealt to shards, each one hash slot: a hash of films per learner, and a sorted set of the learners with
something unwritten, by when it is due. A value begins with `1` while it is unwritten, `0` once PostgreSQL has it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

import msgspec
from redis.exceptions import RedisClusterException, RedisError

from api.learning.enrollment.contract import EnrollmentId
from api.learning.progress.watching.rules import Watched
from cluster.base.problems import Unavailable
from cluster.signals import redis

SHARDS = 16
FLUSH_AFTER_S = 10.0

_EXPIRES_AFTER_S = 24 * 3600
_ANSWERS_WITHIN_S = 1.0
_PAUSE_S = 2.0
_MAX_ATTEMPTS = 8

# Swap a film's value unless it changed meanwhile, and return whether the learner is the shard's first with something unwritten.
_SWAP = """
local seen = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if seen ~= ARGV[2] then return {0, 0} end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[4])
local first = redis.call('ZCARD', KEYS[2]) == 0
redis.call('ZADD', KEYS[2], 'NX', ARGV[5], ARGV[6])
return {1, first and 1 or 0}
"""
# Mark values as written, unless they changed meanwhile; a learner without anything unwritten leaves the set.
_MARK_WRITTEN = """
for i = 4, #ARGV, 2 do
    if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[i + 1] then
        redis.call('HSET', KEYS[1], ARGV[i], '0' .. string.sub(ARGV[i + 1], 2))
    end
end
for _, value in ipairs(redis.call('HVALS', KEYS[1])) do
    if string.sub(value, 1, 1) == '1' then
        redis.call('ZADD', KEYS[2], 'XX', ARGV[2], ARGV[1])
        return 0
    end
end
redis.call('ZREM', KEYS[2], ARGV[1])
return 1
"""


class CacheUnavailable(Unavailable):
    """Redis does not answer, or too many write at once: PostgreSQL takes it directly."""


@dataclass(frozen=True, slots=True)
class Change:
    """The value of a film before and after a heartbeat."""

    before: Watched
    after: Watched
    first: bool
    """Nothing else of this shard is unwritten: a flush is to be planned."""


@dataclass(frozen=True, slots=True)
class Unwritten:
    """A value that PostgreSQL does not have yet."""

    field: bytes
    value: bytes
    watched: Watched


_paused_until = 0.0


def shard_of(enrollment_id: EnrollmentId) -> int:
    return enrollment_id.int % SHARDS


async def update(
    fresh: Watched, load: Callable[[], Awaitable[Watched | None]], rule: Callable[[Watched], Watched]
) -> Change:
    """Apply `rule` to the value of a film: the one here, or in PostgreSQL, or `fresh`.

    Raises:
        CacheUnavailable
    """
    films, due = _keys(fresh.enrollment_id)
    field = fresh.block_id.bytes + fresh.video_id.bytes
    for _ in range(_MAX_ATTEMPTS):
        seen: bytes | None = await _ask(_client().hget(films, field))
        before = decode(seen) if seen else await load() or fresh
        after = rule(before)
        value = b"1" + msgspec.msgpack.encode(after)
        due_at = time.time() + FLUSH_AFTER_S
        member = fresh.enrollment_id.bytes
        won, first = await _ask(
            _client().eval(_SWAP, 2, films, due, field, seen or b"", value, _EXPIRES_AFTER_S, due_at, member)
        )
        if won:
            return Change(before, after, bool(first))
    raise CacheUnavailable("too many heartbeats at once")


async def list_watched(enrollment_id: EnrollmentId) -> list[Watched]:
    """Return what a learner watched, as far as it is here; nothing when Redis does not answer."""
    try:
        values: list[bytes] = await _ask(_client().hvals(_keys(enrollment_id)[0]))
    except CacheUnavailable:
        return []
    return [decode(value) for value in values]


async def list_due(shard: int, limit: int) -> tuple[list[EnrollmentId], float | None]:
    """Return learners whose films are due to be written, and when the next one is; None: there is none.

    Raises:
        CacheUnavailable
    """
    key = _due_key(shard)
    found: list[tuple[bytes, float]] = await _ask(_client().zrange(key, 0, limit, withscores=True))
    now = time.time()
    ready = [EnrollmentId(UUID(bytes=bytes(member))) for member, score in found[:limit] if score <= now]
    return ready, found[len(ready)][1] if len(found) > len(ready) else None


async def has_unwritten(shard: int) -> bool:
    """Tell whether a shard has something unwritten.

    Raises:
        CacheUnavailable
    """
    return bool(await _ask(_client().zcard(_due_key(shard))))


async def list_unwritten(enrollment_id: EnrollmentId) -> list[Unwritten]:
    """Return the values of a learner that PostgreSQL does not have yet.

    Raises:
        CacheUnavailable
    """
    found: dict[bytes, bytes] = await _ask(_client().hgetall(_keys(enrollment_id)[0]))
    return [Unwritten(field, value, decode(value)) for field, value in found.items() if value[:1] == b"1"]


async def mark_written(enrollment_id: EnrollmentId, written: Sequence[Unwritten]) -> None:
    """Mark values as written, unless they changed meanwhile.

    Raises:
        CacheUnavailable
    """
    films, due_key = _keys(enrollment_id)
    pairs = [part for each in written for part in (each.field, each.value)]
    again_at = time.time() + FLUSH_AFTER_S
    await _ask(_client().eval(_MARK_WRITTEN, 2, films, due_key, enrollment_id.bytes, again_at, b"", *pairs))


async def forget(enrollment_ids: Sequence[EnrollmentId]) -> None:
    """Delete everything of these learners, written or not.

    Raises:
        CacheUnavailable
    """
    for each in enrollment_ids:
        films, due_key = _keys(each)
        await _ask(_client().delete(films))
        await _ask(_client().zrem(due_key, each.bytes))


def decode(value: bytes) -> Watched:
    return msgspec.msgpack.decode(value[1:], type=Watched)


def _client() -> Any:
    if time.monotonic() < _paused_until:
        raise CacheUnavailable("Redis did not answer a moment ago")
    return cast(Any, redis.redis())


def _keys(enrollment_id: EnrollmentId) -> tuple[str, str]:
    shard = shard_of(enrollment_id)
    return redis.key("watched", shard, enrollment_id), _due_key(shard)


def _due_key(shard: int) -> str:
    return redis.key("watched", shard, "due")


async def _ask(command: Awaitable[Any]) -> Any:
    global _paused_until
    try:
        async with asyncio.timeout(_ANSWERS_WITHIN_S):
            return await command
    except (RedisError, RedisClusterException, OSError, TimeoutError) as error:
        # Other requests do not wait for it during the pause.
        _paused_until = time.monotonic() + _PAUSE_S
        raise CacheUnavailable(repr(error)) from error
