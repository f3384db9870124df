"""What a reader of live topics is given, as server-sent events. Source: HTML, section 9.2."""

import asyncio
import random
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any

from starlette.responses import Response

from cluster.people import live
from cluster.people.live import Closing, Item, Reader

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

RETRY_MS = 2000
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


class EventStream(Response):
    """Sends what a reader is given until it is closed or the client leaves, and counts it out."""

    media_type = "text/event-stream"

    def __init__(
        self, reader: Reader, render: Callable[[Item], str], goodbye: Callable[[Closing], str] = lambda _: ""
    ) -> None:
        """`render` returns the events of an item, which may be none; `goodbye` what is told when the reader was closed."""
        super().__init__()
        self._reader = reader
        self._render = render
        self._goodbye = goodbye

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reader, hub, task = self._reader, live.current(), asyncio.current_task()
        assert task is not None
        reader.abort = task.cancel
        leaving = asyncio.create_task(_left(receive), name=f"{scope['path']} left")
        leaving.add_done_callback(lambda _: reader.close(1000, "the client left"))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": list(_HEADERS)})
            await send(_body(f"retry: {RETRY_MS}\n\n"))
            while not isinstance(items := await reader.next(), Closing):
                if text := "".join(self._event(item) for item in items):
                    await send(_body(text))
                if reader.lags:
                    hub.catch_up(reader)
            again = f"retry: {random.randint(200, 5000)}\n\n" if items.code == live.RESTART else ""  # noqa: S311 (no secret)
            with suppress(OSError):
                await send(_body(again + self._goodbye(items), more=False))
        except asyncio.CancelledError:
            # The reader was too slow to be told.
            if reader.closing is None or task.uncancel():
                raise
        finally:
            leaving.cancel()
            hub.leave(reader)

    def _event(self, item: Item) -> str:
        return ": ping\n\n" if item.text is live.PING.text else self._render(item)


def _body(text: str, *, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": text.encode(), "more_body": more}


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
