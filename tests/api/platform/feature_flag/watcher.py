"""A process that says what a flag decides in it: once its rules are there and broadcasts arrive, and whenever that changes.

Arguments: the flag, then the services that it hosts. It ends with its standard input.
"""

import asyncio
import sys

from cluster.base.principal import GUEST
from cluster.host import close_process, open_process
from cluster.people import flags
from cluster.signals import broadcast


async def main(key: str, *services: str) -> None:
    _, flag = flags.declared()[key]
    await open_process(services, name="watcher", connections=2)
    ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    said = ""
    while not ended.done():
        keeper = flags.current()
        ready = keeper is not None and key in keeper.platform and (said or broadcast.fresh_within(1.0))
        now = flags.decide(flag, GUEST)
        if ready and now.reason != said:
            said = now.reason
            sys.stdout.write(f"{said} {now.variant}\n")
            sys.stdout.flush()
        await asyncio.sleep(0.01)
    await close_process()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
