"""A web host for `bench.live`, or its peer, on a port of 127.0.0.1: `python -m bench.live_host hub|peer PORT`.

The hub serves WebSockets with the limits that replicas of Ray Serve have, and lets one person have all connections. `/asked` says
how many statements followers of courses have cost. The peer is a server of `websockets`: what it is told goes to everybody.
"""

import sys
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any, cast

import uvicorn
import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.http11 import Request, Response

from cluster.base.services import table
from cluster.host import ServiceHost
from cluster.people import calls
from cluster.people.live import hub
from deployments.hosts import SOCKETS

Message = MutableMapping[str, Any]
BACKLOG = 4096


async def _serve_hub(port: int) -> None:
    hub.MAX_CONNECTIONS = 1_000_000
    host = ServiceHost(tuple(table()), wait_s=30.0)
    await host.start()
    asked = _count_statements()

    async def answer(_scope: Message, _receive: object, send: Callable[[Message], Awaitable[None]]) -> None:
        body = str(asked()).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    host._paths["/asked"] = answer  # pyright: ignore[reportPrivateUsage]
    options = {
        "port": port,
        "lifespan": "off",
        "access_log": False,
        "log_config": None,
        "log_level": "warning",
        "backlog": BACKLOG,
    } | SOCKETS
    config = uvicorn.Config(host, **cast(Any, options))  # pyright: ignore[reportArgumentType]
    await uvicorn.Server(config).serve()


def _count_statements() -> Callable[[], int]:
    """Count what is asked of courses for their followers: each call is one statement."""
    course, asked = cast(Any, calls)._local["course"], 0

    def counted(ask: Callable[..., Awaitable[object]]) -> Callable[..., Awaitable[object]]:
        async def call(*args: object) -> object:
            nonlocal asked
            asked += 1
            return await ask(*args)

        return call

    course.standing, course.since = counted(course.standing), counted(course.since)
    return lambda: asked


async def _serve_peer(port: int) -> None:
    connected = set[ServerConnection]()

    async def follow(connection: ServerConnection) -> None:
        connected.add(connection)
        try:
            async for text in connection:
                broadcast(connected, text)
        finally:
            connected.discard(connection)

    def answer(connection: ServerConnection, request: Request) -> Response | None:
        return connection.respond(HTTPStatus.OK, "ready") if request.path == "/readyz" else None

    async with serve(
        follow, "127.0.0.1", port, compression=None, ping_interval=None, process_request=answer, backlog=BACKLOG
    ) as server:
        await server.serve_forever()


if __name__ == "__main__":
    what, number = sys.argv[1:]
    uvloop.run(_serve_hub(int(number)) if what == "hub" else _serve_peer(int(number)))
