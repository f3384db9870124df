"""Reading what is published, against a handler that does nothing behind the same edge, with the same token."""

import uvloop

from bench.figures import Figure, hand_over
from bench.stack import in_turns, running_stack

_GOAL = 0.9


async def run() -> list[Figure]:
    async with running_stack(published=True) as stack:
        paths = {
            "GET a course of the catalogue": f"/v1/catalog/{stack.course_id}",
            "GET a page of the catalogue": "/v1/catalog",
            "GET the outline of a run": f"/v1/outlines/{stack.run_id}",
        }
        noop, *rates = await in_turns([f"{stack.url}{path}" for path in ("/edged", *paths.values())], stack.token)
    return [
        Figure(name=f"{name}, against a no-op", value=rate, unit="1/s", peer=noop, goal=_GOAL)
        for name, rate in zip(paths, rates, strict=True)
    ]


if __name__ == "__main__":
    hand_over(uvloop.run(run()))
