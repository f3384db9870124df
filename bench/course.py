"""Reading a course through the whole platform, against what a plain FastAPI program does with the same query.

The peer is uvicorn, FastAPI and asyncpg in as many processes: the same statement on the same row, the same JSON, checked to be
equal. It looks at no token, asks nobody for permission, writes no log, and no HAProxy stands in front of it.
"""

import httpx
import uvloop

from bench.figures import Figure, hand_over
from bench.stack import in_turns, running_peer, running_stack

_GOAL = 0.75


async def run() -> list[Figure]:
    async with running_stack() as stack:
        path = f"/v1/courses/{stack.course_id}"
        async with running_peer("course", path) as peer:
            url = f"{stack.url}{path}"
            async with httpx.AsyncClient(trust_env=False, headers={"Authorization": f"Bearer {stack.token}"}) as client:
                ours, theirs = await client.get(url), await client.get(peer)
            if ours.json() != theirs.json():
                raise RuntimeError(f"the peer answers something else: {theirs.text} instead of {ours.text}")
            platform, plain = await in_turns([url, peer], stack.token)
    return [
        Figure(name="GET a course, against FastAPI with asyncpg", value=platform, unit="1/s", peer=plain, goal=_GOAL)
    ]


if __name__ == "__main__":
    hand_over(uvloop.run(run()))
