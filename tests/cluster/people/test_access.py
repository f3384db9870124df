"""What is kept of an owner's answer, and when it must not count any more."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from cluster.base.ids import OrgId, UserId, new_id
from cluster.base.principal import GUEST, PLATFORM, Principal
from cluster.base.problems import Forbidden, Invalid, NotFound, Unauthorized
from cluster.people import calls, relations
from cluster.people.access import (
    GrantedScope,
    Guarded,
    Reach,
    lacking,
    named,
    permissions_of_role,
    permit,
    permit_until,
    reach_of,
    within,
)
from cluster.people.calls import RemoteUnavailable
from cluster.signals import broadcast

ORG = OrgId(new_id())


class Owners:
    """Answers for rbac, organization and enrollment, as slowly as a test wants."""

    def __init__(self) -> None:
        self.asked = 0
        self.asked_at: list[set[UUID]] = []
        """The places of each question about grants."""
        self.knows_places = True
        self.granted = True
        self.learning = True
        self.more: list[GrantedScope] = []
        self.members: list[OrgId] = []
        self.runs: list[UUID] = []
        self.answer_now = asyncio.Event()
        self.answer_now.set()

    async def grants_of(self, user_id: UserId) -> list[GrantedScope]:
        self.asked += 1
        role = permissions_of_role("org_admin") if self.granted else ()
        await self.answer_now.wait()
        return [*([GrantedScope("organization", ORG, ORG, role)] if role else []), *self.more]

    async def grants_at(self, user_id: UserId, places: list[UUID]) -> list[GrantedScope]:
        if not self.knows_places:
            raise RemoteUnavailable("this release of rbac does not answer the call grants_at; try again later")
        self.asked_at.append(set(places))
        return [grant for grant in await self.grants_of(user_id) if grant.scope_id in (None, *places)]

    async def organizations_of(self, user_id: UserId) -> list[OrgId]:
        return self.members

    async def learns_in(self, user_id: UserId, run_id: UUID) -> bool:
        self.asked += 1
        return self.learning

    async def runs_of(self, user_id: UserId) -> list[UUID]:
        return self.runs


@pytest.fixture
async def owners(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Owners]:
    made = Owners()
    monkeypatch.setattr(calls, "_local", dict.fromkeys(("rbac", "organization", "enrollment"), made))
    monkeypatch.setattr(broadcast, "fresh_within", lambda _seconds: True)  # pyright: ignore[reportUnknownLambdaType,reportUnknownArgumentType]
    await relations.forget_everybody()
    yield made
    await relations.forget_everybody()


def somebody(**more: object) -> Principal:
    return Principal(kind="person", id=UserId(new_id()), **more)  # pyright: ignore[reportArgumentType]


async def test_a_yes_is_kept_and_ends_with_the_news_of_a_revocation(owners: Owners) -> None:
    person = somebody()
    for _ in range(3):
        await permit(person, "course:edit", within(org_id=ORG))
    assert owners.asked == 1
    owners.granted = False
    relations.forget(person.person())
    with pytest.raises(NotFound):
        await permit(person, "course:edit", within(org_id=ORG))


async def test_without_proof_that_broadcasts_arrive_the_owner_is_asked_each_time(
    owners: Owners, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = somebody()
    await permit(person, "course:edit", within(org_id=ORG))
    monkeypatch.setattr(broadcast, "fresh_within", lambda _seconds: False)  # pyright: ignore[reportUnknownLambdaType,reportUnknownArgumentType]
    owners.granted = False
    with pytest.raises(NotFound):
        await permit(person, "course:edit", within(org_id=ORG))


async def test_an_answer_from_before_a_revocation_is_not_kept_after_it(owners: Owners) -> None:
    person = somebody()
    owners.answer_now.clear()
    under_way = asyncio.create_task(permit(person, "course:edit", within(org_id=ORG)))
    while not owners.asked:  # noqa: ASYNC110 (turns of the loop, not a wait)
        await asyncio.sleep(0)
    owners.granted = False
    relations.forget(person.person())
    owners.answer_now.set()
    await under_way
    with pytest.raises(NotFound):
        await permit(person, "course:edit", within(org_id=ORG))


async def test_who_does_not_learn_yet_is_asked_about_again(owners: Owners) -> None:
    person, run = somebody(), Guarded("film", org_id=ORG, run_id=new_id(), see="catalog:read")
    permission = next(name for name in sorted(permissions_of_role("learner")))
    owners.granted, owners.learning = False, False
    with pytest.raises(Forbidden):
        await permit(person, permission, run)
    owners.learning = True
    assert await permit(person, permission, run) == "film"


async def test_of_one_person_no_more_than_some_answers_are_kept(owners: Owners) -> None:
    person = somebody()
    permission = next(name for name in sorted(permissions_of_role("learner")))

    for _ in range(2_000):
        await permit(person, permission, Guarded("film", org_id=ORG, run_id=new_id()))

    kept = relations._kept[person.person()]  # pyright: ignore[reportPrivateUsage]
    assert len(kept) <= 1_000


async def test_a_session_bound_to_an_organization_sees_nothing_of_another(owners: Owners) -> None:
    bound = somebody(bound_org=OrgId(new_id()))
    mine_elsewhere = Guarded("enrolment", org_id=ORG, owner_id=bound.id, see="enrollment:read")
    with pytest.raises(NotFound):
        await permit(bound, "enrollment:read", mine_elsewhere)
    with pytest.raises(NotFound):
        await permit(bound, "course:edit", within(org_id=ORG))
    mine_there = Guarded("enrolment", org_id=bound.bound_org, owner_id=bound.id)
    assert await permit(bound, "enrollment:read", mine_there) == "enrolment"
    assert (await reach_of(bound, "course:read")).org_ids == ()


async def test_scopes_cut_what_a_person_holds(owners: Owners) -> None:
    reader = somebody(scopes=frozenset({"course:read"}))
    await permit(reader, "course:read", within(org_id=ORG))
    with pytest.raises(Forbidden):
        await permit(reader, "course:edit", within(org_id=ORG))
    assert (await reach_of(reader, "course:read")).org_ids == (ORG,)
    assert await reach_of(reader, "course:edit") == Reach()


async def test_before_a_cold_no_each_owner_is_asked_once(owners: Owners) -> None:
    owners.granted, owners.learning = False, False
    with pytest.raises(NotFound):
        await permit(somebody(), "course:edit", within(org_id=ORG))
    assert owners.asked == 1
    with pytest.raises(Forbidden):
        await permit(somebody(), "run:attend", Guarded("film", org_id=ORG, run_id=new_id(), see="catalog:read"))
    assert owners.asked == 3
    lacked = await lacking(somebody(), permissions_of_role("org_admin"), within(org_id=ORG))
    assert lacked == list(permissions_of_role("org_admin"))
    assert owners.asked <= 5


async def test_a_kept_no_is_asked_about_again_once(owners: Owners) -> None:
    person = somebody()
    owners.granted = False
    with pytest.raises(NotFound):
        await permit(person, "course:edit", within(org_id=ORG))
    owners.granted = True
    await permit(person, "course:edit", within(org_id=ORG))
    assert owners.asked == 2


async def test_lists_of_a_bound_session_show_what_lies_in_its_organization(owners: Owners) -> None:
    owners.runs = [new_id()]
    owners.members = [ORG, OrgId(new_id())]
    owners.more = [GrantedScope("platform", None, None, permissions_of_role("platform_admin"))]
    free, bound = somebody(), somebody(bound_org=ORG)
    learning = next(name for name in sorted(permissions_of_role("learner")))
    assert (await reach_of(free, learning)).run_ids == tuple(owners.runs)
    assert (await reach_of(bound, learning)).run_ids == ()
    assert (await reach_of(free, "enrollment:create")).everywhere
    assert await reach_of(bound, "enrollment:create") == Reach(org_ids=(ORG,))
    assert (await reach_of(free, "grant:read")).own == free.id
    assert await reach_of(bound, "grant:read") == Reach(org_ids=(ORG,))
    assert set((await reach_of(free, "organization:read")).org_ids) == set(owners.members)
    assert (await reach_of(bound, "organization:read")).org_ids == (ORG,)


async def test_a_bound_session_has_its_persons_account_and_nothing_else_outside(owners: Owners) -> None:
    owners.more = [GrantedScope("platform", None, None, permissions_of_role("platform_admin"))]
    bound = somebody(bound_org=ORG)
    assert await permit(bound, "user:edit", Guarded("profile", owner_id=bound.id)) == "profile"
    with pytest.raises(NotFound):
        await permit(bound, "user:read", Guarded("profile", owner_id=UserId(new_id())))
    with pytest.raises(Forbidden):
        await permit(bound, "organization:create", within())
    with pytest.raises(Forbidden):
        await permit(bound, "organization:suspend", within(org_id=ORG))
    await permit(somebody(), "organization:suspend", within(org_id=ORG))


async def test_permit_keeps_the_answers_about_whoever_asked_last(
    owners: Owners, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relations, "_MAX_USERS", 2)
    first, second, third = somebody(), somebody(), somebody()
    for caller in (first, second, first, third):
        await permit(caller, "course:edit", within(org_id=ORG))
    asked = owners.asked

    await permit(first, "course:edit", within(org_id=ORG))
    await permit(third, "course:edit", within(org_id=ORG))
    assert owners.asked == asked

    await permit(second, "course:edit", within(org_id=ORG))
    assert owners.asked == asked + 1


async def test_permit_tells_a_guest_the_same_whether_it_exists_or_not(owners: Owners) -> None:
    for guarded in (None, Guarded("course", org_id=ORG)):
        with pytest.raises(Unauthorized):
            await permit(GUEST, "course:edit", guarded)

    with pytest.raises(NotFound):
        await permit(GUEST, "catalog:read", None)
    assert await permit(GUEST, "catalog:read", Guarded("course", org_id=ORG)) == "course"


async def test_everybody_may_know_of_the_platform_itself(owners: Owners) -> None:
    with pytest.raises(Forbidden):
        await permit(somebody(scopes=frozenset()), "organization:create", within())
    with pytest.raises(NotFound):
        await permit(somebody(scopes=frozenset()), "organization:create", Guarded("a thing of the platform"))
    with pytest.raises(Unauthorized):
        await permit(GUEST, "organization:create", within())


async def test_permit_forbids_at_a_place_that_the_caller_may_see(owners: Owners) -> None:
    owners.granted = False

    with pytest.raises(Forbidden):
        await permit(somebody(), "course:edit", within(org_id=ORG, see="catalog:read"))


async def test_a_warm_yes_by_a_grant_asks_nobody_whether_the_person_learns(owners: Owners) -> None:
    person, run = somebody(), Guarded("run", org_id=ORG, run_id=new_id())
    owners.learning = False
    await permit(person, "run:read", run)
    asked = owners.asked

    await permit(person, "run:read", run)

    assert owners.asked == asked


async def test_a_reach_is_kept_until_a_right_changes(owners: Owners) -> None:
    person = somebody()
    first = await reach_of(person, "course:read")
    owners.members.append(OrgId(new_id()))
    owners.granted = False
    asked = owners.asked

    kept = await reach_of(person, "course:read")
    relations.forget(person.person())

    assert (kept, owners.asked) == (first, asked)
    assert await reach_of(person, "course:read") == Reach()


@pytest.mark.parametrize("scope", ["course", "run", "organization"])
async def test_a_grant_counts_at_its_place_alone(owners: Owners, scope: str) -> None:
    person, place, other = somebody(), new_id(), new_id()
    owners.granted = False
    permissions = permissions_of_role("instructor")
    owners.more = [GrantedScope(scope, place, ORG, permissions)]  # pyright: ignore[reportArgumentType]
    field = {"course": "course_id", "run": "run_id", "organization": "org_id"}[scope]

    def at(value: str, **where: Any) -> Guarded[str]:
        return Guarded(value, **where)

    assert await permit(person, "course:edit", at("here", **{field: place})) == "here"
    for wrong in ({field: other}, {name: place for name in ("course_id", "run_id", "org_id") if name != field}):
        with pytest.raises(NotFound):
            await permit(person, "course:edit", at("elsewhere", **wrong))


COURSE = new_id()
PUBLIC = Guarded("public", org_id=ORG, course_id=COURSE, see="catalog:read")
INTERNAL = Guarded("internal", org_id=ORG, course_id=COURSE, see="catalog:read-organization")


class CourseUnknown(Invalid):
    title = "There is no such course here"


@pytest.mark.parametrize("guarded", [PUBLIC, INTERNAL])
async def test_named_returns_what_the_caller_may_know_of(owners: Owners, guarded: Guarded[str]) -> None:
    unknown = CourseUnknown("choose another", pointer="/course_id")

    assert await named(somebody(), guarded, unknown=unknown, org_id=ORG) in ("public", "internal")
    owners.granted = False
    assert await named(somebody(), PUBLIC, unknown=unknown) == "public"
    owners.more = [GrantedScope("course", COURSE, ORG, permissions_of_role("instructor"))]
    assert await named(somebody(), INTERNAL, unknown=unknown, org_id=ORG) == "internal"


async def test_named_tells_nobody_whether_what_they_may_not_see_exists(owners: Owners) -> None:
    owners.granted = False
    refused: list[CourseUnknown] = []
    for principal, guarded, org_id in (
        (somebody(), None, ORG),
        (somebody(), INTERNAL, ORG),
        (GUEST, INTERNAL, ORG),
        (somebody(), PUBLIC, new_id()),
        (PLATFORM, PUBLIC, new_id()),
        (PLATFORM, None, None),
        (somebody(bound_org=OrgId(new_id())), INTERNAL, ORG),
    ):
        unknown = CourseUnknown("choose another", pointer="/course_id")
        with pytest.raises(CourseUnknown) as raised:
            await named(principal, guarded, unknown=unknown, org_id=org_id)
        assert raised.value is unknown
        refused.append(raised.value)

    assert len({str(each.document("trace")) for each in refused}) == 1


async def test_named_lets_the_platform_name_anything(owners: Owners) -> None:
    assert await named(PLATFORM, INTERNAL, unknown=CourseUnknown(), org_id=ORG) == "internal"


async def test_a_cold_decision_asks_about_its_own_places_alone(owners: Owners) -> None:
    person, course_id, run_id = somebody(), new_id(), new_id()

    await permit(person, "course:edit", Guarded("run", org_id=ORG, course_id=course_id, run_id=run_id))

    assert owners.asked_at == [{ORG, course_id, run_id}]


async def test_a_decision_asks_about_those_places_that_are_not_kept(owners: Owners) -> None:
    person, first, second = somebody(), new_id(), new_id()
    owners.granted = False
    owners.more = [GrantedScope("course", each, ORG, permissions_of_role("instructor")) for each in (first, second)]

    for course_id in (first, second, first, second):
        await permit(person, "course:edit", Guarded("course", org_id=ORG, course_id=course_id))

    assert owners.asked_at == [{ORG, first}, {second}]


async def test_a_kept_yes_of_the_organization_counts_for_each_of_its_courses(owners: Owners) -> None:
    person = somebody()
    await permit(person, "course:edit", within(org_id=ORG))

    for _ in range(3):
        await permit(person, "course:edit", Guarded("course", org_id=ORG, course_id=new_id()))

    assert owners.asked_at == [{ORG}]


async def test_a_fresh_decision_asks_about_places_that_are_kept(owners: Owners) -> None:
    person = somebody()
    await permit(person, "course:edit", within(org_id=ORG))
    owners.granted = False

    with pytest.raises(NotFound):
        await permit(person, "course:edit", within(org_id=ORG), fresh=True)

    assert owners.asked_at == [{ORG}, {ORG}]


async def test_a_decision_counts_the_grants_that_a_list_has_read(owners: Owners) -> None:
    person, course_id = somebody(), new_id()
    owners.more = [GrantedScope("course", course_id, ORG, permissions_of_role("instructor"))]
    await reach_of(person, "course:edit")

    await permit(person, "course:edit", Guarded("course", course_id=course_id))

    assert owners.asked_at == []


async def test_what_a_revocation_overtook_is_not_kept_of_any_place(owners: Owners) -> None:
    person, course = somebody(), Guarded("course", org_id=ORG, course_id=new_id())
    owners.answer_now.clear()
    under_way = asyncio.create_task(permit(person, "course:edit", course))
    while not owners.asked:  # noqa: ASYNC110 (turns of the loop, not a wait)
        await asyncio.sleep(0)
    owners.granted = False
    relations.forget(person.person())
    owners.answer_now.set()
    await under_way

    with pytest.raises(NotFound):
        await permit(person, "course:edit", course)


async def test_an_rbac_that_does_not_know_places_is_asked_for_everything(owners: Owners) -> None:
    person, course = somebody(), Guarded("course", course_id=new_id())
    owners.knows_places = False
    owners.more = [GrantedScope("course", course.course_id, ORG, permissions_of_role("instructor"))]

    assert await permit(person, "course:edit", course) == "course"
    with pytest.raises(NotFound):
        await permit(person, "course:edit", Guarded("course", course_id=new_id()))


async def test_permit_until_asks_once_for_the_right_and_its_end(owners: Owners) -> None:
    person, end = somebody(), datetime.now(UTC) + timedelta(hours=1)
    owners.granted = False
    owners.more = [GrantedScope("organization", ORG, ORG, permissions_of_role("org_admin"), end)]
    await permit(person, "course:create", within(org_id=ORG))
    assert await permit_until(person, "course:create", within(org_id=ORG)) == end
    assert owners.asked_at == [{ORG}, {ORG}]

    owners.more = []

    with pytest.raises(NotFound):
        await permit_until(person, "course:create", within(org_id=ORG))


async def test_permit_until_knows_no_end_of_a_right_that_stays(owners: Owners) -> None:
    end = datetime.now(UTC) + timedelta(hours=1)
    owners.more = [GrantedScope("platform", None, None, permissions_of_role("platform_admin"), end)]

    assert await permit_until(somebody(), "course:create", within(org_id=ORG)) is None
    assert await permit_until(PLATFORM, "course:create", within(org_id=ORG)) is None
