"""Loops that never end: one round after the other, with a rest, a back-off and a pulse that health checks feel."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from cluster.signals.wake import cancelled, end

log = logging.getLogger(__name__)

IDLE_SHORTEST_S = 0.5
IDLE_LONGEST_S = 1.0
_LONGEST_BACKOFF_S = 5.0


class Stuck(Exception):
    """A loop of this worker host has ended or hangs: the host must be started again."""


class Idle:
    """How long to rest when there was nothing to do: longer, the longer nothing happens."""

    def __init__(self) -> None:
        self._rest_s = IDLE_SHORTEST_S

    def rest(self, *, worked: bool) -> float:
        """Return the next rest in seconds, 0 after work."""
        if worked:
            self._rest_s = IDLE_SHORTEST_S
            return 0.0
        rest_s, self._rest_s = self._rest_s, min(IDLE_LONGEST_S, self._rest_s * 1.2)
        return rest_s


class Loop:
    """Calls `step` for ever. `step` returns how many seconds to rest; `wait` may cut the rest short."""

    def __init__(
        self,
        name: str,
        step: Callable[[], Awaitable[float]],
        *,
        wait: Callable[[float], Awaitable[object]] = asyncio.sleep,
        limit_s: float = 120.0,
    ) -> None:
        self.name = name
        self._step = step
        self._wait = wait
        self._limit_s = limit_s
        self._beat_at = time.monotonic()
        self._task: asyncio.Task[None] | None = None
        self._working = False
        self._stopping = False

    def start(self) -> None:
        self._beat_at = time.monotonic()
        self._stopping = False
        self._task = asyncio.create_task(self._run(), name=self.name)

    async def stop(self, grace_s: float = 0.0) -> None:
        """End the loop: at once while it rests, after at most `grace_s` while it works."""
        self._stopping = True
        task, self._task = self._task, None
        if task is None:
            return
        if grace_s and self._working:
            await asyncio.wait([task], timeout=grace_s)
        await end(task)

    def beat(self) -> None:
        """Show that a long round gets on."""
        self._beat_at = time.monotonic()

    def healthy(self) -> None:
        """Return while the loop goes round.

        Raises:
            Stuck: it ended, or one round has taken too long.
        """
        if self._task is None or self._task.done():
            raise Stuck(f"{self.name} has ended")
        silent_s = time.monotonic() - self._beat_at
        if silent_s > self._limit_s:
            raise Stuck(f"{self.name} has hung for {silent_s:.0f} s")

    async def _run(self) -> None:
        failures = 0
        while not self._stopping:
            self.beat()
            self._working = True
            try:
                rest_s = await self._step()
                if failures:
                    log.info("works again", extra={"loop": self.name, "failures": failures})
                failures = 0
            except (Exception, asyncio.CancelledError) as error:
                if cancelled():
                    raise
                # Once per outage: a server that is away for an hour must not fill the log.
                if not failures:
                    log.warning("failed, tries again", extra={"loop": self.name, "error": repr(error)}, exc_info=True)
                failures += 1
                rest_s = min(_LONGEST_BACKOFF_S, 0.1 * 2 ** min(failures, 10))
            self._working = False
            if self._stopping:
                return
            if failures:
                await asyncio.sleep(rest_s)
            elif rest_s:
                await self._wait(rest_s)
            else:
                await asyncio.sleep(0)
