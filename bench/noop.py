"""What the edge takes of a request that does nothing, and how far that is from uvicorn and FastAPI alone.

All go over the same connections with the same access token:
`/edged`  HAProxy, Ray Serve, the edge (token, limits, trace, log), the look-up of the service, a handler of two lines;
`/bare`   the same replicas with the same handler in place of the edge: what any ASGI application in Ray Serve pays;
peer      uvicorn with FastAPI, as many processes, nothing in front.
Both no-op paths stand in the product's own replicas, so that they differ in the edge alone.
"""

import uvloop

from bench.figures import Figure, hand_over
from bench.stack import in_turns, running_peer, running_stack

_EDGE_KEEPS = 0.8
"""The edge takes at most a fifth."""


async def run() -> list[Figure]:
    async with running_stack() as stack, running_peer("noop", "/noop") as peer:
        edged, bare, fastapi = await in_turns([f"{stack.url}/edged", f"{stack.url}/bare", peer], stack.token)
    return [
        Figure(name="no-op through the edge, against without", value=edged, unit="1/s", peer=bare, goal=_EDGE_KEEPS),
        Figure(name="no-op through the edge, against uvicorn and FastAPI", value=edged, unit="1/s", peer=fastapi),
    ]


if __name__ == "__main__":
    hand_over(uvloop.run(run()))
