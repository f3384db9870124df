"""Whoever answers for a flag is told that it was killed, and nobody else."""

from typing import Any
from uuid import UUID

import pytest

from api.core.rbac.contract import RbacCalls
from api.platform.feature_flag.contract import FlagId
from api.platform.feature_flag.report import logic as reports
from cluster.base.ids import new_id
from cluster.base.principal import platform
from cluster.people.calls import client
from tests.api.core.organization.test_members import join
from tests.api.platform.feature_flag.conftest import change, declared
from tests.api.platform.feature_flag.test_evaluation import school
from tests.api.platform.feature_flag.test_flags import new
from tests.harness import Hub, Person, School, done, problem

__all__ = ["school"]


async def killed(school: School, key: str, **fields: Any) -> dict[str, Any]:
    flag = done(await school.owner.post("/v1/flags", new(school, key, title=key.title(), **fields)), 201)
    done(await school.owner.post(f"/v1/flags/{flag['id']}/launch"))
    return flag


async def kill(by: Person, flag: dict[str, Any]) -> None:
    done(await by.post(f"/v1/flags/{flag['id']}/kill"))


async def told(person: Person, flag: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the titles and texts that a person was told of a flag."""
    found = done(await person.get("/v1/notifications"))["items"]
    return [(each["title"], each["body"]) for each in found if each["url"] == f"/flags/{flag['id']}"]


async def member(hub: Hub, school: School, *roles: str) -> Person:
    person = await hub.person()
    await join(school, person, *roles)
    return person


@pytest.fixture(scope="module")
async def staff(hub: Hub, school: School) -> tuple[Person, Person]:
    """A member, and an administrator of the organization."""
    found = await member(hub, school), await member(hub, school, "org_admin")
    await hub.settle()
    return found


async def test_the_owner_of_a_killed_flag_is_told_in_their_language(
    hub: Hub, school: School, staff: tuple[Person, Person]
) -> None:
    answers, admin = staff
    path = "/v1/users/me"
    etag = (await answers.get(path)).headers["ETag"]
    done(await answers.patch(path, {"locale": "de"}, headers={"If-Match": etag}))
    flag = await killed(school, "owned", owner_id=str(answers.id))

    await kill(school.owner, flag)
    await hub.settle()

    assert await told(answers, flag) == [
        (
            "Abgeschaltet: Owned",
            "Das Flag owned wurde abgeschaltet. Alle bekommen, was für „aus“ vorgesehen ist, bis jemand es wieder einschaltet.",
        )
    ]
    assert await told(admin, flag) == await told(school.owner, flag) == []


async def test_without_an_owner_administrators_are_told_but_who_killed_it(
    hub: Hub, school: School, staff: tuple[Person, Person]
) -> None:
    plain, admin = staff
    flag = await killed(school, "unowned")

    await kill(school.owner, flag)
    await hub.settle()

    assert await told(admin, flag) == [
        (
            "Switched off: Unowned",
            "The flag unowned was killed. Everybody gets its off variant until it is launched again.",
        )
    ]
    assert await told(plain, flag) == await told(school.owner, flag) == []


async def test_of_the_platforms_flag_its_administrators_are_told(hub: Hub, operator: Person) -> None:
    await hub.settle()
    other = await hub.person("other")
    await client(RbacCalls).grant(other.id, "platform_admin", "platform", None, None)
    former = await hub.person("former")
    await client(RbacCalls).grant(former.id, "platform_admin", "platform", None, None)
    await hub.settle()
    await client(RbacCalls).revoke(former.id, "platform_admin", "platform", None, None)
    flag = await declared(operator, "user.sign_up")

    await kill(operator, flag)
    await hub.settle()
    heard = [await told(each, flag) for each in (other, former, operator)]
    done(await operator.post(f"/v1/flags/{flag['id']}/launch"))
    await hub.settle()

    assert [len(each) for each in heard] == [1, 0, 0]


async def test_an_owner_who_left_is_not_told_and_administrators_are(
    hub: Hub, school: School, staff: tuple[Person, Person]
) -> None:
    _, admin = staff
    leaver = await hub.person()
    membership = await join(school, leaver)
    flag = await killed(school, "left-behind", owner_id=str(leaver.id))
    done(await school.owner.post(f"/v1/members/{membership['id']}/remove"))
    await hub.settle()

    await kill(school.owner, flag)
    await hub.settle()

    assert await told(leaver, flag) == []
    assert len(await told(admin, flag)) == 1


async def test_a_report_that_is_repeated_tells_once(hub: Hub, school: School, staff: tuple[Person, Person]) -> None:
    _, admin = staff
    flag = await killed(school, "repeated")
    await kill(school.owner, flag)
    await hub.settle()

    for _ in range(2):
        await reports.report_kill(platform("feature_flag"), FlagId(UUID(flag["id"])), 3, school.owner.id)
    await hub.settle()

    assert len(await told(admin, flag)) == 1


async def test_only_somebody_of_the_place_can_answer_for_a_flag(hub: Hub, school: School, operator: Person) -> None:
    elsewhere = await hub.school()
    flag = done(await school.owner.post("/v1/flags", new(school, "answered")), 201)
    sign_up = await declared(operator, "user.sign_up")

    for wrong in (str(elsewhere.owner.id), str(new_id())):
        refused = await school.owner.post("/v1/flags", new(school, "nobodys", owner_id=wrong))
        found = problem(refused, 422, "owner-unknown")
        assert found["errors"][0]["pointer"] == "/owner_id"
        assert found["errors"][0]["detail"] == "name an active member of the organization"
    etag = (await operator.get(f"/v1/flags/{sign_up['id']}")).headers["ETag"]
    body, headers = {"owner_id": str(school.owner.id)}, {"If-Match": etag}
    problem(await operator.patch(f"/v1/flags/{sign_up['id']}", body, headers=headers), 422, "owner-unknown")
    named = await change(operator, sign_up, owner_id=str(operator.id))
    cleared = await change(operator, sign_up, owner_id=None)
    own = await change(school.owner, flag, owner_id=str(school.owner.id))

    assert (named["owner_id"], cleared["owner_id"]) == (str(operator.id), None)
    assert own["owner_id"] == str(school.owner.id)
    await hub.settle()


async def test_who_answers_for_a_flag_is_exported_and_forgotten(hub: Hub, school: School) -> None:
    person = await member(hub, school)
    flag = await killed(school, "forgotten", owner_id=str(person.id))
    await kill(school.owner, flag)
    await hub.settle()

    before = await hub.exported(person.id, "feature_flag")
    await hub.erased(person.id, "feature_flag")
    after = await hub.exported(person.id, "feature_flag")

    assert before.rows["feature_flag.flags"] == [{"owner_id": str(person.id)}]
    assert [UUID(row["flag_id"]) for row in before.rows["feature_flag.kill_reports"]] == [UUID(flag["id"])]
    assert not any(after.rows.values())
    shown = done(await school.owner.get(f"/v1/flags/{flag['id']}"))
    assert (shown["owner_id"], shown["state"]) == (None, "killed")
    await hub.settle()
