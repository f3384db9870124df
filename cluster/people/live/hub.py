"""Live topics in one process: which connections follow which topics, and fetching what is new once for all of them.

The truth lies with the topics' owners, in PostgreSQL; a hint says that there is something new. For each topic this process knows
up to which message it has given everything to its followers (`delivered`), and keeps the last messages for those who come back.
Hints may be doubled, late or lost: while they are not known to arrive, the owners are asked every few seconds how far they are.
"""

import asyncio
import logging
import random
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from time import monotonic
from uuid import UUID

from cluster.base.away import is_away
from cluster.base.ids import UserId
from cluster.base.problems import NotFound, Problem, TooManyRequests, Unavailable
from cluster.base.registry import offers_by_service
from cluster.people.access import Guarded, permit
from cluster.people.calls import client
from cluster.people.live.fetching import Ask, Pump, alone, portions
from cluster.people.live.reader import RESTART, RIGHT_LOST, TOO_SLOW, Link, Reader
from cluster.people.live.room import Room
from cluster.people.live.signals import Signals
from cluster.people.topics import Standing, Topic, TopicSource
from cluster.signals import wake
from cluster.signals.rooms import Hints

log = logging.getLogger(__name__)

MAX_TOPICS = 200
"""Of one connection."""
MAX_CONNECTIONS = 20
"""Of one person, in one process."""
MAX_BEHIND = 1000
"""Messages that a connection may have missed and still gets."""
POLL_S = 3.0
"""How often the owners are asked while hints are not known to arrive."""
PING_S = 15.0
UNWRITABLE_S = 10.0
_FRESH_S = 2.0
_LOOK_S = 0.25
"""How often it is looked whether hints arrive: `_FRESH_S` and this are what a message waits for that the last hint missed."""
_CLOSE_S = 2.0
_RETURN_PER_S = 500
"""How many connections of a process that ends come back elsewhere in a second, if there are not too many of them."""


@cache
def _topics() -> dict[str, tuple[str, Topic]]:
    return {topic.name: (service, topic) for service, topic in offers_by_service(Topic)}


