"""Wake the workers: a hint through Redis that something waits in the database. Losing one costs latency, never work.

A hint is an entry of a tiny stream rather than a pub/sub message, because streams are routed in cluster mode like any
key and PostgreSQL's NOTIFY would serialize the commits of the whole database.
"""

import asyncio
import logging
from typing import Any, cast

from cluster.signals import redis

log = logging.getLogger(__name__)

DEBOUNCE_S = 0.01

_waiting: set[str] = set()
_sender: "asyncio.Task[None] | None" = None


async def signal(*names: str) -> None:
    """Hint to all worker hosts that `names` ("outbox", "broadcasts", "jobs") have something to do. Returns at once."""
    global _sender
    _waiting.update(names)
    if _sender is None or _sender.done():
        _sender = asyncio.create_task(_send(), name="wake")


async def _send() -> None:
    while _waiting:
        names = ",".join(sorted(_waiting))
        _waiting.clear()
        try:
            client = cast(Any, redis.redis())
            await client.xadd(redis.key("wake"), {"names": names}, maxlen=64, approximate=True)
        except Exception as error:
            # Also without a client, as in a process that only writes: sweeps find the work.
            log.debug("wake-up not sent", extra={"error": repr(error)})
        await asyncio.sleep(DEBOUNCE_S)


class Bell:
    """Receives the hints of one process; each loop waits for its own name, or for its sweep."""

    def __init__(self) -> None:
        self._events: dict[str, asyncio.Event] = {}

    def ring(self, name: str) -> None:
        self._events.setdefault(name, asyncio.Event()).set()

    async def wait(self, name: str, timeout_s: float) -> bool:
        """Return True when `name` was hinted at since the last wait, False after `timeout_s`."""
        event = self._events.setdefault(name, asyncio.Event())
        try:
            async with asyncio.timeout(timeout_s):
                await event.wait()
        except TimeoutError:
            return False
        event.clear()
        return True

    async def listen(self) -> None:
        """Ring for every hint, until cancelled."""
        position: bytes = b"$"
        while True:
            try:
                replies = await redis.read_stream(redis.key("wake"), position, count=64, block_ms=1000)
            except Exception as error:
                log.debug("no wake-ups", extra={"error": repr(error)})
                await asyncio.sleep(1.0)
                continue
            for entry_id, fields in entries_of(replies):
                position = entry_id
                for name in fields[b"names"].decode().split(","):
                    self.ring(name)


def entries_of(replies: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """Return the entries of an XREAD of one stream: RESP2 answers pairs, RESP3 a dictionary of nested lists."""
    if not replies:
        return []
    if isinstance(replies, dict):
        return next(iter(cast(dict[Any, Any], replies).values()))[0]
    return replies[0][1]


async def end(task: "asyncio.Task[None]") -> None:
    """Cancel a task until it has ended: a command of the Redis client may swallow a cancellation."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=1.0)


def cancelled() -> bool:
    """Tell whether somebody wants this task to end. A CancelledError without that came out of something it awaited."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
