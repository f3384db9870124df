"""Token buckets that all processes share: one number for each in Redis, of which every process leases a part.

The number says when the bucket would be full again (GCRA; ITU-T I.371). A process spends what it leased for a second at most, so
that most requests ask nobody; what it did not spend it gives back, and what a dead process leased is lost, never spent twice.
A bucket that is asked rarely needs no lease: a hundredth of it is spent at once and told within moments, as a debt. So processes
together may pass the limit by a hundredth each for a moment, and what they took too much they wait for.
"""

import asyncio
import hashlib
import logging
import zlib
from collections.abc import Coroutine, Iterable, Sequence
from contextvars import Context
from dataclasses import dataclass
from time import monotonic, time
from typing import Any, Literal, NamedTuple, cast

from prometheus_client import Counter, Gauge
from redis.exceptions import NoScriptError

from cluster.base import telemetry
from cluster.base.ids import new_id
from cluster.signals import redis, wake

log = logging.getLogger(__name__)

LEASE_S = 1.0
TICK_S = 0.2
"""How long a debt stays untold."""
ASK_LIMIT_S = 1.0
_SHARDS = 16
"""Buckets of one tenant share a hash tag, so that one command settles them; so do those of many tenants."""
_CREDIT = 100
"""A process spends this part of a bucket before it asks."""
_CAPACITY = 50_000
_COUNT_EVERY_S = 5.0
_DECIDED_ALONE = Counter(
    "hub_limits_alone",
    "Requests that this process admitted or refused by its own share, because Redis did not answer.",
    registry=telemetry.REGISTRY,
)
_ALONE = Gauge("hub_limits_is_alone", "1 while Redis does not answer for limits.", registry=telemetry.REGISTRY)

# For each key: microseconds per unit, microseconds of a full bucket, units owed (negative: given back), units wanted.
# Answers for each: units granted, microseconds until the bucket is full again. A debt is at most one more bucket.
_SETTLE = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local answers = {}
for i, key in ipairs(KEYS) do
    local interval, depth = tonumber(ARGV[4 * i - 3]), tonumber(ARGV[4 * i - 2])
    local owed, wanted = tonumber(ARGV[4 * i - 1]), tonumber(ARGV[4 * i])
    local full_at = math.max(tonumber(redis.call('GET', key) or '0'), now)
    full_at = math.min(math.max(full_at + owed * interval, now), now + 2 * depth)
    local granted = math.max(0, math.min(wanted, math.floor((now + depth - full_at) / interval + 0.000001)))
    full_at = full_at + granted * interval
    if full_at > now then
        redis.call('SET', key, string.format('%.0f', full_at), 'PX', math.ceil((full_at - now) / 1000))
    else
        redis.call('DEL', key)
    end
    answers[2 * i - 1] = granted
    answers[2 * i] = math.floor(full_at - now)
