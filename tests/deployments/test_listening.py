"""Connections of a replica whose event loop has much to do."""

import asyncio
import contextlib
import socket
from typing import Any

import uvicorn
import uvloop

from deployments.hosts import listening_often

_CLIENTS = 64


async def _app(_scope: Any, _receive: Any, _send: Any) -> None: ...


def test_a_turn_of_the_event_loop_takes_many_connections() -> None:
    async def turns_until_all_are_taken() -> int:
        listening = socket.create_server(("127.0.0.1", 0), backlog=_CLIENTS)
        config = uvicorn.Config(_app, lifespan="off", log_config=None)
        config.load()
        server = listening_often(uvicorn.Server)(config)
        server.lifespan = config.lifespan_class(config)
        sockets = [listening]
        await server.startup(sockets)
        turns = 0
        with contextlib.ExitStack() as clients:
            for _ in range(_CLIENTS):
                clients.enter_context(socket.create_connection(listening.getsockname()))
            while len(server.server_state.connections) < _CLIENTS:
                await asyncio.sleep(0)
                turns += 1
        server.force_exit = True
        await server.shutdown(sockets)
        return turns

    # As a replica of Serve does; each of four turns takes what the listeners hold, and tells of it in the next ones.
    assert uvloop.run(turns_until_all_are_taken()) <= 12
