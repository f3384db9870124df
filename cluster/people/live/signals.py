"""Signals: what followers of a topic send each other now, "is typing", "looks at it". They may be lost, and nothing keeps them."""

import asyncio
import logging
from collections.abc import Mapping
from time import monotonic
from typing import Any
from uuid import UUID

import msgspec
import orjson

from cluster.people.live.fetching import alone
from cluster.people.live.reader import Reader
from cluster.people.live.room import Room
from cluster.signals.rooms import SignalTail, send_signals

log = logging.getLogger(__name__)

MAX_BYTES = 1024
"""Of a signal's data."""
RATE_PER_S = 5
"""Of one connection; what is more is dropped."""
_GATHER_S = 0.01
_MAX_WAITING = 1000
_SEND_LIMIT_S = 0.25


class Signals:
    """Sends signals of this process's followers to all processes, and gives those of all to followers here."""

    def __init__(self, rooms: Mapping[tuple[str, UUID], Room]) -> None:
        self._rooms = rooms
        self._tail = SignalTail(self.hear)
        self._waiting: list[str] = []
        self._sending: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self._tail.start()

    async def stop(self) -> None:
        await self._tail.stop()

    def send(self, reader: Reader, label: str, kind: str, data: dict[str, Any]) -> int | None:
        """Tell the other followers of a topic this. Return the HTTP status of why it cannot be told: 403, 404, 413.

        Who follows a topic may send; one who sends too much, or while too many wait, is not heard.
        """
        link = reader.links.get(label)
        if link is None:
            return 403
        if kind not in link.room.topic.signals:
            return 404
        try:
            content = msgspec.json.encode(data).decode()
        except (ValueError, OverflowError, TypeError):
            return 413
        if len(content.encode()) > MAX_BYTES:
            return 413
        if _allowed(reader) and len(self._waiting) < _MAX_WAITING:
            document = {"name": link.room.topic.name, "id": link.room.id, "kind": kind, "data": content}
            sender = {"user_id": reader.principal.person(), "connection": reader.id}
            self._waiting.append(orjson.dumps(document | sender).decode())
            if self._sending is None or self._sending.done():
                self._sending = alone(self._send_waiting(), "live signals")
        return None

    def hear(self, signal: dict[str, Any]) -> None:
        """Give a signal to the followers here, except to the connection that sent it."""
        room = self._rooms.get((signal["name"], UUID(signal["id"])))
        if room is None or signal["kind"] not in room.topic.signals:
            return
        rest = f',"signal":"{signal["kind"]}","user_id":"{signal["user_id"]}","data":{signal["data"]}}}'
        for link in room.links:
            if link.reader.id != signal["connection"]:
                link.reader.signal(link, f'{{"topic":"{link.label}"{rest}')

    async def _send_waiting(self) -> None:
        while self._waiting:
            await asyncio.sleep(_GATHER_S)
            documents, self._waiting = self._waiting, []
            try:
                async with asyncio.timeout(_SEND_LIMIT_S):
                    await send_signals(*documents)
            except Exception as error:
                log.debug("signals were lost", extra={"error": repr(error)})


def _allowed(reader: Reader) -> bool:
    now = monotonic()
    reader.signals = min(float(RATE_PER_S), reader.signals + (now - reader.signals_at) * RATE_PER_S)
    reader.signals_at = now
    if reader.signals < 1:
        return False
    reader.signals -= 1
    return True
