"""Members who were suspended or removed do not learn in their organization's runs; people who were never members do."""

from dataclasses import dataclass, replace
from uuid import UUID

import pytest

from actors import resync
from api.core.organization.contract import MemberId, MemberUpdated, OrganizationUpdated
from api.core.rbac.contract import RbacCalls
from api.learning.enrollment import store
from api.platform.moderation.contract import CaseId, Decided, DecisionId
from cluster.base.ids import OrgId, new_id
from cluster.base.principal import PLATFORM
from cluster.data import read, write
from cluster.events.subscriptions import delete_subscriptions
from cluster.people.access import LearnerSource
from cluster.people.calls import client
from tests.api.core.rbac.test_bounds import join
from tests.api.learning.course.conftest import Draft, draft, published, school
from tests.harness import Hub, Person, School, done, problem

__all__ = ["draft", "published", "school"]


@dataclass(frozen=True, slots=True)
class Learner:
    person: Person
    enrollment_id: str
    member_id: str | None


@pytest.fixture
async def member(hub: Hub, published: Draft) -> Learner:
    person = await hub.person("member")
    member_id = await join(published.school, person)
    return Learner(person, await _enrol(hub, published, person), member_id)


async def _enrol(hub: Hub, published: Draft, person: Person) -> str:
    new = {"run_id": published.course["default_run_id"]}
    enrolled = done(await person.post("/v1/enrollments", new), 201)
    await hub.settle()
    return enrolled["id"]


async def _move(hub: Hub, school: School, member_id: str | None, verb: str, by: Person | None = None) -> None:
    done(await (by or school.owner).post(f"/v1/members/{member_id}/{verb}"))
    await hub.settle()
    await hub.broadcasts_arrived()


async def _learns(published: Draft, learner: Person) -> bool:
    """Tell whether somebody gets the outline, by the API, and that the owners of the relation say the same."""
    run_id = published.course["default_run_id"]
    answer = await learner.get(f"/v1/outlines/{run_id}")
    assert answer.status_code in (200, 403, 404), answer.text
    learns = answer.status_code == 200
    assert await client(LearnerSource).learns_in(learner.id, UUID(run_id)) is learns
    assert await client(LearnerSource).runs_of(learner.id) == ([UUID(run_id)] if learns else [])
    return learns


async def test_suspended_member_learns_again_when_reactivated(hub: Hub, published: Draft, member: Learner) -> None:
    blocks = done(await published.owner.get("/v1/blocks", params={"course_id": published.id}))["items"]
    text = next(block["id"] for block in blocks if block["type"] == "text")
    claim = {"enrollment_id": member.enrollment_id, "block_id": text}

    await _move(hub, published.school, member.member_id, "suspend")

    assert not await _learns(published, member.person)
    assert (await member.person.post("/v1/completions", claim)).status_code in (403, 404)
    await _move(hub, published.school, member.member_id, "reactivate")
    assert await _learns(published, member.person)
    done(await member.person.post("/v1/completions", claim))


async def test_removed_member_learns_again_when_invited_anew(hub: Hub, published: Draft, member: Learner) -> None:
    await _move(hub, published.school, member.member_id, "remove")

    assert not await _learns(published, member.person)
    await join(published.school, member.person)
    await hub.settle()
    await hub.broadcasts_arrived()
    assert await _learns(published, member.person)


async def test_member_who_leaves_goes_on_but_not_out_of_a_suspension(
    hub: Hub, published: Draft, member: Learner
) -> None:
    suspended = await hub.person("suspended")
    suspended_id = await join(published.school, suspended)
    await _enrol(hub, published, suspended)

    await _move(hub, published.school, member.member_id, "leave", by=member.person)
    await _move(hub, published.school, suspended_id, "suspend")
    await _move(hub, published.school, suspended_id, "leave", by=suspended)

    assert await _learns(published, member.person)
    assert not await _learns(published, suspended)


async def test_banned_stranger_neither_learns_nor_enrols(hub: Hub, published: Draft) -> None:
    stranger, newcomer = await hub.person("stranger"), await hub.person("newcomer")
    await _enrol(hub, published, stranger)
    bans = [_ban(published.school, person) for person in (stranger, newcomer)]

    await _hear(hub, *bans)

    assert not await _learns(published, stranger)
    new = {"run_id": published.course["default_run_id"]}
    problem(await newcomer.post("/v1/enrollments", new), 403, "shut-out")
    reversals = [
        replace(ban, decision_id=DecisionId(new_id()), actions=(), reverses_id=ban.decision_id) for ban in bans
    ]
    await _hear(hub, *reversals, *bans)
    assert await _learns(published, stranger)
    done(await newcomer.post("/v1/enrollments", new), 201)
    await hub.settle()


