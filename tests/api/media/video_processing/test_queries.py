import json
from datetime import UTC, datetime
from typing import Any

from api.media.video_processing import store
from cluster.base.ids import new_id
from cluster.data import Connection
from cluster.data.postgres import pool
from tests.api.media.video_processing.conftest import FilmMaker, Teacher
from tests.harness import Hub, done


async def test_reads_take_one_statement_and_writes_few(hub: Hub, teacher: Teacher, film: FilmMaker) -> None:
    content = await film(duration_s=2)
    asset_id = await teacher.upload(content)
    person = teacher.person
    done(await person.get("/v1/videos"))
    with hub.statements() as created:
        video = done(await person.post("/v1/videos", {"asset_id": asset_id}), 201)
    path = f"/v1/videos/{video['id']}"
    with hub.statements() as one:
        done(await person.get(path))
    with hub.statements() as listed:
        done(await person.get("/v1/videos", params={"course_id": teacher.course_id}))
    with hub.statements() as cancelled:
        done(await person.post(f"{path}/cancel"))
    with hub.statements() as retried:
        done(await person.post(f"{path}/retry"))
    assert [one.count, listed.count] == [1, 1], one.sql + listed.sql
    for each, at_most in ((created, 9), (cancelled, 6), (retried, 6)):
        assert each.sql.count("BEGIN") == 1
        assert each.sql[-1] == "COMMIT"
        assert len(each.sql[each.sql.index("BEGIN") :]) <= at_most, each.sql
    done(await person.post(f"{path}/cancel"))


async def _plan(db: Connection, sql: str, **named: Any) -> str:
    rows = await db.rows("EXPLAIN (FORMAT JSON, COSTS OFF) " + sql, **named)
    return json.dumps(rows[0][0])


async def test_hot_queries_use_indexes(hub: Hub) -> None:
    async with pool().acquire() as raw:
        transaction = raw.transaction()
        await transaction.start()
        db = Connection(raw)
        await db.run(
            """INSERT INTO video_processing.videos (id, org_id, course_id, asset_id, state, created_at, updated_at)
               SELECT gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'queued', now(), now()
               FROM generate_series(1, 5000)"""
        )
        await db.run("ANALYZE video_processing.videos")
        id = new_id()
        reach: dict[str, Any] = {"everywhere": False, "org_ids": (id,), "course_ids": (id,)}
        page: dict[str, Any] = {"ids": None, "states": None, "before": None, "limit": 21}
        plans = {
            "one": await _plan(db, store.FIND_FILM, video_id=id),
            "of an upload": await _plan(db, store.FIND_FILM_OF_ASSET, asset_id=id),
            "of a course": await _plan(db, store.LIST_FILMS, org_id=None, course_id=id, **reach, **page),
            "of an organization": await _plan(db, store.LIST_FILMS, org_id=id, course_id=None, **reach, **page),
            "abandoned": await _plan(db, store.LIST_ABANDONED, before=datetime.now(UTC), limit=100),
        }
        await transaction.rollback()
    assert {name for name, plan in plans.items() if '"Seq Scan"' in plan} == set()
    assert {name for name, plan in plans.items() if "Index" not in plan} == set()
