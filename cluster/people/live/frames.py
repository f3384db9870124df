"""A message as connections get it: encoded once, however many follow."""

import logging
from datetime import UTC

import orjson

from cluster.people.topics import TopicMessage

log = logging.getLogger(__name__)

MAX_BYTES = 32 * 1024
"""Of a message's data. What is larger travels without it: followers read the resource."""


class Frame:
    """A message of a topic, whose text is made once for each label that the topic goes by."""

    __slots__ = ("_rest", "_texts", "data", "seq", "size")

    def __init__(self, topic: str, message: TopicMessage) -> None:
        data = orjson.dumps(message.data, option=orjson.OPT_UTC_Z)
        if len(data) > MAX_BYTES:
            log.error("a live message is too large", extra={"topic": topic, "bytes": len(data)})
            data = b"null"
        self.seq = message.seq
        self.data = data
        at = message.at.astimezone(UTC).isoformat().replace("+00:00", "Z")
        self._rest = f',"seq":{message.seq},"kind":"{message.kind}","at":"{at}","data":{data.decode()}}}'
        self.size = len(self._rest) + 64
        self._texts: dict[str, str] = {}

    def text(self, label: str) -> str:
        """Return `{topic, seq, kind, at, data}` as JSON; `label` is how the follower calls the topic."""
        text = self._texts.get(label)
        if text is None:
            text = self._texts[label] = f'{{"topic":"{label}"{self._rest}'
        return text
