"""What nobody gets around: an owner stays, time-boxed rights end, and one organization learns nothing of another."""

import asyncio
from datetime import UTC, datetime, timedelta

from cluster.base.ids import UserId, new_id
from cluster.data.postgres import pool
from tests.api.core.rbac.test_grants import a_course, grant, hub_forgets, on_organization
from tests.api.core.rbac.test_roles import give, new_role
from tests.harness import Hub, Person, School, done, problem


async def join(school: School, person: Person) -> str:
    """Make somebody a member; returns the membership's id."""
    invited = done(await school.owner.post("/v1/invitations", {"organization_id": str(school.org_id)}), 201)
    return done(await person.post("/v1/invitations/-/accept", {"token": invited["token"]}))["id"]


async def until_they_wait(count: int) -> None:
    """Return once this many transactions of the database wait for a lock."""
    async with pool().acquire() as raw:
        async with asyncio.timeout(10):
            while (  # noqa: ASYNC110 (the server has no news about who waits)
                await raw.fetchval(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
                )
                < count
            ):
                await asyncio.sleep(0.02)


async def owners_of(school: School) -> set[UserId]:
    async with pool().acquire() as raw:
        rows = await raw.fetch(
            "SELECT user_id FROM rbac.grants WHERE org_id = $1 AND role = 'org_owner' AND ended_at IS NULL",
            school.org_id,
        )
    return {row["user_id"] for row in rows}


async def test_who_leaves_while_being_made_the_owner_does_not_leave_nobody(hub: Hub) -> None:
    school, ada = await hub.school(), await hub.person("ada")
    member_id = await join(school, ada)
    async with pool().acquire() as raw:
        async with raw.transaction():
            await raw.execute("SELECT FROM rbac.grants WHERE org_id = $1 FOR UPDATE", school.org_id)
            transfer = asyncio.create_task(
                school.owner.post(f"/v1/organizations/{school.org_id}/transfer", {"user_id": str(ada.id)})
            )
            await until_they_wait(1)
            leave = asyncio.create_task(ada.post(f"/v1/members/{member_id}/leave"))
            await until_they_wait(2)
        done(await transfer)
        left = await leave
    assert await owners_of(school) == {ada.id}
    problem(left, 409, "last-owner")


async def test_who_is_suspended_while_being_made_the_owner_stays_able_to_act(hub: Hub) -> None:
    school, ada = await hub.school(), await hub.person("ada")
    member_id = await join(school, ada)
    async with pool().acquire() as raw:
        async with raw.transaction():
            await raw.execute("SELECT FROM rbac.grants WHERE org_id = $1 FOR UPDATE", school.org_id)
            suspend = asyncio.create_task(school.owner.post(f"/v1/members/{member_id}/suspend"))
            await until_they_wait(1)
            transfer = asyncio.create_task(
                school.owner.post(f"/v1/organizations/{school.org_id}/transfer", {"user_id": str(ada.id)})
            )
            await until_they_wait(2)
        done(await suspend)
        problem(await transfer, 409, "successor-is-suspended")
    assert await owners_of(school) == {school.owner.id}


async def test_a_time_boxed_administrator_gives_nothing_that_outlasts_them(hub: Hub) -> None:
    school, ada, bea = await hub.school(), await hub.person("ada"), await hub.person("bea")
    end = datetime.now(UTC) + timedelta(days=7)
    await grant(school, ada, "org_admin", expires_at=end.isoformat())
    problem(await ada.post("/v1/grants", on_organization(school, ada.id, "org_admin")), 403, "beyond-own-rights")
    later = (end + timedelta(seconds=1)).isoformat()
    problem(await ada.post("/v1/grants", on_organization(school, bea.id, "org_admin", expires_at=later)), 403)
    here = {"organization_id": str(school.org_id)}
    problem(await ada.post("/v1/invitations", {**here, "roles": ["org_admin"]}), 403, "beyond-own-rights")
    done(await ada.post("/v1/grants", on_organization(school, bea.id, "org_admin", expires_at=end.isoformat())), 201)
    for_good = await hub.person("cleo")
    done(await school.owner.post("/v1/grants", on_organization(school, for_good.id, "org_admin")), 201)
    done(await for_good.post("/v1/grants", on_organization(school, bea.id, "org_admin")), 200)


async def test_a_time_boxed_administrator_does_not_widen_a_role_that_they_keep(hub: Hub) -> None:
    school, ada = await hub.school(), await hub.person("ada")
    role = done(await school.owner.post("/v1/roles", new_role(school, permissions=["role:manage", "role:read"])), 201)
    await give(school, ada, role["id"])
    await grant(school, ada, "org_admin", expires_at=(datetime.now(UTC) + timedelta(days=7)).isoformat())
    wider = {"permissions": ["role:manage", "role:read", "member:remove"]}
    refused = await ada.patch(f"/v1/roles/{role['id']}", wider, headers={"If-Match": '"1"'})
    assert problem(refused, 403, "beyond-own-rights")["permissions"] == ["member:remove"]
    done(await ada.patch(f"/v1/roles/{role['id']}", {"title": "Keeper"}, headers={"If-Match": '"1"'}))


async def test_explain_tells_nothing_of_other_organizations(hub: Hub) -> None:
    ours, theirs, ada = await hub.school(), await hub.school(), await hub.person("ada")
    course_id = await a_course(theirs, ada)
    asked = {"user_id": str(ada.id), "permission": "course:edit", "course_id": str(course_id)}
    here = {**asked, "organization_id": str(ours.org_id)}
    told = done(await ours.owner.get("/v1/roles/-/explain", params=here))
    assert (told["allowed"], told["reasons"]) == (False, [])
    there = {**asked, "organization_id": str(theirs.org_id)}
    assert done(await theirs.owner.get("/v1/roles/-/explain", params=there))["allowed"]
    assert done(await ada.get("/v1/roles/-/explain", params=asked))["allowed"], "of oneself one may know everywhere"
    problem(await ours.owner.get("/v1/roles/-/explain", params={**asked, "user_id": str(new_id())}), 403)
    await hub_forgets(ada)
