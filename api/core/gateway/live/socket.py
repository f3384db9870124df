"""A connection as a WebSocket (RFC 6455): the client subscribes and unsubscribes while it lasts."""

import asyncio
from contextlib import suppress
from time import monotonic, time
from typing import Annotated, Any

import msgspec

from cluster.base.principal import Principal
from cluster.base.problems import BadRequest
from cluster.http.routing import Receive, Scope, Send
from cluster.people import live
from cluster.people.live import Closing, Hub, Reader
from cluster.signals import wake

MAX_BYTES = 64 * 1024
RATE_PER_S = 20
NOT_UNDERSTOOD, TOO_LARGE, TOO_MANY = 4400, 1009, 4429

_Label = Annotated[str, msgspec.Meta(max_length=100)]
_Position = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class UpgradeRequired(BadRequest):
    """This address answers WebSockets alone (RFC 9110, section 15.5.22)."""

    status = 426
    title = "Connect by WebSocket"

    def __init__(self) -> None:
        super().__init__("GET /v1/live is the same as server-sent events", headers={"Upgrade": "websocket"})


class Signal(msgspec.Struct, forbid_unknown_fields=True):
    """What a client tells the other followers of a topic."""

    topic: _Label
    kind: Annotated[str, msgspec.Meta(max_length=40)]
    data: dict[str, Any] = {}


class Up(msgspec.Struct, forbid_unknown_fields=True):
    """What a client sends."""

    subscribe: Annotated[dict[_Label, _Position | None], msgspec.Meta(max_length=live.MAX_TOPICS)] | None = None
    unsubscribe: Annotated[list[_Label], msgspec.Meta(max_length=live.MAX_TOPICS)] | None = None
    signal: Signal | None = None


_decoder = msgspec.json.Decoder(Up)


async def serve(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve one WebSocket."""
    if scope["type"] != "websocket":
        raise UpgradeRequired
    principal: Principal = scope["state"]["principal"]
    reader = Reader(principal, since=scope["state"].get("since", time()))
    hub = live.current()
    hub.enter(reader)
    task = asyncio.current_task()
    assert task is not None
    reader.abort = task.cancel
    writer: asyncio.Task[None] | None = None
    try:
        if (await receive())["type"] != "websocket.connect":
            return
        await send({"type": "websocket.accept"})
        writer = asyncio.create_task(_write(hub, reader, send), name="live socket")
        await _listen(hub, reader, receive)
    except asyncio.CancelledError:
        # The reader was too slow to be told.
        if reader.closing is None or task.uncancel():
            raise
    finally:
        hub.leave(reader)
        if writer is not None:
            await wake.end(writer)


async def _write(hub: Hub, reader: Reader, send: Send) -> None:
    # An OSError is the client's leaving; `_listen` hears of it too.
    with suppress(OSError):
        while not isinstance(items := await reader.next(), Closing):
            for item in items:
                await send({"type": "websocket.send", "text": item.text})
            if reader.lags:
                hub.catch_up(reader)
        await send({"type": "websocket.close", "code": items.code, "reason": items.reason})


async def _listen(hub: Hub, reader: Reader, receive: Receive) -> None:
    allowance, counted_at = float(RATE_PER_S), monotonic()
    while (message := await receive())["type"] != "websocket.disconnect":
        now = monotonic()
        allowance = min(float(RATE_PER_S), allowance + (now - counted_at) * RATE_PER_S) - 1
        counted_at = now
        if reader.closing is not None:
            continue
        if allowance < 0:
            reader.close(TOO_MANY, f"send at most {RATE_PER_S} frames a second")
            continue
        up = _read(reader, message)
        if up is not None:
            for label in up.unsubscribe or ():
                hub.unsubscribe(reader, label)
            if up.subscribe:
                await hub.subscribe(reader, up.subscribe)
            if up.signal:
                _signal(hub, reader, up.signal)


def _signal(hub: Hub, reader: Reader, signal: Signal) -> None:
    denied = hub.signals.send(reader, signal.topic, signal.kind, signal.data)
    if denied is not None:
        reader.tell(topic=signal.topic, signal=signal.kind, denied=denied)


def _read(reader: Reader, message: Any) -> Up | None:
    text: str | None = message.get("text")
    if text is None:
        reader.close(NOT_UNDERSTOOD, "send text frames of JSON")
    elif len(text) > MAX_BYTES or len(text.encode()) > MAX_BYTES:
        reader.close(TOO_LARGE, f"a frame has at most {MAX_BYTES} bytes")
    else:
        try:
            return _decoder.decode(text)
        except (msgspec.MsgspecError, RecursionError, UnicodeError):
            reader.close(NOT_UNDERSTOOD, 'send {"subscribe": {"<topic>": null}} or {"unsubscribe": ["<topic>"]}')
    return None
