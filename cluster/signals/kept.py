"""Values that a process keeps for a moment: what is read often and changes rarely."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from time import monotonic
from typing import Any, Generic, TypeVar
from weakref import WeakSet

from cluster.base.problems import Unavailable
from cluster.data import Transaction
from cluster.signals import broadcast

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

MAX_AGE_S = 1.0
_all: "WeakSet[Kept[Any, Any]]" = WeakSet()


class Kept(Generic[K, V]):
    """Values by key, each kept for `ttl_s` at most; together they weigh at most `size`, and those used last stay.

    A transaction that changes a value calls `drop`: this process forgets the value when it has committed, the others when the
    broadcast on `topic` arrives, a few milliseconds later. Where broadcasts do not arrive, a value is `ttl_s` old at most; with
    `max_broadcast_age_s` it is then loaded each time.
    """

    def __init__(
        self,
        topic: str,
        *,
        size: int,
        ttl_s: float = MAX_AGE_S,
        max_broadcast_age_s: float | None = None,
        weigh: Callable[[V], int] = lambda _: 1,
        key: Callable[[str], K] | None = None,
    ) -> None:
        """Keep values of `topic`. `key` reads the text of a key as `drop` sends it; without one, `drop` names no key.

        `max_broadcast_age_s`: values count only while broadcasts are known to arrive this promptly.
        """
        self._topic = topic
        self._size = size
        self._ttl_s = ttl_s
        self._max_broadcast_age_s = max_broadcast_age_s
        self._weigh = weigh
        self._key = key
        self._values: OrderedDict[K, tuple[float, V, int]] = OrderedDict()
        self._weight = 0
        self._loading: dict[K, asyncio.Task[V]] = {}
        broadcast.listen(topic, self._hear, on_gap=self._forget_all)
        _all.add(self)

    def find(self, key: K) -> V | None:
        """Return the value if it is kept."""
        kept = self._valid(key)
        return None if kept is None else kept[1]

    def find_outdated(self, key: K) -> V | None:
        """Return the value even when its time is over, for when it cannot be loaded again. What was dropped is gone."""
        kept = self._values.get(key)
        return None if kept is None else kept[1]

    async def get(self, key: K, load: Callable[[], Awaitable[V]]) -> V:
        """Return the value, and load it when it is not kept: once for all who ask meanwhile. Errors are not kept.

        Raises:
            Unavailable: nobody answers; those who waited for somebody else's reading have tried once more.
        """
        kept = self._valid(key)
        if kept is not None:
            return kept[1]
        if key in self._loading:
            try:
                return await self._loaded(key, load)
            except Unavailable:
                # For whoever asked first: their time was used up, or their service had no connection left.
                pass
        return await self._loaded(key, load)

    def put(self, key: K, value: V) -> None:
        """Keep a value from now on."""
        self._remove(key)
        weight = self._weigh(value)
        self._values[key] = (monotonic() + self._ttl_s, value, weight)
        self._weight += weight
        while self._weight > self._size and len(self._values) > 1:
            self._remove(next(iter(self._values)))

    def forget(self, key: K | None = None) -> None:
        """Forget a value in this process alone; without a key, all of them."""
        if key is None:
            self._values.clear()
            self._loading.clear()
            self._weight = 0
        else:
            self._remove(key)
            # A value that is being loaded may be from before the change: it is not kept.
            self._loading.pop(key, None)

    def drop(self, tx: Transaction, key: K | None = None) -> None:
        """Forget a value, without a key all of them, in every process once `tx` has committed."""
        if key is not None and self._key is None:
            raise TypeError(f"{self._topic}: without a way to read keys, everything is dropped")
        broadcast.announce(tx, self._topic, {} if key is None else {"key": str(key)})

        async def forget() -> None:
            self.forget(key)

        tx.after_commit(forget)

    async def _loaded(self, key: K, load: Callable[[], Awaitable[V]]) -> V:
        """Return what is being loaded, else begin to load."""
        loading = self._loading.get(key)
        if loading is None:
            loading = self._loading[key] = asyncio.create_task(self._load(key, load))
        # A client that leaves does not take the answer from the others who wait for it.
        return await asyncio.shield(loading)

    async def _load(self, key: K, load: Callable[[], Awaitable[V]]) -> V:
        task = asyncio.current_task()
        try:
            value = await load()
            if self._loading.get(key) is task:
                self.put(key, value)
            return value
        finally:
            if self._loading.get(key) is task:
                del self._loading[key]

    def _valid(self, key: K) -> tuple[float, V, int] | None:
        kept = self._values.get(key)
        if kept is None or kept[0] <= monotonic():
            return None
        if self._max_broadcast_age_s is not None and not broadcast.fresh_within(self._max_broadcast_age_s):
            return None
        self._values.move_to_end(key)
        return kept

    def _remove(self, key: K) -> None:
        kept = self._values.pop(key, None)
        if kept is not None:
            self._weight -= kept[2]

    async def _hear(self, message: dict[str, Any]) -> None:
        text: str | None = message.get("key")
        self.forget(None if text is None or self._key is None else self._key(text))

    async def _forget_all(self) -> None:
        self.forget()


def stop() -> None:
    """Forget all that this process keeps: its servers may be others when it starts again."""
    for each in _all:
        each.forget()
