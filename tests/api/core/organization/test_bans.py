"""A moderator's ban suspends a member, a reversal lets them in again, in whatever order both are heard of."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from api.core.rbac.contract import RbacCalls
from api.core.rbac.suspension import logic as suspensions
from api.platform.moderation.contract import CaseId, Decided, DecisionId
from cluster.base.ids import OrgId, UserId, new_id
from cluster.base.principal import PLATFORM, Principal
from cluster.data import write
from cluster.people.calls import client
from tests.api.core.organization.test_members import accept, invite, join, roles_of
from tests.harness import Hub, Person, School, done, problem


@dataclass(frozen=True, slots=True)
class Banned:
    """A member with a role, and news of decisions about them."""

    hub: Hub
    school: School
    person: Person
    member_id: str

    def news(self, *actions: str, user_id: UserId | None = None, **fields: Any) -> Decided:
        return Decided(
            case_id=CaseId(new_id()),
            decision_id=DecisionId(new_id()),
            org_id=self.school.org_id,
            kind="course",
            thing_id=new_id(),
            user_id=user_id or self.person.id,
            actions=actions,  # pyright: ignore[reportArgumentType]
            in_force=(),
            **fields,
        )

    async def hear(self, *heard: Decided) -> None:
        for number, each in enumerate(heard):
            await self.hub.old_news(each, number + 1)
        await self.hub.settle()

    async def state(self, member_id: str | None = None) -> str:
        return done(await self.school.owner.get(f"/v1/members/{member_id or self.member_id}"))["state"]

    async def may_manage(self) -> bool:
        """Tell whether their role has an effect."""
        await self.hub.broadcasts_arrived()
        new = {"organization_id": str(self.school.org_id)}
        return (await self.person.post("/v1/invitations", new)).status_code == 201


def reversal(first: Decided) -> Decided:
    return replace(first, decision_id=DecisionId(new_id()), actions=(), until_at=None, reverses_id=first.decision_id)


@pytest.fixture
async def banned(hub: Hub) -> Banned:
    school, person = await hub.school(), await hub.person("author")
    member = await join(school, person, "org_admin")
    await hub.settle()
    return Banned(hub, school, person, member["id"])


async def test_a_ban_suspends_a_member_and_a_reversal_restores(banned: Banned) -> None:
    ban = banned.news("ban")
    before = (await banned.state(), await banned.may_manage())

    await banned.hear(ban)
    during = (await banned.state(), await banned.may_manage())
    await banned.hear(reversal(ban))

    assert (before, during) == (("active", True), ("suspended", False))
    assert (await banned.state(), await banned.may_manage()) == ("active", True)


async def test_a_ban_that_comes_after_its_reversal_does_nothing(banned: Banned) -> None:
    ban = banned.news("remove", "ban")

    await banned.hear(reversal(ban), ban, ban)

    assert (await banned.state(), await banned.may_manage()) == ("active", True)


async def test_one_reversal_of_two_bans_lets_nobody_in(banned: Banned) -> None:
    first, second = banned.news("ban"), banned.news("ban")
    await banned.hear(first, second)

    await banned.hear(reversal(first))
    still = (await banned.state(), await banned.may_manage())
    await banned.hear(reversal(second))

    assert still == ("suspended", False)
    assert await banned.state() == "active"


async def test_a_member_whom_staff_suspended_stays_suspended(banned: Banned) -> None:
    before, after = banned.news("ban"), banned.news("ban")
    path = f"/v1/members/{banned.member_id}"
    done(await banned.school.owner.post(f"{path}/suspend"))

    await banned.hear(before)
    await banned.hear(reversal(before))
    kept = await banned.state()
    done(await banned.school.owner.post(f"{path}/reactivate"))
    await banned.hear(after)
    done(await banned.school.owner.post(f"{path}/suspend"))
    await banned.hear(reversal(after))

    assert kept == "suspended"
    assert await banned.state() == "suspended"


async def test_staff_cannot_reactivate_who_is_banned(banned: Banned) -> None:
    await banned.hear(banned.news("ban"))

    refused = await banned.school.owner.post(f"/v1/members/{banned.member_id}/reactivate")

    assert problem(refused, 409, "member-is-banned")["until"] is None
    assert await banned.state() == "suspended"


async def test_a_ban_during_a_reactivation_keeps_out(banned: Banned, monkeypatch: pytest.MonkeyPatch) -> None:
    path, resume = f"/v1/members/{banned.member_id}", suspensions.resume
    done(await banned.school.owner.post(f"{path}/suspend"))

    async def resume_and_ban(caller: Principal, org_id: OrgId, user_id: UserId | None) -> None:
        await resume(caller, org_id, user_id)
        await banned.hear(banned.news("ban"))
        await resume(caller, org_id, user_id)

    monkeypatch.setattr(suspensions, "resume", resume_and_ban)

    refused = await banned.school.owner.post(f"{path}/reactivate")

    problem(refused, 409, "member-is-banned")
    assert (await banned.state(), await banned.may_manage()) == ("suspended", False)


async def test_a_ban_ends_at_its_time(hub: Hub, banned: Banned) -> None:
    ban = banned.news("ban", until_at=datetime.now(UTC) + timedelta(days=1))
    await banned.hear(ban)
    seen = await banned.state()
    async with write(PLATFORM) as tx:
        await tx.run("UPDATE organization.bans SET until_at = now() WHERE decision_id = $1", ban.decision_id)

    await hub.due_now(f"ban:{ban.decision_id}")
    await hub.settle()

    assert seen == "suspended"
    assert (await banned.state(), await banned.may_manage()) == ("active", True)


async def test_the_last_owner_stays_until_there_is_another(banned: Banned) -> None:
    owner, member_id = banned.school.owner, await owner_member_id(banned)

    await banned.hear(banned.news("ban", user_id=owner.id))
    stayed = await banned.state(member_id)
    await make_owner(banned)

    assert stayed == "active"
    assert done(await banned.person.get(f"/v1/members/{member_id}"))["state"] == "suspended"
    assert await client(RbacCalls).owned_alone(banned.person.id) == [banned.school.org_id]


async def make_owner(banned: Banned) -> None:
    grant = {
        "user_id": str(banned.person.id),
        "role": "org_owner",
        "scope": "organization",
        "organization_id": str(banned.school.org_id),
    }
    done(await banned.school.owner.post("/v1/grants", grant), 201)
    await banned.hub.settle()


async def owner_member_id(banned: Banned) -> str:
    owner = banned.school.owner
    wanted = {"organization_id": str(banned.school.org_id), "user_id": str(owner.id)}
    [member] = done(await owner.get("/v1/members", params=wanted))["items"]
    return member["id"]


async def test_news_of_an_owner_before_the_refusal_are_not_lost(hub: Hub, banned: Banned) -> None:
    owner, member_id = banned.school.owner, await owner_member_id(banned)
    await banned.hear(banned.news("ban", user_id=owner.id))
    async with write(PLATFORM) as tx:
        # As when the news come first: they find no ban that waits.
        await tx.run("UPDATE organization.bans SET refused = false WHERE user_id = $1", owner.id)
    await make_owner(banned)
    stayed = await banned.state(member_id)

    await hub.due_now(f"ban again:{banned.school.org_id}:{owner.id}")
    await hub.settle()

    assert stayed == "active"
    assert done(await banned.person.get(f"/v1/members/{member_id}"))["state"] == "suspended"


async def test_an_owner_who_is_back_lets_another_ban_be_done(banned: Banned) -> None:
    owner = banned.school.owner
    await make_owner(banned)
    first = banned.news("ban", user_id=owner.id)
    await banned.hear(first)
    await banned.hear(banned.news("ban"))
    [member] = done(await banned.person.get("/v1/members", params={"user_id": str(banned.person.id)}))["items"]
    stayed = member["state"]

    await banned.hear(reversal(first))

    assert stayed == "active"
    assert await banned.state() == "suspended"


async def test_a_ban_lets_grants_of_no_member_rest(hub: Hub, banned: Banned) -> None:
    guest, org_id = await hub.person("guest"), banned.school.org_id
    await client(RbacCalls).grant(guest.id, "org_admin", "organization", org_id, org_id)
    ban = banned.news("ban", user_id=guest.id)

    async def may_manage() -> bool:
        await hub.broadcasts_arrived()
        return (await guest.post("/v1/invitations", {"organization_id": str(org_id)})).status_code == 201

    before = await may_manage()
    await banned.hear(ban)
    during = await may_manage()
    await banned.hear(reversal(ban))

    assert (before, during, await may_manage()) == (True, False, True)


async def test_who_joins_after_a_ban_gets_their_grants_back(hub: Hub, banned: Banned) -> None:
    newcomer = await hub.person("newcomer")
    ban = banned.news("ban", user_id=newcomer.id, until_at=datetime.now(UTC) + timedelta(days=1))
    await banned.hear(ban)
    async with write(PLATFORM) as tx:
        # Its time is over before the job that ends it is due.
        await tx.run("UPDATE organization.bans SET until_at = now() WHERE decision_id = $1", ban.decision_id)
    done(await accept(newcomer, await invite(banned.school, roles=["org_admin"])))

    await hub.due_now(f"ban:{ban.decision_id}")
    await hub.settle()

    await hub.broadcasts_arrived()
    done(await newcomer.post("/v1/invitations", {"organization_id": str(banned.school.org_id)}), 201)


async def test_a_banned_person_cannot_join(hub: Hub, banned: Banned) -> None:
    newcomer = await hub.person("newcomer")
    await banned.hear(banned.news("ban", user_id=newcomer.id))

    refused = await accept(newcomer, await invite(banned.school, roles=["org_admin"]))

    problem(refused, 409, "member-is-banned")
    assert await roles_of(banned.school, newcomer) == []


async def test_a_ban_elsewhere_or_on_the_platform_suspends_nobody(hub: Hub, banned: Banned) -> None:
    elsewhere = await hub.school()

    await banned.hear(replace(banned.news("ban"), org_id=elsewhere.org_id), banned.news("mute"))
    await banned.hear(replace(banned.news("ban"), org_id=None, user_id=UserId(UUID(int=7))))

    assert (await banned.state(), await banned.may_manage()) == ("active", True)
