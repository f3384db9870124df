"""Serve some services in a process of their own: `python -m tests.cluster.apart PORT SERVICE...`."""

import asyncio
import sys

from cluster.host import ServiceHost
from deployments.serve_one import answer_until_signal


async def main(port: int, services: tuple[str, ...]) -> None:
    host = ServiceHost(services)
    await host.start()
    try:
        await answer_until_signal(host, host="127.0.0.1", port=port)
    finally:
        await host.stop()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), tuple(sys.argv[2:])))
