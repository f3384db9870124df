"""Creating a course through the whole platform, against a plain FastAPI program that runs the same statements.

The peer is uvicorn, FastAPI and asyncpg in as many processes, on the same database: three transactions with the same rows and
as many messages in the outbox. It looks at no token, asks nobody for permission and writes no log. The platform's worker
takes the messages of both; events of the platform are also taken in by the services that hear them, while the next are written.
What is left of them when a turn ends is worked off before the next begins.

The second figure is of a teacher with a thousand courses more.
"""

import json
from uuid import UUID

import asyncpg
import uvloop

from bench.figures import Figure, hand_over
from bench.stack import Stack, events_settled, in_turns, running_peer, running_stack
from cluster.base.settings import settings

_GOAL = 0.6
_MORE = 1_000
_INSERT_GRANTS = """
INSERT INTO rbac.grants (id, user_id, role, scope, scope_id, org_id, created_at)
SELECT gen_random_uuid(), $1, 'instructor', 'course', gen_random_uuid(), $2, now() FROM generate_series(1, $3)
"""


async def run() -> list[Figure]:
    async with running_stack() as stack, running_peer("create", "/readyz") as ready:
        urls = [f"{stack.url}/v1/courses", ready.removesuffix("/readyz") + "/v1/courses"]
        body = json.dumps({"organization_id": stack.org_id, "title": "Geometry", "summary": "Shapes. " * 20})
        few = await in_turns(urls, stack.token, body, settled=events_settled)
        await _grant_more(stack)
        many = await in_turns(urls, stack.token, body, settled=events_settled)
    return [
        Figure(name=name, value=ours, unit="1/s", peer=plain, goal=_GOAL)
        for name, (ours, plain) in (
            ("POST a course, against FastAPI with asyncpg", few),
            (f"the same by who teaches {_MORE:,} more", many),
        )
    ]


async def _grant_more(stack: Stack) -> None:
    db = await asyncpg.connect(settings().postgres_url)
    try:
        await db.execute(_INSERT_GRANTS, UUID(stack.user_id), UUID(stack.org_id), _MORE)
    finally:
        await db.close()


if __name__ == "__main__":
    hand_over(uvloop.run(run()))
