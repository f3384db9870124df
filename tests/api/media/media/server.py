"""A web server with the routes of media for one person, to be killed: `python -m tests.api.media.media.server PORT PERSON`."""

import asyncio
import sys
from uuid import UUID

import uvicorn

from cluster.base.ids import UserId
from cluster.base.principal import Principal
from cluster.host import close_process, open_process

from .conftest import app_of

SERVICES = ("media", "rbac", "organization")


async def serve(port: int, user_id: UserId) -> None:
    await open_process(SERVICES, name="a replica of media", connections=2)
    app = app_of(Principal(kind="person", id=user_id))
    await uvicorn.Server(uvicorn.Config(app, "127.0.0.1", port, lifespan="off", log_level="warning")).serve()
    await close_process()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), UserId(UUID(sys.argv[2]))))