class Hub:
    """All topics and connections of this process."""

    def __init__(self) -> None:
        self.readers: set[Reader] = set()
        self.rooms: dict[tuple[str, UUID], Room] = {}
        self.draining = False
        self._all_left = asyncio.Event()
        self._by_person: dict[UserId, set[Reader]] = {}
        self._pumps: dict[str, Pump] = {}
        self._asks: dict[str, Ask] = {}
        self._hints = Hints(self.hint, self._gap)
        self.signals = Signals(self.rooms)
        self._gap_seen = asyncio.Event()
        self._starting = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to hear hints, once somebody follows something."""
        async with self._starting:
            if not self._tasks:
                await self._hints.start()
                if any(topic.signals for _, topic in _topics().values()):
                    await self.signals.start()
                self._tasks = [alone(self._poll(), "live poll"), alone(self._tick(), "live tick")]

    async def stop(self) -> None:
        self.draining = True
        for reader in list(self.readers):
            reader.close(RESTART, "the server restarts")
        for task in [*self._tasks, *(task for pump in self._pumps.values() if (task := pump.task) is not None)]:
            await wake.end(task)
        if self._tasks:
            await self._hints.stop()
            await self.signals.stop()
        self._tasks = []

    async def drain(self, within_s: float) -> None:
        """Take no more connections, and end those that there are, spread over this time at most: they come back elsewhere.

        Return when they have gone, or will not go.
        """
        self.draining = True
        loop = asyncio.get_running_loop()
        spread_s = min(within_s, len(self.readers) / _RETURN_PER_S)
        for reader in self.readers:
            loop.call_later(random.uniform(0, spread_s), reader.close, RESTART, "the server restarts")  # noqa: S311 (no secret)
        with suppress(TimeoutError):
            async with asyncio.timeout(spread_s + _CLOSE_S):
                if self.readers:
                    self._all_left.clear()
                    await self._all_left.wait()

    def enter(self, reader: Reader) -> None:
        """Count a connection in.

        Raises:
            Unauthorized: it is a guest's.
            Unavailable: this process is about to end.
            TooManyRequests: the person has too many.
        """
        person = reader.principal.person()
        if self.draining:
            raise Unavailable("this server is about to restart; connect again", retry_after_s=1)
        mine = self._by_person.setdefault(person, set())
        if len(mine) >= MAX_CONNECTIONS:
            raise TooManyRequests(f"close one of your {MAX_CONNECTIONS} live connections", retry_after_s=15)
        mine.add(reader)
        self.readers.add(reader)

    def leave(self, reader: Reader) -> None:
        """Count a connection out."""
        self.readers.discard(reader)
        if self.draining and not self.readers:
            self._all_left.set()
        person = reader.principal.person()
        mine = self._by_person.get(person, set())
        mine.discard(reader)
        if not mine:
            self._by_person.pop(person, None)
        for label in list(reader.links):
            self.unsubscribe(reader, label)

    def readers_of(self, person: UserId) -> set[Reader]:
        return self._by_person.get(person, set())

    async def subscribe(self, reader: Reader, wanted: Mapping[str, int | None]) -> dict[str, int]:
        """Let a connection follow topics from these positions on, None: from now on.

        It is told of each how that went. Return the HTTP status of those that were denied.
        """
        held: dict[str, Room] = {}
        denied: dict[str, int] = {}
        for label in wanted:
            if (room := self._find(reader, label)) is None:
                denied[label] = 404
            elif len(reader.links | held) >= MAX_TOPICS and label not in reader.links:
                denied[label] = 429
            else:
                room.holds += 1
                held[label] = room
        try:
            await self.start()
            standings = {label: self._standing(room) for label, room in held.items()}
            for label, room in held.items():
                try:
                    await self._follow(reader, label, room, standings[label], wanted[label])
                except Problem as problem:
                    denied[label] = problem.status
                except Exception as error:
                    if not is_away(error):
                        raise
                    denied[label] = 503
        finally:
            for room in held.values():
                room.holds -= 1
                self._let_go(room)
        for label, status in denied.items():
            reader.tell(topic=label, denied=status)
        return denied

    async def _follow(
        self, reader: Reader, label: str, room: Room, asked: "asyncio.Future[Standing | None]", after: int | None
    ) -> None:
        standing = await asyncio.shield(asked)
        if standing is None:
            raise NotFound
        checks = -1
        while checks != reader.checks:
            checks = reader.checks
            await self.permit(reader, room, standing)
        if reader in self.readers:
            self.unsubscribe(reader, label)
            self._attach(reader, label, room, standing, after)

    def _attach(self, reader: Reader, label: str, room: Room, standing: Standing, after: int | None) -> None:
        if room.place is None:
            room.delivered = standing.seq
        room.place = standing
        room.hinted = max(room.hinted, standing.seq)
        newest = max(standing.seq, room.delivered)
        link = reader.links[label] = Link(reader, room, label, newest)
        if after is not None and (after > newest or (not room.is_state and newest - after > MAX_BEHIND)):
            reader.tell(link, topic=label, reset=newest)
        else:
            if after is not None:
                link.cursor = link.sent = after
            reader.tell(link, topic=label, subscribed=link.cursor)
        room.links.add(link)
        if link.cursor < room.delivered:
            link.lagging = True
            room.lagging.add(link)
            room.catch_up(link)
        if room.is_dirty:
            self._mark(room)

    def unsubscribe(self, reader: Reader, label: str) -> None:
        link = reader.links.pop(label, None)
        if link is not None:
            link.room.links.discard(link)
            link.room.lagging.discard(link)
            self._let_go(link.room)

    def lose(self, reader: Reader, label: str, status: int) -> None:
        """Take a topic from a connection that may not follow it any more; without any, it ends."""
        self.unsubscribe(reader, label)
        reader.tell(topic=label, denied=status)
        if not reader.links:
            reader.close(RIGHT_LOST, "nothing is left that you may follow")

    def end(self, room: Room) -> None:
        """Take a topic from everybody: it is gone."""
        for link in list(room.links):
            self.lose(link.reader, link.label, 404)

    def catch_up(self, reader: Reader) -> None:
        """Go on giving a connection what it missed: it has sent what was queued."""
        for link in reader.links.values():
            if link.lagging:
                link.room.catch_up(link)
                if link.room.is_dirty:
                    self._mark(link.room)

    def hint(self, name: str, id: UUID, seq: int) -> None:
        """Note that there is something new in a topic."""
        room = self.rooms.get((name, id))
        if room is not None and seq > room.hinted:
            room.hinted = seq
            if room.is_dirty:
                self._mark(room)

    def _standing(self, room: Room) -> "asyncio.Future[Standing | None]":
        """Ask how far a topic is, together with whoever asks at the same time."""
        ask = self._asks.get(room.topic.name)
        if ask is None:
            ask = self._asks[room.topic.name] = Ask(room.service, room.topic.name)
        return ask.one(room.id)

    async def permit(self, reader: Reader, room: Room, place: Standing) -> None:
        """Raise what `permit` does if this person may not follow the topic."""
        guarded = Guarded(
            True, org_id=place.org_id, course_id=place.course_id, run_id=place.run_id, owner_id=place.owner_id
        )
        await permit(reader.principal, room.topic.permission, guarded)

    async def sweep(self) -> None:
        """Ask the owners how far all topics are that are followed here."""
        names = {room.topic.name for room in self.rooms.values()}
        for name in names:
            rooms = [room for room in self.rooms.values() if room.topic.name == name and room.place is not None]
            for some in portions(rooms):
                found = {
                    standing.id: standing
                    for standing in await client(TopicSource, of=some[0].service).standing(
                        name, [room.id for room in some]
                    )
                }
                for room in some:
                    standing = found.get(room.id)
                    if standing is None:
                        self.end(room)
                    else:
                        room.place = standing
                        self.hint(name, room.id, standing.seq)

    def _find(self, reader: Reader, label: str) -> Room | None:
        """Return the room of a topic as somebody calls it, `<name>:<id>` or `<name>:me`; None: there is no such topic."""
        name, _, text = label.partition(":")
        service, topic = _topics().get(name, ("", None))
        if topic is None:
            return None
        try:
            id = UUID(reader.principal.person().hex if text == "me" else text)
        except ValueError:
            return None
        if text not in ("me", str(id)):
            return None
        room = self.rooms.get((name, id))
        if room is None:
            room = self.rooms[name, id] = Room(service, topic, id)
        return room

    def _let_go(self, room: Room) -> None:
        if not room.links and not room.holds:
            self.rooms.pop((room.topic.name, room.id), None)

    def _mark(self, room: Room) -> None:
        pump = self._pumps.get(room.service)
        if pump is None:
            pump = self._pumps[room.service] = Pump(room.service, self.end)
        pump.mark(room)

    async def _gap(self) -> None:
        self._gap_seen.set()

    @property
    def hears(self) -> bool:
        """Tell whether hints are known to arrive."""
        return self._hints.fresh_within(_FRESH_S)

    async def _poll(self) -> None:
        asked_at = float("-inf")
        while True:
            try:
                async with asyncio.timeout(_LOOK_S):
                    await self._gap_seen.wait()
            except TimeoutError:
                if self.hears or monotonic() - asked_at < POLL_S:
                    continue
            self._gap_seen.clear()
            asked_at = monotonic()
            try:
                await self.sweep()
            except Exception as error:
                log.warning("live topics could not be asked", extra={"error": repr(error)})
                self._gap_seen.set()
                await asyncio.sleep(1.0)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            now = monotonic()
            for reader in self.readers:
                waiting_s = 0.0 if reader.sending_since is None else now - reader.sending_since
                if reader.closing is not None:
                    if waiting_s > _CLOSE_S:
                        reader.abort()
                elif waiting_s > UNWRITABLE_S:
                    reader.close(TOO_SLOW, "it reads too slowly: resume from the last position")
                elif now - reader.sent_at >= PING_S:
                    reader.ping()
