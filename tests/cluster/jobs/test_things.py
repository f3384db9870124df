"""The sweep of things finds what is due by index, once a day, and not what is used."""

from datetime import timedelta

import pytest

from cluster.base.ids import OrgId, new_id
from cluster.base.principal import PLATFORM
from cluster.data import holds, uses, write
from cluster.data.uses import Ref, Thing
from cluster.jobs import things
from tests.kernel import rows, run

pytestmark = pytest.mark.usefixtures("kernel", "empty")

ORG = OrgId(new_id())


async def declared() -> Ref:
    thing = Thing(kind="asset", id=new_id(), org_id=ORG, course_id=None, state="ready", version=1)
    async with write(PLATFORM) as tx:
        await uses.declare(tx, thing)
    return thing.ref


async def days_later(days: int) -> None:
    await run(
        "UPDATE hub.things SET idle_since = idle_since - $1::interval, purge_at = purge_at - $1::interval, "
        "swept_at = swept_at - $1::interval",
        timedelta(days=days),
    )


async def enqueued() -> set[tuple[str, str]]:
    found = await rows("SELECT kind, args->>'id' FROM hub.jobs WHERE state = 'queued'")
    return {(kind, id) for kind, id in found}


async def test_the_sweep_enqueues_what_is_unused_or_removed() -> None:
    unused, used, removed, held = [await declared() for _ in range(4)]
    async with write(PLATFORM) as tx:
        await uses.use(tx, by=Ref("video", new_id()), org_id=ORG, things=[used])
        for each in (removed, held):
            await uses.remove(tx, each)
        await holds.place_hold(tx, held, "complaint 17")
    assert await things.sweep() == 0

    await days_later(30)
    swept = [await things.sweep(), await things.sweep()]

    assert swept == [2, 0]
    assert await enqueued() == {("media.remove_unused", str(unused.id)), ("media.purge_asset", str(removed.id))}


async def test_the_sweep_enqueues_again_what_is_still_there_a_day_later() -> None:
    await declared()
    await days_later(1)
    assert await things.sweep() >= 1
    await run("UPDATE hub.jobs SET state = 'dead', finished_at = now()")

    await days_later(1)

    assert await things.sweep() >= 1


async def test_the_sweep_finds_what_is_due_by_index() -> None:
    await run(
        """INSERT INTO hub.things (kind, id, state, was, version, idle_since, purge_at)
           SELECT 'asset', gen_random_uuid(), CASE WHEN n % 2 = 0 THEN 'deleted' ELSE 'ready' END,
                  CASE WHEN n % 2 = 0 THEN 'ready' END, 1, now(), CASE WHEN n % 2 = 0 THEN now() + interval '1 day' END
           FROM generate_series(1, 20000) AS n"""
    )
    await run("ANALYZE hub.things")

    plans = {
        "things_idle": await _plan(things.UNUSED, "asset", timedelta(days=1), 500),
        "things_purge": await _plan(things.REMOVED, "asset", 500),
    }

    assert {name: name in plan and "Seq Scan on things" not in plan for name, plan in plans.items()} == dict.fromkeys(
        plans, True
    )
    await run("TRUNCATE hub.things, hub.uses")


async def _plan(sql: str, *args: object) -> str:
    return "\n".join(line for (line,) in await rows(f"EXPLAIN {sql}", *args))
