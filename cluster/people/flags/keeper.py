"""The flags of one process: loaded at its start, brought up to date by broadcasts, and polled while those are late."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextvars import Context
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from cluster.base.ids import OrgId
from cluster.data import Transaction
from cluster.people.calls import client
from cluster.people.flags.compiled import CompiledFlag
from cluster.people.flags.offer import Exposure, FlagRow, FlagSource
from cluster.signals import broadcast, wake

log = logging.getLogger(__name__)

TOPIC = "flags"
POLL_S = 1.0
"""How often feature_flag is asked while broadcasts are not known to arrive."""
MAX_BROADCAST_AGE_S = 1.5
_TICK_S = 0.25
USE_S = 10.0
"""How often it is told which flags were asked for."""
_FIRST_S = 1.0
"""How long the start of a process waits for its first load."""
_ASK_S = 2.0
_CATCH_UP_EVERY_S = 0.2
"""How often feature_flag is asked at most because clients say that they heard of a change."""
_PAGE = 500
_MOST_EXPOSURES = 10_000
_SEEN_EXPOSURES = 100_000


class Keeper:
    """Keeps the flags of this process as feature_flag has them; where that is away, as it had them last."""

    def __init__(self) -> None:
        self.platform: dict[str, CompiledFlag] = {}
        self.organizations: dict[OrgId, dict[str, CompiledFlag]] = {}
        self.seq = 0
        """All changes up to this one are here."""
        self.loaded = False
        self._by_id: dict[UUID, CompiledFlag] = {}
        self._used: set[UUID] = set()
        self._exposed: list[Exposure] = []
        self._seen: set[tuple[str, str]] = set()
        self._dirty = asyncio.Event()
        self._refreshing = asyncio.Lock()
        self._catching_up: asyncio.Task[bool] | None = None
        self._asked_at = float("-inf")
        self._caught_up_at = float("-inf")
        """When the last refresh for a client began that succeeded."""
        self._watchers: list[Callable[[set[OrgId | None]], None]] = []
        self._tasks: list[asyncio.Task[None]] = []

    def of(self, org_id: OrgId | None) -> Mapping[str, CompiledFlag]:
        """Return the flags of an organization; None: those of the platform."""
        return self.platform if org_id is None else self.organizations.get(org_id, {})

    async def start(self) -> None:
        """Load what there is, if feature_flag answers at once, and keep it up to date from now on."""
        self._dirty.set()
        follow = asyncio.create_task(self._follow(), name="flags", context=Context())
        tell = asyncio.create_task(self._tell(), name="flags used", context=Context())
        self._tasks = [follow, tell]
        first = asyncio.create_task(self._first(), name="flags loaded", context=Context())
        try:
            async with asyncio.timeout(_FIRST_S):
                await first
        except TimeoutError:
            log.warning("flags are loaded later: feature_flag does not answer")

    async def stop(self) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            await wake.end(task)
        if self._catching_up is not None:
            self._catching_up.cancel()

    def wake(self) -> None:
        """Something has changed, or may have."""
        self._dirty.set()

    def watch(self, watcher: Callable[[set[OrgId | None]], None]) -> None:
        """Call `watcher` whenever flags of this process changed, with those whose flags they are; None: the platform's."""
        self._watchers.append(watcher)

    async def refresh(self) -> None:
        """Take over what changed since the last time.

        Raises:
            Unavailable, OSError, TimeoutError: feature_flag does not answer.
        """
        async with self._refreshing:
            while True:
                async with asyncio.timeout(_ASK_S):
                    rows = await client(FlagSource).flag_changes(self.seq, _PAGE)
                for row in rows:
                    self.take(row)
                if rows:
                    owners = {row.org_id for row in rows}
                    for watcher in self._watchers:
                        watcher(owners)
                if len(rows) < _PAGE:
                    break
            self.loaded = True

    async def catch_up(self, seq: int) -> None:
        """Take over the changes up to this one, of which a client heard from another process, if feature_flag answers.

        The client may be wrong: feature_flag is asked five times a second at most, for all of them together. A client that came
        after it was asked waits for the next time; all wait for some 2 s at most, and for an attempt that fails no second one.
        """
        arrived = time.monotonic()
        while seq > self.seq and self._caught_up_at < arrived:
            if self._catching_up is None or self._catching_up.done():
                self._catching_up = asyncio.create_task(self._catch_up(), name="flags heard of", context=Context())
            attempt = self._catching_up
            left_s = arrived + _ASK_S - time.monotonic()
            await asyncio.wait([attempt], timeout=max(0.0, left_s))
            if not attempt.done() or attempt.cancelled() or not attempt.result():
                return

    async def _catch_up(self) -> bool:
        """Ask feature_flag when it may be asked again; False: it does not answer."""
        await asyncio.sleep(self._asked_at + _CATCH_UP_EVERY_S - time.monotonic())
        began = self._asked_at = time.monotonic()
        try:
            await self.refresh()
        except Exception as error:
            log.debug("flags cannot be read", extra={"error": repr(error)})
            return False
        self._caught_up_at = began
        return True

    def take(self, row: FlagRow) -> None:
        """Decide by this row from now on."""
        self.seq = max(self.seq, row.seq)
        flags = self.platform if row.org_id is None else self.organizations.setdefault(row.org_id, {})
        known = self._by_id.pop(row.id, None)
        if known is not None and flags.get(known.row.key) is known:
            del flags[known.row.key]
        if row.state in ("draft", "archived"):
            return
        try:
            flag = CompiledFlag(row)
        except (ValueError, KeyError, TypeError, IndexError) as error:
            # Of another release: services have their default.
            log.warning(
                "a flag cannot be decided by: the default counts", extra={"flag": row.key, "error": repr(error)}
            )
            return
        flags[row.key] = self._by_id[row.id] = flag

    def expose(self, experiment_id: str, unit: str, variant: str) -> None:
        """Note that a unit was given a variant in an experiment; it is told later."""
        if (experiment_id, unit) in self._seen or len(self._exposed) >= _MOST_EXPOSURES:
            return
        try:
            exposure = Exposure(
                experiment_id=UUID(experiment_id), unit_id=UUID(unit), variant=variant, at=datetime.now(UTC)
            )
        except ValueError:
            return
        if len(self._seen) >= _SEEN_EXPOSURES:
            self._seen.clear()
        self._seen.add((experiment_id, unit))
        self._exposed.append(exposure)

    async def tell_use(self) -> None:
        """Tell feature_flag which flags were asked for, and who was exposed to what.

        Raises:
            Unavailable, OSError, TimeoutError: feature_flag does not answer; what was to be told is kept.
        """
        used = [id for id, flag in self._by_id.items() if flag.used]
        exposures = self._exposed[:1000]
        while used or exposures:
            async with asyncio.timeout(_ASK_S):
                await client(FlagSource).note_use(used, exposures)
            for id in used:
                if id in self._by_id:
                    self._by_id[id].used = False
            del self._exposed[: len(exposures)]
            used, exposures = [], self._exposed[:1000]

    async def _first(self) -> None:
        try:
            await self.refresh()
            self._dirty.clear()
        except Exception as error:
            log.debug("flags are loaded later", extra={"error": repr(error)})

    async def _follow(self) -> None:
        polled_at = time.monotonic()
        while True:
            try:
                async with asyncio.timeout(_TICK_S):
                    await self._dirty.wait()
            except TimeoutError:
                late = not self.loaded or not broadcast.fresh_within(MAX_BROADCAST_AGE_S)
                if not late or time.monotonic() - polled_at < POLL_S:
                    continue
            polled_at = time.monotonic()
            self._dirty.clear()
            try:
                await self.refresh()
            except Exception as error:
                # The last rules count. Asked again in a second, also when broadcasts arrive.
                log.debug("flags cannot be read", extra={"error": repr(error)})
                await asyncio.sleep(POLL_S)
                self._dirty.set()

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(USE_S)
            try:
                await self.tell_use()
            except Exception as error:
                log.debug("the use of flags is told later", extra={"error": repr(error)})


_keeper: Keeper | None = None


def current() -> Keeper | None:
    """Return what keeps the flags of this process; None: it was not started."""
    return _keeper


def changed(tx: Transaction) -> None:
    """Let every process read what changed once `tx` has committed."""
    broadcast.announce(tx, TOPIC, {})

    async def refresh() -> None:
        # Whoever changed a flag sees the change in this process with the answer.
        if _keeper is not None:
            try:
                await _keeper.refresh()
            except Exception:
                _keeper.wake()

    tx.after_commit(refresh)


async def start() -> None:
    """Keep the flags of this process up to date."""
    global _keeper
    _keeper = Keeper()
    broadcast.listen(TOPIC, _hear, on_gap=_hear_gap)
    await _keeper.start()


async def stop() -> None:
    """Keep nothing any more: services have their defaults."""
    global _keeper
    ended, _keeper = _keeper, None
    if ended is not None:
        await ended.stop()


# Of the module, because a listener keeps its callbacks: this process may start again.
async def _hear(_: dict[str, Any]) -> None:
    if _keeper is not None:
        _keeper.wake()


async def _hear_gap() -> None:
    if _keeper is not None:
        _keeper.wake()
