"""A topic that somebody in this process follows: how far its followers are, and its last messages."""

from collections import deque
from uuid import UUID

from cluster.people.live.frames import Frame
from cluster.people.live.reader import Link
from cluster.people.topics import Standing, Topic, TopicMessage

_RING = 64
"""Messages kept for those who come back."""


class Room:
    """One topic."""

    __slots__ = ("delivered", "hinted", "holds", "id", "lagging", "links", "place", "ring", "service", "topic")

    def __init__(self, service: str, topic: Topic, id: UUID) -> None:
        self.service = service
        self.topic = topic
        self.id = id
        self.place: Standing | None = None
        self.delivered = 0
        """All messages up to this were given to the followers."""
        self.hinted = 0
        """There are messages up to this."""
        self.ring: deque[Frame] = deque(maxlen=1 if self.is_state else _RING)
        self.links: set[Link] = set()
        self.lagging: set[Link] = set()
        """Followers that missed messages and get them first."""
        self.holds = 0
        """Who is about to follow it."""

    @property
    def is_state(self) -> bool:
        return self.topic.kind == "state"

    @property
    def is_behind(self) -> bool:
        return self.hinted > self.delivered

    @property
    def is_dirty(self) -> bool:
        return self.place is not None and (self.is_behind or any(link.reader.has_room for link in self.lagging))

    def take(self, message: TopicMessage) -> None:
        """Give a message to all who have those before it."""
        if message.seq <= self.delivered:
            return
        frame = Frame(self.topic.name, message)
        self.delivered = frame.seq
        self.hinted = max(self.hinted, frame.seq)
        self.ring.append(frame)
        for link in self.links:
            if not link.lagging and frame.seq > link.cursor:
                link.push(frame)

    def catch_up(self, link: Link) -> None:
        """Give a follower what it missed, as far as it is kept here."""
        if link.cursor < self.delivered:
            if not self.ring or (not self.is_state and self.ring[0].seq > link.cursor + 1):
                return
            for frame in self.ring:
                if frame.seq > link.cursor:
                    if not link.reader.has_room:
                        return
                    link.push(frame)
        link.lagging = False
        self.lagging.discard(link)
