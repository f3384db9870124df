"""Legal holds of things: they keep the reason and the begin, and none is placed once the purge may have begun."""

from datetime import timedelta

import pytest

from cluster.base.ids import OrgId, new_id
from cluster.base.principal import PLATFORM
from cluster.data import holds, read, uses, write
from cluster.data.holds import PURGE_MARGIN, Hold
from cluster.data.uses import KEPT_FOR, Ref, Thing
from tests.kernel import kernel as kernel
from tests.kernel import run

pytestmark = pytest.mark.usefixtures("kernel")


async def declared() -> Ref:
    thing = Thing(kind="video", id=new_id(), org_id=OrgId(new_id()), course_id=None, state="ready", version=1)
    async with write(PLATFORM) as tx:
        await uses.declare(tx, thing)
    return thing.ref


async def removed(ago: timedelta) -> Ref:
    """Declare a thing that was removed so long ago."""
    thing = await declared()
    async with write(PLATFORM) as tx:
        await uses.remove(tx, thing)
    await run("UPDATE hub.things SET purge_at = purge_at - $2::interval WHERE id = $1", thing.id, ago)
    return thing


async def place(thing: Ref, reason: str = "complaint 17") -> Hold | None:
    async with write(PLATFORM) as tx:
        return await holds.place_hold(tx, thing, reason)


async def release(thing: Ref) -> bool:
    async with write(PLATFORM) as tx:
        return await holds.release_hold(tx, thing)


async def found(thing: Ref) -> Hold | None:
    async with read() as db:
        return await holds.find_hold(db, thing)


async def purgeable(thing: Ref) -> bool:
    async with read() as db:
        return await uses.purgeable(db, thing)


async def test_a_hold_keeps_its_begin_and_takes_a_new_reason() -> None:
    thing = await declared()

    first = await place(thing)
    second = await place(thing, "lawsuit 3")

    assert first is not None
    assert (first.reason, second) == ("complaint 17", Hold("lawsuit 3", first.held_at))
    assert await found(thing) == second


async def test_a_held_thing_is_purged_only_after_its_release() -> None:
    thing = await declared()
    await place(thing)
    async with write(PLATFORM) as tx:
        await uses.remove(tx, thing)
        await uses.end_restorable(tx, thing)
    while_held = await purgeable(thing)

    ended = [await release(thing), await release(thing)]

    assert (while_held, ended, await purgeable(thing), await found(thing)) == (False, [True, False], True, None)


@pytest.mark.parametrize(
    ("ago", "placed"),
    [
        (timedelta(0), True),
        (KEPT_FOR - 2 * PURGE_MARGIN, True),
        (KEPT_FOR - PURGE_MARGIN / 2, False),
        (KEPT_FOR, False),
    ],
)
async def test_a_removed_thing_is_held_as_long_as_it_can_be_restored(ago: timedelta, placed: bool) -> None:
    thing = await removed(ago)

    hold = await place(thing)

    assert (hold is not None, await found(thing)) == (placed, hold)


async def test_a_hold_that_lasts_gets_a_new_reason_after_30_days_too() -> None:
    thing = await declared()
    await place(thing)
    async with write(PLATFORM) as tx:
        await uses.remove(tx, thing)
        await uses.end_restorable(tx, thing)

    hold = await place(thing, "lawsuit 3")

    assert hold is not None
    assert hold.reason == "lawsuit 3"


async def test_a_thing_that_was_never_declared_is_not_held() -> None:
    thing = Ref("video", new_id())

    assert (await place(thing), await found(thing), await release(thing)) == (None, None, False)
