"""Serve the platform as `deployments.serve` does, packed, with two no-op paths more: `/bare` and `/edged`."""

import os
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

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope.get("path") == "/bare":
            await _answer(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


async def _answer(_scope: MutableMapping[str, Any], _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": list(_HEADERS)})
    await send({"type": "http.response.body", "body": _BODY})


def main() -> int:
    from deployments.placement import place
    from deployments.serve import run

    (cluster,) = place("packed", web_hosts=WEB_PROCESSES)
    return run(
        cluster, home=Path(os.environ["HUB_HOME"]), port=int(os.environ["HUB_PORT"]), web="bench.serve:MeasuredHost"
    )


if __name__ == "__main__":
    raise SystemExit(main())