end
return answers
"""
_SETTLE_SHA = hashlib.sha1(_SETTLE.encode(), usedforsecurity=False).hexdigest()


class Quota(NamedTuple):
    """How many units a bucket holds, and in how many seconds an empty one is full."""

    units: int
    window_s: int


class Bucket:
    """What this process knows of one bucket."""

    __slots__ = (
        "_level_at",
        "_level_s",
        "asking",
        "credit",
        "interval_s",
        "key",
        "kind",
        "leased",
        "leased_until",
        "owed",
        "quota",
        "refused_until",
        "shard",
        "spent",
        "wanted",
    )

    def __init__(self, kind: str, id: str, tenant: str, quota: Quota) -> None:
        self.kind = kind
        self.shard = zlib.crc32(tenant.encode()) % _SHARDS
        self.key = redis.key("limits", self.shard, kind, id)
        self.leased = 0
        self.leased_until = 0.0
        self.owed = 0
        self.spent = 0
        """Since the last tick."""
        self.wanted = 0
        self.refused_until = 0.0
        self.asking: asyncio.Task[None] | None = None
        self._level_s = 0.0
        self._level_at = 0.0
        self.configure(quota)

    def configure(self, quota: Quota) -> None:
        self.quota = quota
        self.interval_s = quota.window_s / quota.units
        self.credit = quota.units // _CREDIT

    def level_s(self, now: float) -> float:
        """Return the seconds until the bucket is full again, as far as is known here."""
        return max(self._level_s - (now - self._level_at), 0.0)

    def set_level(self, level_s: float, now: float) -> None:
        self._level_s, self._level_at = level_s, now

    def left(self, now: float) -> int:
        """Return how many units callers of this process may still spend."""
        if self.refused_until > now and not self._has_leased(1, now):
            return 0
        free = int((self.quota.window_s - self.level_s(now)) / self.interval_s + 1e-6) - self.owed
        return max(free, 0) + (self.leased if self.leased_until > now else 0)

    def wait_s(self, cost: int, now: float) -> float:
        """Return how long until it has `cost` units."""
        lacking = cost - (self.leased if self.leased_until > now else 0)
        return max(self.level_s(now) + lacking * self.interval_s - self.quota.window_s, 0.001)

    def has(self, cost: int, now: float) -> bool:
        """Tell whether so much can be spent without asking."""
        if self._has_leased(cost, now):
            return True
        return self.refused_until <= now and self.owed + cost <= self.credit

    def spend(self, cost: int, now: float) -> None:
        self.spent += cost
        if self._has_leased(cost, now):
            self.leased -= cost
        else:
            self.owed += cost

    def _has_leased(self, cost: int, now: float) -> bool:
        return self.leased >= cost and self.leased_until > now


@dataclass(frozen=True, slots=True)
class Refusal:
    """Which bucket has too little, and for how long."""

    bucket: Bucket
    wait_s: float


Taken = Refusal | Literal["ask"] | None
"""None: it was taken. `ask`: it is not known here, see `SharedBuckets.ask`."""


class SharedBuckets:
    """The buckets that this process spends from."""

    def __init__(self) -> None:
        self.hosts = 1
        """How many processes share them; each has its part while Redis is away."""
        self.is_alone = False
        self._id = str(new_id())
        self._buckets: dict[tuple[str, object], Bucket] = {}
        self._busy: dict[str, Bucket] = {}
        """With units that are leased or owed."""
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._counting: asyncio.Task[None] | None = None

    def bucket(self, kind: str, id: object, tenant: object, quota: Quota) -> Bucket:
        """Return a bucket, with the quota that holds now. Buckets of one tenant are settled together."""
        found = self._buckets.get((kind, id))
        if found is None:
            if len(self._buckets) >= _CAPACITY:
                self._forget()
            found = self._buckets[kind, id] = Bucket(kind, str(id), str(tenant), quota)
        elif found.quota is not quota and found.quota != quota:
            found.configure(quota)
        return found

    def take(self, buckets: Sequence[Bucket], cost: int) -> Taken:
        """Spend `cost` units of each bucket, or of none, if what is known here suffices to decide. Costs no network."""
        now = monotonic()
        if self.is_alone:
            return self._take_alone(buckets, cost, now)
        for each in buckets:
            if not each.has(min(cost, each.quota.units), now):
                if each.refused_until > now:
                    return Refusal(each, each.wait_s(min(cost, each.quota.units), now))
                return "ask"
        for each in buckets:
            each.spend(min(cost, each.quota.units), now)
            self._busy[each.key] = each
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(TICK_S, self._tick)
        return None

    async def ask(self, buckets: Sequence[Bucket], cost: int) -> Refusal | None:
        """Do what `take` does, and ask Redis for what is not known. Without Redis it decides alone."""
        while True:
            taken = self.take(buckets, cost)
            if taken != "ask":
                return taken
            now = monotonic()
            lacking = [each for each in buckets if not each.has(min(cost, each.quota.units), now)]
            for each in lacking:
                each.wanted += min(cost, each.quota.units)
            if new := [each for each in lacking if each.asking is None]:
                self._begin(new)
            # Whoever leaves meanwhile takes the answer from nobody.
            await asyncio.wait({each.asking for each in lacking if each.asking is not None})

    async def look(self, buckets: Sequence[Bucket]) -> None:
        """Learn how buckets are that this process may not have asked for lately. Without Redis nothing changes."""
        if buckets and not self.is_alone:
            await self._settle(buckets)

    async def start(self) -> None:
        """Count the processes that share the buckets, from now on."""
        self._counting = asyncio.create_task(self._count(), name="limits", context=Context())

    async def stop(self) -> None:
        """Give back what is leased, if Redis answers."""
        counting, self._counting = self._counting, None
        if counting is not None:
            await wake.end(counting)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for each in self._busy.values():
            each.leased_until = 0.0
        if self._busy and not self.is_alone:
            await self._settle(list(self._busy.values()))
        self._busy.clear()
        self._buckets.clear()
        self._end_alone()

    def _take_alone(self, buckets: Sequence[Bucket], cost: int, now: float) -> Taken:
        """Spend of this process's share."""
        _DECIDED_ALONE.inc()
        levels: list[float] = []
        for each in buckets:
            added_s = min(cost, each.quota.units) * each.interval_s * self.hosts
            level_s = each.level_s(now)
            # A single request is never more than a share: on an empty bucket it passes.
            if level_s and level_s + added_s > each.quota.window_s + 1e-9:
                return Refusal(each, max(level_s + added_s - each.quota.window_s, 0.001))
            levels.append(level_s + added_s)
        for each, level_s in zip(buckets, levels, strict=True):
            each.set_level(level_s, now)
        return None

    def _tick(self) -> None:
        """Tell what is owed, give back what was not spent, and lease more of what is asked most."""
        self._timer = None
        now = monotonic()
        due: list[Bucket] = []
        for key, each in list(self._busy.items()):
            spent, each.spent = each.spent, 0
            if each.asking is not None:
                continue
            is_hot = spent * 2 > each.credit
            if is_hot:
                per_s = int(spent / TICK_S)
                if each.leased < per_s * 2 * TICK_S:
                    each.wanted = max(each.wanted, min(per_s, max(each.quota.units // 20, 1)))
            if each.owed or each.wanted or (each.leased and each.leased_until <= now):
                due.append(each)
            elif not each.leased:
                del self._busy[key]
        if due and not self.is_alone:
            self._begin(due)
        if self._busy:
            self._timer = asyncio.get_running_loop().call_later(TICK_S, self._tick)

    def _begin(self, buckets: list[Bucket]) -> None:
        task = self._spawn(self._settle(buckets))
        for each in buckets:
            each.asking = task

    def _spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _settle(self, buckets: Iterable[Bucket]) -> None:
        """Settle with Redis: what is owed, given back and wanted."""
        by_shard: dict[int, list[Bucket]] = {}
        for each in buckets:
            by_shard.setdefault(each.shard, []).append(each)
        try:
            async with asyncio.timeout(ASK_LIMIT_S):
                await asyncio.gather(*(self._settle_together(each) for each in by_shard.values()))
        except Exception as error:
            self._be_alone(error)
        finally:
            task = asyncio.current_task()
            for shard in by_shard.values():
                for each in shard:
                    if each.asking is task:
                        each.asking = None

    async def _settle_together(self, buckets: list[Bucket]) -> None:
        now = monotonic()
        arguments: list[str] = []
        wanted: list[int] = []
        for each in buckets:
            unspent = each.leased if each.leased_until <= now else 0
            each.leased -= unspent
            owed, each.owed = each.owed - unspent, 0
            want, each.wanted = each.wanted, 0
            wanted.append(want)
            arguments += [f"{each.interval_s * 1e6:.6f}", f"{each.quota.window_s * 1_000_000}", f"{owed}", f"{want}"]
        answers = await _run([each.key for each in buckets], arguments)
        now = monotonic()
        for index, (each, want) in enumerate(zip(buckets, wanted, strict=True)):
            granted, level_us = answers[2 * index], answers[2 * index + 1]
            each.set_level(level_us / 1e6, now)
            each.leased += granted
            if granted:
                each.leased_until = now + LEASE_S
                self._busy[each.key] = each
            lacks_s = level_us / 1e6 + each.interval_s - each.quota.window_s
            if lacks_s > 0:
                each.refused_until = now + lacks_s
            elif granted < want:
                # What a debt leaves is no whole unit.
                each.refused_until = now + each.interval_s

    def _be_alone(self, error: Exception) -> None:
        if not self.is_alone:
            log.warning("limits go on alone: Redis is away", extra={"error": repr(error)})
            self.is_alone = True
            _ALONE.set(1)
            self._spawn(self._wait_for_redis())
        for each in self._busy.values():
            each.leased = each.owed = each.wanted = 0
        self._busy.clear()

    def _end_alone(self) -> None:
        self.is_alone = False
        _ALONE.set(0)

    async def _wait_for_redis(self) -> None:
        while self.is_alone:
            await asyncio.sleep(LEASE_S / 2)
            try:
                async with asyncio.timeout(2.0):
                    await _run([redis.key("limits", 0, "probe")], ["1", "1", "0", "0"])
            except Exception as error:
                log.debug("Redis is still away", extra={"error": repr(error)})
            else:
                self._end_alone()

    async def _count(self) -> None:
        """Say that this process lives, and learn how many do."""
        key = redis.key("limits", "hosts")
        client = cast(Any, redis.redis())
        while True:
            try:
                now = time()
                await client.zadd(key, {self._id: now})
                await client.zremrangebyscore(key, "-inf", now - 3 * _COUNT_EVERY_S)
                self.hosts = max(1, await client.zcard(key))
            except Exception as error:
                log.debug("hosts are not counted", extra={"error": repr(error)})
            await asyncio.sleep(_COUNT_EVERY_S)

    def _forget(self) -> None:
        now = monotonic()
        self._buckets = {
            key: each for key, each in self._buckets.items() if each.key in self._busy or each.refused_until > now
        }
        if len(self._buckets) >= _CAPACITY:
            # An attack from everywhere: those that are busy keep what they owe until the next tick.
            self._buckets.clear()


async def _run(keys: list[str], arguments: list[str]) -> list[int]:
    client = cast(Any, redis.redis())
    try:
        return await client.execute_command("EVALSHA", _SETTLE_SHA, len(keys), *keys, *arguments)
    except NoScriptError:
        return await client.execute_command("EVAL", _SETTLE, len(keys), *keys, *arguments)
