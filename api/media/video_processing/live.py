"""Send a film's changes as they happen: the topic `video:<id>` as a stream of its own, which ends with the last state.

Each event is the whole state and its id the film's version: a client that resumes gets the present state unless it has it.
Source: HTML, section 9.2 (Server-sent events).
"""

import re
from time import time

import orjson

from api.media.video_processing import rules
from api.media.video_processing.contract import VideoNotFound
from api.media.video_processing.store import Film
from cluster.base.principal import Principal
from cluster.base.problems import Unavailable
from cluster.http import EventStream
from cluster.people import live
from cluster.people.live import Item, Reader

_VERSION = re.compile(r"\d{1,18}", re.ASCII)


def seen_version(last_event_id: str | None) -> int:
    """Return the version that a client has seen; 0 for none, or for an id that was not given here."""
    return int(last_event_id) if last_event_id and _VERSION.fullmatch(last_event_id) else 0


def is_last(film: Film, seen: int) -> bool:
    """Tell whether the client has seen the last event."""
    return film.state in rules.FINAL and seen == film.version


async def follow(caller: Principal, film: Film, seen: int) -> EventStream:
    """Stream the film's states after `seen`, the present one first; end with the last one, or when the right to see it is lost.

    Raises:
        VideoNotFound: it was deleted, or the right was lost, just now.
        TooManyRequests, Unavailable: see `Hub.enter`.
    """
    topic = f"{rules.TOPIC}:{film.id}"
    reader, hub = Reader(caller, since=time()), live.current()
    hub.enter(reader)
    try:
        refused = await hub.subscribe(reader, {topic: seen if seen <= film.version else 0})
        if topic in refused:
            raise Unavailable("try again in a moment") if refused[topic] == 503 else VideoNotFound
    except BaseException:
        hub.leave(reader)
        raise

    def event(item: Item) -> str:
        if item.frame is None:
            return ""
        if orjson.loads(item.frame.data)["state"] in rules.FINAL:
            reader.close(1000, "that was the last state")
        return f"id: {item.frame.seq}\nevent: video\ndata: {item.frame.data.decode()}\n\n"

    return EventStream(reader, event)
