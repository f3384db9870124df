"""A connection as server-sent events. Source: HTML, section 9.2 (Server-sent events)."""

import re
from collections.abc import Sequence
from time import time

from api.core.gateway.contract import TopicNotFound
from cluster.base.principal import Principal
from cluster.base.problems import Forbidden, Invalid, Unauthorized, Unavailable
from cluster.http import EventStream
from cluster.people import live
from cluster.people.live import Closing, Item, Reader

_POSITION = re.compile(r"-|\d{1,18}", re.ASCII)


def positions(last_event_id: str | None, topics: int) -> list[int | None]:
    """Return how far a client is in each topic; None: from now on, also for an id that was not given here."""
    parts = (last_event_id or "").split(".")
    if len(parts) != topics or not all(_POSITION.fullmatch(part) for part in parts):
        return [None] * topics
    return [None if part == "-" else int(part) for part in parts]


async def follow(caller: Principal, topics: Sequence[str], last_event_id: str | None) -> EventStream:
    """Connect, and follow these topics from where the client is.

    Raises:
        TopicNotFound, Forbidden: there is none of them that the caller may follow.
        TooManyRequests, Unavailable: see `Hub.enter`.
    """
    if len(set(topics)) != len(topics):
        raise Invalid("name each topic once: an event's id has a position for each", pointer="/query/topic")
    reader = Reader(caller, since=time())
    hub = live.current()
    hub.enter(reader)
    try:
        after = positions(last_event_id, len(topics))
        refused = await hub.subscribe(reader, dict(zip(topics, after, strict=True)))
        if not reader.links:
            _refuse(set(refused.values()))
    except BaseException:
        hub.leave(reader)
        raise

    def event(item: Item) -> str:
        id = ".".join(str(reader.links[topic].sent) if topic in reader.links else "-" for topic in topics)
        return f"id: {id}\ndata: {item.text}\n\n"

    return EventStream(reader, event, _goodbye)


def _refuse(statuses: set[int]) -> None:
    if 503 in statuses:
        raise Unavailable("the topics' owner does not answer; connect again shortly")
    if 401 in statuses:
        raise Unauthorized("sign in first: POST /v1/sessions gives an access token")
    if 403 in statuses:
        raise Forbidden("this needs the permission to follow one of these topics")
    raise TopicNotFound("a topic is <name>:<id>, or <name>:me for your own")


def _goodbye(closing: Closing) -> str:
    """Tell a client why it is sent away, if it should know."""
    return "" if closing.code == live.RESTART else f'data: {{"close":{closing.code}}}\n\n'
