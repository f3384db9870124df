"""Asking the owners of topics: what is new, and how far a topic is, once for all who want to know."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextvars import Context
from itertools import islice
from typing import Any, TypeVar
from uuid import UUID

from cluster.base.problems import Problem, Unavailable
from cluster.people.calls import client
from cluster.people.live.frames import Frame
from cluster.people.live.reader import Link
from cluster.people.live.room import Room
from cluster.people.topics import After, Standing, TopicMessage, TopicSource

T = TypeVar("T")
log = logging.getLogger(__name__)

_GATHER_S = 0.01
_PAGE = 100
_MANY = 200
"""Topics that one statement asks about."""


class Pump:
    """Fetches what is new in the topics of one service: one request at a time, at most one every 10 ms."""

    def __init__(self, service: str, end: Callable[[Room], None]) -> None:
        """`end`: called with a topic that is gone."""
        self._service = service
        self._end = end
        self._dirty: set[Room] = set()
        self.task: asyncio.Task[None] | None = None

    def mark(self, room: Room) -> None:
        self._dirty.add(room)
        if self.task is None or self.task.done():
            self.task = alone(self._run(), "live pump")

    async def _run(self) -> None:
        while self._dirty:
            await asyncio.sleep(_GATHER_S)
            rooms, self._dirty = self._dirty, set()
            by_name: dict[str, list[Room]] = {}
            for room in rooms:
                if room.links:
                    by_name.setdefault(room.topic.name, []).append(room)
            try:
                for name, some in by_name.items():
                    await self._fetch_new(name, [room for room in some if room.is_behind])
                    await self._fetch_missed(name, [room for room in some if room.lagging])
            except Exception as error:
                log.warning("live messages wait", extra={"service": self._service, "error": repr(error)})
                self._dirty |= rooms
                await asyncio.sleep(1.0)
            else:
                self._dirty |= {room for room in rooms if room.links and room.is_dirty}

    async def _fetch_new(self, name: str, rooms: list[Room]) -> None:
        silent: list[Room] = []
        for some in portions(rooms):
            asked = {room: room.hinted for room in some}
            found = await self._since(name, [After(id=room.id, seq=room.delivered) for room in some])
            for room in some:
                messages = found.get(room.id, [])
                for message in messages:
                    room.take(message)
                if not messages and room.hinted == asked[room]:
                    room.hinted = room.delivered
                    silent.append(room)
        for some in portions(silent):
            # What the hint was about is gone, perhaps with its topic.
            ids = [room.id for room in some]
            there = {each.id for each in await client(TopicSource, of=self._service).standing(name, ids)}
            for room in some:
                if room.id not in there:
                    self._end(room)

    async def _fetch_missed(self, name: str, rooms: list[Room]) -> None:
        """Fetch what followers missed: for each topic from the one on who is furthest behind."""
        waiting: dict[Room, list[Link]] = {}
        for room in rooms:
            for link in list(room.lagging):
                room.catch_up(link)
            if links := [link for link in room.lagging if link.reader.has_room]:
                waiting[room] = links
        for some in portions(list(waiting)):
            after = {room: min(link.cursor for link in waiting[room]) for room in some}
            found = await self._since(name, [After(id=room.id, seq=seq) for room, seq in after.items()])
            for room in some:
                frames = [Frame(name, message) for message in found.get(room.id, ())]
                for link in waiting[room]:
                    if link in room.lagging:
                        _catch_up(room, link, frames)

    async def _since(self, name: str, after: list[After]) -> dict[UUID, list[TopicMessage]]:
        found: dict[UUID, list[TopicMessage]] = {}
        for message in await client(TopicSource, of=self._service).since(name, after, _PAGE):
            found.setdefault(message.id, []).append(message)
        return found


def _catch_up(room: Room, link: Link, frames: list[Frame]) -> None:
    """Give a follower what was fetched for it."""
    if not frames:
        # Those messages are gone.
        link.cursor = room.delivered
        link.reader.tell(link, topic=link.label, reset=room.delivered)
    for frame in frames:
        if frame.seq > link.cursor:
            if not link.reader.has_room:
                return
            link.push(frame)
    room.catch_up(link)


class Ask:
    """Asks one service how far topics of one name are: all who ask within 10 ms share a statement."""

    def __init__(self, service: str, name: str) -> None:
        self._service = service
        self._name = name
        self._wanted: dict[UUID, asyncio.Future[Standing | None]] = {}

    def one(self, id: UUID) -> "asyncio.Future[Standing | None]":
        wanted = self._wanted.get(id)
        if wanted is None:
            wanted = self._wanted[id] = asyncio.get_running_loop().create_future()
            if len(self._wanted) == 1:
                alone(self._answer(), "live standing")
        return wanted

    async def _answer(self) -> None:
        await asyncio.sleep(_GATHER_S)
        wanted, self._wanted = self._wanted, {}
        try:
            found: dict[UUID, Standing] = {}
            for some in portions(list(wanted)):
                for standing in await client(TopicSource, of=self._service).standing(self._name, some):
                    found[standing.id] = standing
        except Exception as error:
            problem = error if isinstance(error, Problem) else Unavailable("the topic's owner does not answer")
            log.warning("live topics could not be asked", extra={"service": self._service, "error": repr(error)})
            for future in wanted.values():
                if not future.done():
                    future.set_exception(problem)
                    future.exception()
        else:
            for id, future in wanted.items():
                if not future.done():
                    future.set_result(found.get(id))


_running: set[asyncio.Task[None]] = set()


def alone(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
    """Run it as a task of nobody's request: without a caller, a deadline, a share of the connections."""
    task = asyncio.create_task(work, name=name, context=Context())
    _running.add(task)
    task.add_done_callback(_running.discard)
    return task


def portions(items: list[T]) -> list[list[T]]:
    rest = iter(items)
    return list(iter(lambda: list(islice(rest, _MANY)), []))
