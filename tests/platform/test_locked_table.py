"""One service's table is locked: its requests wait for a moment, and nobody else's do."""

import asyncio
import os

import asyncpg

from tests.harness import Hub, done

REQUESTS = 12
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'course.courses'::regclass"


async def test_a_locked_table_stops_its_own_service_alone(hub: Hub) -> None:
    school = await hub.school()
    body = {"organization_id": str(school.org_id), "title": "Locked"}
    course_id = done(await school.owner.post("/v1/courses", body), 201)["id"]
    locker = await asyncpg.connect(os.environ["HUB_POSTGRES_URL"])
    transaction = locker.transaction()
    await transaction.start()
    try:
        await locker.execute("LOCK TABLE course.courses IN ACCESS EXCLUSIVE MODE")
        stopped = [asyncio.create_task(school.owner.get(f"/v1/courses/{course_id}")) for _ in range(REQUESTS)]
        async with asyncio.timeout(60):
            while await locker.fetchval(WAITING) < 3:  # noqa: ASYNC110  the database tells nobody
                await asyncio.sleep(0)

        others = [await school.owner.get(f"/v1/organizations/{school.org_id}") for _ in range(3)]

        for answer in others:
            done(answer)
        assert not any(each.done() for each in stopped)
    finally:
        await transaction.rollback()
        await locker.close()
    for each in stopped:
        done(await each)
