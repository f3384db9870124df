"""Send a film's changes as they happen: server-sent events, woken by broadcasts, with a read of the database between them.

Each event is the whole state and its id the film's version: a client that resumes gets the present state unless it has it.
Source: HTML, section 9.2 (Server-sent events).
"""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import orjson

from api.media.video_processing import logic, rules
from api.media.video_processing.store import Film
from cluster.base.principal import Principal
from cluster.base.problems import Problem
from cluster.signals import broadcast

HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
PING_INTERVAL_S = 15.0
POLL_INTERVAL_S = 3.0
"""The delay of a change while broadcasts are away."""
_RETRY_MS = 2000
_VERSION = re.compile(r"\d{1,18}", re.ASCII)

_watchers: dict[UUID, set[asyncio.Event]] = {}


async def _wake(message: dict[str, Any]) -> None:
    for changed in _watchers.get(UUID(message["video_id"]), ()):
        changed.set()


broadcast.listen(logic.TOPIC, _wake)


def seen_version(last_event_id: str | None) -> int:
    """Return the version that a client has seen; 0 for none, or for an id that was not given here."""
    return int(last_event_id) if last_event_id and _VERSION.fullmatch(last_event_id) else 0


def is_last(film: Film, seen: int) -> bool:
    """Tell whether the client has seen the last event."""
    return film.state in rules.FINAL and seen == film.version


async def events(
    caller: Principal, film: Film, seen: int, *, render: Callable[[Film], Any]
) -> AsyncGenerator[bytes, None]:
    """Yield the film's states after `seen`, the present one first, and pings while nothing changes; end with the last."""
    yield b"retry: %d\n\n" % _RETRY_MS
    sent_at = time.monotonic()
    with _watching(film.id) as changed:
        while True:
            if film.version != seen:
                yield b"id: %d\nevent: video\ndata: %b\n\n" % (film.version, orjson.dumps(render(film)))
                seen, sent_at = film.version, time.monotonic()
            elif time.monotonic() - sent_at >= PING_INTERVAL_S:
                yield b": ping\n\n"
                sent_at = time.monotonic()
            if film.state in rules.FINAL:
                return
            try:
                async with asyncio.timeout(min(POLL_INTERVAL_S, PING_INTERVAL_S)):
                    await changed.wait()
            except TimeoutError:
                pass
            changed.clear()
            try:
                film = await logic.get_film(caller, film.id)
            except Problem:
                # The right to see it was lost, or the database is away: the next request of the client gets the problem.
                return


@contextmanager
def _watching(video_id: UUID) -> Generator[asyncio.Event]:
    changed = asyncio.Event()
    _watchers.setdefault(video_id, set()).add(changed)
    try:
        yield changed
    finally:
        _watchers[video_id].discard(changed)
        if not _watchers[video_id]:
            del _watchers[video_id]
