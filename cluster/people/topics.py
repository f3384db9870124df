"""Live topics: what people may follow over one connection, and what its owner answers about it.

A service offers a `Topic` and answers `TopicSource` from its own tables. A topic's full name is `<name>:<id>`. The truth stays in
the owner's tables: what travels is a hint that there is something new, and `since` reads it.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol
from uuid import UUID

from cluster.base.ids import OrgId, UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """An offer: topics `<name>:<id>` that people follow."""

    name: str
    title: str
    """What one follows, for the document of events: "The state of a film"."""
    permission: str
    """Asked at the place that `standing` answers, when somebody subscribes and whenever their rights may have changed."""
    kind: Literal["log", "state"]
    """`log`: every message counts, `seq` is gapless. `state`: only the newest counts, `seq` is the aggregate's version."""
    signals: tuple[str, ...] = ()
    """Kinds of messages that subscribers may send each other; they may be lost and have no `seq`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far a topic is, and where the permission to follow it is asked."""

    id: UUID
    seq: int
    """Of the newest message; 0: there is none yet."""
    org_id: OrgId | None = None
    course_id: UUID | None = None
    run_id: UUID | None = None
    owner_id: UserId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicMessage:
    """One message of a topic, as its followers get it."""

    id: UUID
    """Of the topic."""
    seq: int
    kind: str
    at: datetime
    data: dict[str, Any]
    """JSON, at most 32 KiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class After:
    """What somebody has of a topic: all messages up to `seq`."""

    id: UUID
    seq: int


class TopicSource(Protocol):
    """A leaf: answered by services that offer topics, from their own tables."""

    async def standing(self, topic: str, ids: list[UUID]) -> list[Standing]:
        """Return where topics of this name stand, in one statement; one that does not exist is missing."""
        ...

    async def since(self, topic: str, after: list[After], limit: int) -> list[TopicMessage]:
        """Return messages that came later, by topic and `seq`, in one statement; of a `state` topic the newest alone.

        At most `limit` for each topic.
        """
        ...
