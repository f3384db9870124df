"""Uses: all or none, never of what is gone, and never dangling, whatever the order of the two sides."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from cluster.base.ids import OrgId, new_id
from cluster.base.principal import PLATFORM
from cluster.base.problems import NotFound
from cluster.base.registry import offers
from cluster.data import Transaction, read, uses, write
from cluster.data.uses import KnownThing, Ref, State, Thing, ThingGone, ThingInUse, ThingKind
from cluster.people.access import Reach
from tests.kernel import kernel as kernel
from tests.kernel import rows

pytestmark = pytest.mark.usefixtures("kernel")

ORG = OrgId(new_id())


async def declared(kind: str = "video", state: State = "ready", org_id: OrgId | None = ORG) -> Ref:
    thing = Thing(kind=kind, id=new_id(), org_id=org_id, course_id=None, state=state, version=1)
    async with write(PLATFORM) as tx:
        await uses.declare(tx, thing)
    return thing.ref


async def use(by: Ref, *things: Ref) -> None:
    async with write(PLATFORM) as tx:
        await uses.use(tx, by=by, org_id=ORG, things=things)


async def remove(thing: Ref) -> bool:
    async with write(PLATFORM) as tx:
        return await uses.remove(tx, thing)


async def known(thing: Ref) -> KnownThing:
    async with read() as db:
        return (await uses.states(db, [thing]))[thing]


async def used_by(by: Ref) -> set[Ref]:
    found = await rows("SELECT kind, id FROM hub.uses WHERE by_kind = $1 AND by_id = $2", *by)
    return {Ref(*row) for row in found}


def block() -> Ref:
    return Ref("block", new_id())


async def test_users_are_found_among_others_and_by_their_place() -> None:
    thing, other, course_id = await declared(), await declared(), new_id()
    one, two = block(), block()
    async with write(PLATFORM) as tx:
        await uses.use(tx, by=one, org_id=ORG, course_id=course_id, things={thing})
    await use(two, other)
    reaches = {
        "everywhere": Reach(everywhere=True),
        "organization": Reach(org_ids=(ORG,)),
        "course": Reach(course_ids=(course_id,)),
        "elsewhere": Reach(org_ids=(new_id(),), course_ids=(new_id(),)),
        "nowhere": Reach(),
    }

    async with read() as db:
        among = await uses.users_among(db, thing, {one, two, Ref("outline", one.id)})
        within = {name for name, reach in reaches.items() if await uses.is_used_within(db, thing, "block", reach)}
        as_outline = await uses.is_used_within(db, thing, "outline", Reach(everywhere=True))

    assert (among, within, as_outline) == ({one}, {"everywhere", "organization", "course"}, False)


async def test_use_sets_all_that_one_user_uses() -> None:
    one, two, three = [await declared() for _ in range(3)]
    by = block()
    await use(by, one, two)

    await use(by, two, three)

    assert await used_by(by) == {two, three}
    assert [(await known(each)).in_use for each in (one, two, three)] == [False, True, True]


@pytest.mark.parametrize("which", ["unknown", "deleted", "of another organization", "of a person"])
async def test_use_rejects_what_is_gone_and_names_the_field(which: str) -> None:
    present = await declared()
    match which:
        case "unknown":
            gone = Ref("video", new_id())
        case "deleted":
            gone = await declared()
            assert await remove(gone)
        case "of another organization":
            gone = await declared(org_id=OrgId(new_id()))
        case _:
            gone = await declared(org_id=None)
    by = block()

    with pytest.raises(ThingGone) as refused:
        async with write(PLATFORM) as tx:
            await uses.use(tx, by=by, org_id=ORG, things=[present, gone], pointers={gone: "/body/video_id"})

    assert [error.pointer for error in refused.value.errors] == ["/body/video_id"]
    assert await used_by(by) == set()


async def test_remove_rejects_what_is_used_and_shows_what_may_be_seen() -> None:
    thing = await declared()
    course_id, seen, hidden = new_id(), block(), block()
    async with write(PLATFORM) as tx:
        await uses.use(tx, by=seen, org_id=ORG, course_id=course_id, things=[thing])
        await uses.use(tx, by=hidden, org_id=ORG, course_id=new_id(), things=[thing])

    with pytest.raises(ThingInUse) as refused:
        async with write(PLATFORM) as tx:
            await uses.remove(tx, thing, reach=Reach(course_ids=(course_id,)))

    shown = {"kind": "block", "id": str(seen.id), "organization_id": str(ORG), "course_id": str(course_id)}
    assert refused.value.extra == {"used_by": [shown], "others": 1}
    assert (await known(thing)).state == "ready"


async def test_restore_brings_back_the_state_within_thirty_days() -> None:
    thing, late = await declared(state="failed"), await declared()
    assert [await remove(thing), await remove(thing), await remove(late)] == [True, False, True]
    assert (await known(thing)).state == "deleted"
    await rows("UPDATE hub.things SET purge_at = now() WHERE id = $1 RETURNING id", late.id)

    async with write(PLATFORM) as tx:
        await uses.restore(tx, thing)
    with pytest.raises(NotFound):
        async with write(PLATFORM) as tx:
            await uses.restore(tx, late)

    assert ((await known(thing)).state, (await known(late)).state) == ("failed", "deleted")


async def test_declare_does_not_bring_a_deleted_thing_back() -> None:
    ref = await declared()
    assert await remove(ref)

    async with write(PLATFORM) as tx:
        await uses.declare(tx, Thing(kind="video", id=ref.id, org_id=ORG, course_id=None, state="ready", version=2))

    assert (await known(ref)).state == "deleted"


async def test_idle_counts_from_ready_and_from_the_last_use() -> None:
    pending = await declared(state="pending")
    assert (await known(pending)).idle_since is None
    async with write(PLATFORM) as tx:
        await uses.declare(tx, Thing(kind="video", id=pending.id, org_id=ORG, course_id=None, state="ready", version=2))
    ready = (await known(pending)).idle_since
    by = block()
    await use(by, pending)

    await use(by)

    let_go = (await known(pending)).idle_since
    assert ready is not None
    assert let_go is not None
    assert let_go > ready


async def test_users_who_swap_things_do_not_deadlock() -> None:
    one, two = await declared(), await declared()
    users = [block() for _ in range(4)]

    async def swap(by: Ref, number: int) -> None:
        for turn in range(10):
            await use(by, (one, two)[(number + turn) % 2])

    await asyncio.gather(*(swap(by, number) for number, by in enumerate(users)))

    assert [await used_by(by) for by in users] == [{two}, {one}, {two}, {one}]


Act = Callable[[Transaction], Awaitable[object]]


class Side:
    """A transaction that acts and commits when it is told to."""

    def __init__(self, act: Act) -> None:
        self._gates = [asyncio.Event(), asyncio.Event()]
        self._passed = [asyncio.Event(), asyncio.Event()]
        self.done = False
        self._task = asyncio.create_task(self._run(act))

    async def _run(self, act: Act) -> None:
        try:
            with suppress(ThingGone, ThingInUse):
                async with write(PLATFORM) as tx:
                    await self._gates[0].wait()
                    await act(tx)
                    self._passed[0].set()
                    await self._gates[1].wait()
                self.done = True
        finally:
            for passed in self._passed:
                passed.set()

    def open(self, step: int) -> None:
        self._gates[step].set()

    async def passed(self, step: int) -> None:
        await self._passed[step].wait()

    async def ended(self) -> None:
        await self._task


@pytest.mark.parametrize("kind", [kind.name for kind in offers(ThingKind)])
async def test_no_interleaving_of_use_and_remove_dangles(kind: str) -> None:
    order = random.Random(kind)
    outcomes: set[tuple[bool, bool]] = set()
    for _ in range(50):
        thing, first, second = await declared(kind), block(), block()
        if order.random() < 0.5:
            await use(first, thing)
        sides = [
            Side(lambda tx, by=second, thing=thing: uses.use(tx, by=by, org_id=ORG, things=[thing])),
            Side(lambda tx, thing=thing: uses.remove(tx, thing)),
            Side(lambda tx, by=first: uses.use(tx, by=by, org_id=ORG, things=())),
        ]
        steps = [side for side in sides for _ in range(2)]
        order.shuffle(steps)
        opened = dict.fromkeys(sides, 0)

        for side in steps:
            side.open(opened[side])
            opened[side] += 1
            # One that has acted and not committed may hold what this one waits for.
            if not any(count == 1 for other, count in opened.items() if other is not side):
                await side.passed(opened[side] - 1)
        await asyncio.gather(*(side.ended() for side in sides))

        used, removed = sides[0].done, (await known(thing)).state == "deleted"
        assert await used_by(second) == ({thing} if used else set())
        assert await used_by(first) == set()
        assert not (used and removed)
        outcomes.add((used, removed))
    assert {(True, False), (False, True)} <= outcomes
