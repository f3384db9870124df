"""A worker process that a test kills: it runs the due jobs of a service, and stops for ever at the n-th call of a function.

Arguments: the service, `module:name` of the function, n. It says `there` when it stops.
"""

import asyncio
import sys
import time
from collections.abc import Callable
from importlib import import_module
from operator import attrgetter
from typing import Any

from cluster.base.registry import load
from cluster.base.services import table
from cluster.host import close_process, open_process
from cluster.jobs.run import run_due_jobs
from cluster.people.requests import register


def stop_at(place: str, call: int) -> None:
    """Let the process stop when the function is called so often."""
    module, _, name = place.partition(":")
    owner_name, _, attribute = name.rpartition(".")
    owner: Any = import_module(module)
    owner = attrgetter(owner_name)(owner) if owner_name else owner
    original: Callable[..., Any] = getattr(owner, attribute)
    calls = 0

    def counted(*args: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            sys.stdout.write("there\n")
            sys.stdout.flush()
            time.sleep(600)
        return original(*args, **named)

    setattr(owner, attribute, counted)


async def main(service: str, place: str, call: str) -> None:
    services = tuple(table())
    await open_process(services, name="killed", connections=4)
    load(services, "handlers", "jobs")
    register(services)
    stop_at(place, int(call))
    await run_due_jobs((service,))
    await close_process()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
