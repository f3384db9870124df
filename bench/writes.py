"""Creating a course through the whole platform, against a plain FastAPI program that runs the same statements.

The peer is uvicorn, FastAPI and asyncpg in as many processes, on the same database: three transactions with the same rows and
as many messages in the outbox. It looks at no token, asks nobody for permission and writes no log. The platform's worker
takes the messages of both; events of the platform are also taken in by the services that hear them, while the next are written.
"""

import json

import uvloop

from bench.figures import Figure, hand_over
from bench.stack import in_turns, running_peer, running_stack

_GOAL = 0.6


async def run() -> list[Figure]:
    async with running_stack() as stack, running_peer("create", "/readyz") as ready:
        peer = ready.removesuffix("/readyz") + "/v1/courses"
        body = json.dumps({"organization_id": stack.org_id, "title": "Geometry", "summary": "Shapes. " * 20})
        ours, plain = await in_turns([f"{stack.url}/v1/courses", peer], stack.token, body)
    return [Figure(name="POST a course, against FastAPI with asyncpg", value=ours, unit="1/s", peer=plain, goal=_GOAL)]


if __name__ == "__main__":
    hand_over(uvloop.run(run()))
