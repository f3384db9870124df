"""A web host for `bench.flags`: `python -m bench.flags_host PORT SERVICE...`, `all` for every service.

`/decided?organization_id=&key=` says which variant a flag decides in this process.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

import uvicorn

from cluster.base.ids import OrgId
from cluster.base.services import table
from cluster.host import ServiceHost
from cluster.people import flags

Message = MutableMapping[str, Any]


async def _serve(port: int, services: tuple[str, ...]) -> None:
    host = ServiceHost(tuple(table()) if services == ("all",) else services, wait_s=30.0)
    await host.start()
    host._paths["/decided"] = _answer  # pyright: ignore[reportPrivateUsage]
    config = uvicorn.Config(host, port=port, lifespan="off", access_log=False, log_config=None, log_level="warning")  # pyright: ignore[reportArgumentType]
    try:
        await uvicorn.Server(config).serve()
    finally:
        await host.stop()


async def _answer(scope: Message, _receive: object, send: Callable[[Message], Awaitable[None]]) -> None:
    asked = parse_qs(scope["query_string"].decode())
    keeper = flags.current()
    assert keeper is not None
    others = keeper.of(OrgId(UUID(asked["organization_id"][0])))
    flag = others.get(asked["key"][0])
    body = b"" if flag is None else flag.decide({}, time.time(), others).variant.encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), tuple(sys.argv[2:])))
