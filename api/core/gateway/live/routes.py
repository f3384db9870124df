"""HTTP of live topics."""

from typing import Annotated

from fastapi import Header, Query
from pydantic import Field
from starlette.responses import Response, StreamingResponse

from api.core.gateway.contract import TopicNotFound
from api.core.gateway.live import socket, stream
from cluster.http import Caller, Router
from cluster.people import live
from cluster.people.tickets import SOCKET

router = Router("gateway")
router.mount_asgi(SOCKET, socket.serve)

Topics = Annotated[
    list[Annotated[str, Field(max_length=100, examples=["operation:01980f4e-7a0c-7c3e-9d53-0c2b7d0f4a11"])]],
    Query(min_length=1, max_length=live.MAX_TOPICS, description="Repeat it for each topic: `<name>:<id>`."),
]


@router.get("/v1/live", response_class=StreamingResponse, raises=(TopicNotFound,))
async def follow(
    caller: Caller,
    topic: Topics,
    last_event_id: Annotated[
        str | None, Header(description="The id of the last event received: what came later follows.", max_length=4096)
    ] = None,
) -> Response:
    """Follow topics as server-sent events.

    Events are `{topic, seq, kind, at, data}`, `{topic, subscribed}`, `{topic, reset}` and `{topic, denied}`.
    An event's id holds a position for each topic, in the order of the request. `reset`: too much was missed; read the resource
    and go on from there. `/v1/live/socket` is the same as a WebSocket, with a ticket of `POST /v1/sessions/me/tickets`.
    """
    return await stream.follow(caller, topic, last_event_id)
