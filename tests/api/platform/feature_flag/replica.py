"""A web host of feature_flag in a process of its own, as another replica: it says its port, and ends with its standard input."""

import asyncio
import sys

from cluster.host import ServiceHost
from tests.cluster.http.serving import served


async def main() -> None:
    host = ServiceHost(("feature_flag",))
    await host.start()
    try:
        async with served(host) as port:
            sys.stdout.write(f"{port}\n")
            sys.stdout.flush()
            await asyncio.to_thread(sys.stdin.read)
            await host.drain(1.0)
    finally:
        await host.stop()


if __name__ == "__main__":
    asyncio.run(main())
