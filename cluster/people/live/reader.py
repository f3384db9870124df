"""One connection that follows topics: what waits to be sent to it, and when it is too slow."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from secrets import token_hex
from time import monotonic
from typing import TYPE_CHECKING, Any

import orjson

from cluster.base.principal import Principal
from cluster.people.live.frames import Frame

if TYPE_CHECKING:
    from cluster.people.live.room import Room

MAX_QUEUED = 256
MAX_QUEUED_BYTES = 1024 * 1024
_AT_ONCE = 64

SIGN_IN_AGAIN, RIGHT_LOST, TOO_SLOW, RESTART = 4401, 4403, 4408, 1012


@dataclass(frozen=True, slots=True)
class Closing:
    """Why a connection ends (RFC 6455, section 7.4)."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Note:
    """A control frame. What follows of its topic comes after `cursor`."""

    text: str
    cursor: int = 0

    @property
    def size(self) -> int:
        return len(self.text)


PING = Note('{"ping":1}')


@dataclass(frozen=True, slots=True)
class Signal:
    """What another follower of the topic just does; it moves no position."""

    text: str

    @property
    def size(self) -> int:
        return len(self.text)


@dataclass(frozen=True, slots=True)
class Item:
    """A text to send. With `link`, a message of that topic."""

    text: str
    link: "Link | None" = None
    frame: Frame | None = None


class Link:
    """One topic of one connection. All messages up to `cursor` were queued for it, all up to `sent` were sent."""

    __slots__ = ("cursor", "label", "lagging", "pending", "reader", "room", "sent")

    def __init__(self, reader: "Reader", room: "Room", label: str, cursor: int) -> None:
        self.reader = reader
        self.room = room
        self.label = label
        self.cursor = cursor
        self.sent = cursor
        self.lagging = False
        self.pending: Frame | None = None
        """Of a topic of kind `state`: the newest, which takes the place of one that was not sent yet."""

    def push(self, frame: Frame) -> None:
        self.cursor = frame.seq
        self.reader.push(self, frame)


class Reader:
    """One connection. Whoever serves it sends what `next` returns, until that is a `Closing`."""

    def __init__(self, principal: Principal, *, since: float) -> None:
        """`since`: when it was authenticated, as a Unix time: what is revoked later ends it."""
        self.id = token_hex(8)
        """Names this connection among all of the platform."""
        self.principal = principal
        self.since = since
        self.links: dict[str, Link] = {}
        self.closing: Closing | None = None
        self.abort: Callable[[], object] = lambda: None
        """Ends it when it does not take what is sent."""
        self.checks = 0
        """How often its rights were looked at again: who was asking meanwhile asks once more."""
        self.signals = 0.0
        """How many signals it may send, as of `signals_at`."""
        self.signals_at = 0.0
        self.sending_since: float | None = None
        self.sent_at = monotonic()
        self._queue: deque[tuple[Link | None, Frame | Note | Signal]] = deque()
        self._bytes = 0
        self._wake = asyncio.Event()

    @property
    def has_room(self) -> bool:
        """Tell whether messages may be fetched for it that it missed: it takes those that come now first."""
        return len(self._queue) < MAX_QUEUED // 4 and self._bytes < MAX_QUEUED_BYTES // 4

    @property
    def lags(self) -> bool:
        return any(link.lagging for link in self.links.values())

    def tell(self, link: Link | None = None, **document: Any) -> None:
        """Queue a control frame; with `link`, what follows of this topic comes after its `cursor`."""
        note = Note(orjson.dumps(document).decode(), 0 if link is None else link.cursor)
        self._put(link, note, note.size)

    def push(self, link: Link, frame: Frame) -> None:
        """Queue a message; when too much waits, the connection ends and resumes later."""
        if link.room.is_state:
            if link.pending is not None:
                self._bytes += frame.size - link.pending.size
                link.pending = frame
                return
            link.pending = frame
        self._put(link, frame, frame.size)

    def signal(self, link: Link, text: str) -> None:
        """Queue a signal, if it does not wait for messages."""
        if self.has_room:
            signal = Signal(text)
            self._put(link, signal, signal.size)

    def ping(self) -> None:
        if not self._queue:
            self._put(None, PING, PING.size)

    def close(self, code: int, reason: str) -> None:
        """End it when what is queued was sent; a slow one at once."""
        if self.closing is None:
            self.closing = Closing(code, reason)
            if code == TOO_SLOW:
                self._queue.clear()
            self._wake.set()

    async def next(self) -> list[Item] | Closing:
        """Return what is to be sent next. Calling it says that all before was sent."""
        self.sending_since = None
        while True:
            items: list[Item] = []
            while self._queue and len(items) < _AT_ONCE:
                if (item := self._take()) is not None:
                    items.append(item)
            if items:
                self.sending_since = self.sent_at = monotonic()
                return items
            if self.closing is not None:
                return self.closing
            self._wake.clear()
            await self._wake.wait()

    def _take(self) -> Item | None:
        link, content = self._queue.popleft()
        if link is not None and isinstance(content, Frame) and link.pending is not None:
            content, link.pending = link.pending, None
        self._bytes -= content.size
        if isinstance(content, Note):
            if link is not None:
                link.sent = content.cursor
            return Item(content.text, link)
        if link is None or self.links.get(link.label) is not link:
            # It was left, or the right to follow it was lost, while this waited.
            return None
        if isinstance(content, Signal):
            return Item(content.text)
        link.sent = content.seq
        return Item(content.text(link.label), link, content)

    def _put(self, link: Link | None, content: Frame | Note | Signal, size: int) -> None:
        if self.closing is not None:
            return
        self._queue.append((link, content))
        self._bytes += size
        if len(self._queue) > MAX_QUEUED or self._bytes > MAX_QUEUED_BYTES:
            self.close(TOO_SLOW, "it reads too slowly: resume from the last position")
        self._wake.set()