def _ban(school: School, person: Person) -> Decided:
    return Decided(
        case_id=CaseId(new_id()),
        decision_id=DecisionId(new_id()),
        org_id=school.org_id,
        kind="course",
        thing_id=new_id(),
        user_id=person.id,
        actions=("ban",),
        in_force=(),
    )


async def _hear(hub: Hub, *heard: Decided) -> None:
    for number, each in enumerate(heard):
        await hub.old_news(each, number + 1)
    await hub.settle()
    await hub.broadcasts_arrived()


async def test_suspended_organization_teaches_nobody_until_resumed(hub: Hub, published: Draft) -> None:
    operator, stranger = await hub.person("operator"), await hub.person("stranger")
    await client(RbacCalls).grant(operator.id, "platform_admin", "platform", None, None)
    await _enrol(hub, published, stranger)
    assert await _learns(published, stranger)
    path = f"/v1/organizations/{published.school.org_id}"

    done(await operator.post(f"{path}/suspend"))
    await hub.settle()
    await hub.broadcasts_arrived()

    assert not await _learns(published, stranger)
    refused = await (await hub.person("late")).post("/v1/enrollments", {"course_id": published.id})
    assert refused.status_code in (403, 404), refused.text
    done(await operator.post(f"{path}/resume"))
    await hub.settle()
    await hub.broadcasts_arrived()
    assert await _learns(published, stranger)


async def test_enrol_rejects_who_was_removed_from_the_organization(hub: Hub, published: Draft) -> None:
    person = await hub.person("removed")
    member_id = await join(published.school, person)
    await _move(hub, published.school, member_id, "remove")

    problem(await person.post("/v1/enrollments", {"course_id": published.id}), 403, "shut-out")


async def test_news_of_members_and_organizations_may_come_in_any_order(hub: Hub) -> None:
    org_id, user_id = OrgId(new_id()), (await hub.person()).id

    async with write(PLATFORM) as tx:
        assert await store.upsert_member(tx, org_id, user_id, shut_out=True, version=2)
        assert not await store.upsert_member(tx, org_id, user_id, shut_out=False, version=1)
        assert await store.find_shut_out(tx, org_id, user_id)
        assert await store.upsert_member(tx, org_id, user_id, shut_out=False, version=3)
        assert not await store.upsert_member(tx, org_id, user_id, shut_out=False, version=4)
        assert await store.upsert_organization(tx, org_id, suspended=True, version=2)
        assert not await store.upsert_organization(tx, org_id, suspended=False, version=1)
        assert await store.find_shut_out(tx, org_id, user_id)
        assert await store.upsert_organization(tx, org_id, suspended=False, version=3)
        assert not await store.find_shut_out(tx, org_id, user_id)


async def test_snapshot_of_organization_tells_what_enrollment_projects(
    hub: Hub, published: Draft, member: Learner
) -> None:
    await _move(hub, published.school, member.member_id, "remove")
    async with write(PLATFORM) as tx:
        await tx.run("DELETE FROM enrollment.members")
        await tx.run("DELETE FROM enrollment.organizations")
        await delete_subscriptions(tx, "enrollment", None)
    assert await _learns(published, member.person)

    await resync.subscribe(("enrollment",))
    await hub.settle()

    assert not await _learns(published, member.person)


async def test_old_news_of_a_member_or_an_organization_change_nothing(
    hub: Hub, published: Draft, member: Learner
) -> None:
    await _move(hub, published.school, member.member_id, "remove")
    org_id, user_id = published.school.org_id, member.person.id
    former = MemberUpdated(member_id=MemberId(new_id()), org_id=org_id, user_id=user_id, state="active")
    await hub.settle()

    await hub.old_news(former, 1)
    removed = await _learns(published, member.person)
    await hub.old_news(OrganizationUpdated(org_id=org_id, state="suspended"), 0)

    async with read() as db:
        suspended = await db.rows("SELECT suspended FROM enrollment.organizations WHERE org_id = $1", org_id)
    assert not removed
    assert [row["suspended"] for row in suspended] == [False]
