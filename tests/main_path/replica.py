"""Another replica of the whole platform, in a process of its own: `python -m tests.main_path.replica PORT`."""

import asyncio
import sys

import uvicorn

from cluster.base.services import table
from cluster.host import ServiceHost


async def serve(port: int) -> None:
    host = ServiceHost(tuple(table()))
    await uvicorn.Server(uvicorn.Config(host, "127.0.0.1", port, lifespan="on", log_level="warning")).serve()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
