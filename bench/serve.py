"""Serve the platform as `deployments.serve` does, packed, with more paths: no-ops `/bare`, `/edged` and `/limited`, and `/busy`."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from bench.stack import WEB_PROCESSES
from cluster.host import ServiceHost

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_BODY = b'{"status":"ok"}'
_HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(_BODY)).encode())]


class MeasuredHost(ServiceHost):
    """The platform's web host. `/bare` is answered before it looks, `/edged` where a service would be called."""

    async def start(self) -> None:
        await super().start()
        self._paths["/edged"] = _answer
        self._paths["/limited"] = _answer_charged
        self._paths["/busy"] = _answer_after_work

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope.get("path") == "/bare":
            await _answer(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


async def _answer(_scope: MutableMapping[str, Any], _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": list(_HEADERS)})
    await send({"type": "http.response.body", "body": _BODY})


async def _answer_charged(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
    """Answer as a route does: after the caller's buckets gave what it costs."""
    waiting = scope["state"]["passage"].charge("GET /limited", 1)
    if waiting is not None:
        await waiting
    await _answer(scope, receive, send)


async def _answer_after_work(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
    """Hold this process for 3 ms, in three parts, without work for the machine: the client and the ingress have none of it."""
    for _ in range(3):
        await asyncio.sleep(0)
        time.sleep(0.001)  # noqa: ASYNC251  (nothing else may run)
    await _answer(scope, receive, send)


def main() -> int:
    from deployments.placement import place
    from deployments.serve import run

    (cluster,) = place("packed", web_hosts=WEB_PROCESSES)
    return run(
        cluster, home=Path(os.environ["HUB_HOME"]), port=int(os.environ["HUB_PORT"]), web="bench.serve:MeasuredHost"
    )


if __name__ == "__main__":
    raise SystemExit(main())
