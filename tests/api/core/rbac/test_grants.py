"""Grants: who may give which role where, and that nobody gets more than they should."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from api.core.rbac.contract import RbacCalls
from api.core.rbac.grant.logic import end_expired
from api.core.rbac.grant.store import LOCK_OWNERS
from api.core.rbac.held_role.store import LIST_HELD_ROLES
from cluster.base.ids import OrgId, UserId, new_id
from cluster.base.principal import platform
from cluster.base.registry import offers, offers_by_service
from cluster.data.named import resolve
from cluster.data.postgres import pool
from cluster.people import relations
from cluster.people.access import GrantSource, Permission, Role, permissions_of_role
from cluster.people.calls import client
from tests.harness import Hub, Person, School, done, problem


def on_organization(school: School, user_id: UserId, role: str, **more: Any) -> dict[str, Any]:
    return {
        "user_id": str(user_id),
        "role": role,
        "scope": "organization",
        "organization_id": str(school.org_id),
        **more,
    }


async def grant(school: School, person: Person, role: str, **more: Any) -> dict[str, Any]:
    made = done(await school.owner.post("/v1/grants", on_organization(school, person.id, role, **more)), 201)
    await hub_forgets(person)
    return made


async def hub_forgets(person: Person) -> None:
    relations.forget(person.id)


async def a_course(school: School, author: Person) -> UUID:
    """Make a place the way course makes one known."""
    course_id = new_id()
    await client(RbacCalls).grant(author.id, "instructor", "course", course_id, school.org_id)
    return course_id


def test_owners_hold_what_every_role_below_them_holds() -> None:
    """Else an owner could not give it: a permission for such a role must name org_owner too."""
    owner = set(permissions_of_role("org_owner"))
    lacking = {
        role.name: sorted(set(permissions_of_role(role.name)) - owner)
        for role in offers(Role)
        if role.scope != "platform"
    }
    assert {name: missing for name, missing in lacking.items() if missing} == {}


def test_every_role_that_a_permission_names_exists() -> None:
    known = {role.name for role in offers(Role)} | {"anyone", "signed_in", "self", "member", "learner"}
    unknown = {
        (service, permission.name): sorted(set(permission.roles) - known)
        for service, permission in offers_by_service(Permission)
    }
    assert {where: names for where, names in unknown.items() if names} == {}


async def test_a_grant_counts_at_once_and_is_told(hub: Hub) -> None:
    school, ada = await hub.school(), await hub.person("ada")
    path = f"/v1/organizations/{school.org_id}"
    problem(await ada.get(path), 404)
    made = await grant(school, ada, "org_admin")
    await hub.broadcasts_arrived()
    done(await ada.get(path))
    assert (made["user_id"], made["granted_by"]) == (str(ada.id), str(school.owner.id))
    told = [e for e in await hub.events("grant.created") if e.subject == made["id"]]
    assert [(e.actor.id, e.org_id, e.version) for e in told] == [(school.owner.id, school.org_id, 1)]
    ended = done(await school.owner.post(f"/v1/grants/{made['id']}/end"))
    assert ended["ended_at"]
    await hub.broadcasts_arrived()
    problem(await ada.get(path), 404)


async def test_granting_twice_is_granting_once(hub: Hub) -> None:
    school, ada = await hub.school(), await hub.person("ada")
    new = on_organization(school, ada.id, "org_admin")
    answers = await hub.at_once(*(school.owner.post("/v1/grants", new) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 201]
    assert len({answer.json()["id"] for answer in answers}) == 1


async def test_nobody_gives_what_they_do_not_hold(hub: Hub) -> None:
    school, admin, eve = await hub.school(), await hub.person("admin"), await hub.person("eve")
    await grant(school, admin, "org_admin")
    await hub.broadcasts_arrived()
    for receiver in (admin, eve):
        refused = await admin.post("/v1/grants", on_organization(school, receiver.id, "org_owner"))
        assert "organization:transfer" in problem(refused, 403, "beyond-own-rights")["permissions"]
    done(await admin.post("/v1/grants", on_organization(school, eve.id, "org_admin")), 201)
    problem(await eve.post("/v1/grants", on_organization(school, eve.id, "org_owner")), 403)


async def test_admins_do_not_end_owners(hub: Hub) -> None:
    school, admin = await hub.school(), await hub.person("admin")
    await grant(school, admin, "org_admin")
    await hub.broadcasts_arrived()
    wanted = {"organization_id": str(school.org_id), "user_id": str(school.owner.id)}
    owned = done(await admin.get("/v1/grants", params=wanted))["items"][0]
    problem(await admin.post(f"/v1/grants/{owned['id']}/end"), 403, "beyond-own-rights")


async def test_strangers_neither_see_nor_give(hub: Hub) -> None:
    school, eve = await hub.school(), await hub.person("eve")
    problem(await eve.post("/v1/grants", on_organization(school, eve.id, "org_admin")), 404)
    wanted = {"organization_id": str(school.org_id)}
    assert done(await eve.get("/v1/grants", params=wanted))["items"] == []
    owned = done(await school.owner.get("/v1/grants", params=wanted))["items"][0]
    problem(await eve.get(f"/v1/grants/{owned['id']}"), 404, "grant-not-found")
    problem(await eve.post(f"/v1/grants/{owned['id']}/end"), 404, "grant-not-found")
    problem(await hub.guest.get("/v1/grants"), 401)


async def test_another_organizations_course_is_no_place_of_ours(hub: Hub) -> None:
    ours, theirs, eve = await hub.school(), await hub.school(), await hub.person("eve")
    course_id = await a_course(theirs, theirs.owner)
    new = {"user_id": str(eve.id), "role": "instructor", "scope": "course", "scope_id": str(course_id)}
    refused = await ours.owner.post("/v1/grants", {**new, "organization_id": str(ours.org_id)})
    assert problem(refused, 422, "place-unknown")["errors"][0]["pointer"] == "/scope_id"
    problem(await ours.owner.post("/v1/grants", {**new, "organization_id": str(theirs.org_id)}), 404)
    done(await theirs.owner.post("/v1/grants", {**new, "organization_id": str(theirs.org_id)}), 201)


async def test_roles_fit_their_places(hub: Hub) -> None:
    school, ada = await hub.school(), await hub.person("ada")
    course_id = await a_course(school, school.owner)
    on_course = {"user_id": str(ada.id), "scope": "course", "scope_id": str(course_id)}
    here = {"organization_id": str(school.org_id)}
    problem(await school.owner.post("/v1/grants", {**on_course, **here, "role": "org_admin"}), 422, "role-does-not-fit")
    done(await school.owner.post("/v1/grants", on_organization(school, ada.id, "instructor")), 201)
    problem(await school.owner.post("/v1/grants", on_organization(school, ada.id, "nobody")), 422, "role-unknown")
    problem(await school.owner.post("/v1/grants", on_organization(school, ada.id, "platform_admin")), 422)
    platform_wide = {"user_id": str(ada.id), "role": "platform_admin", "scope": "platform"}
    problem(await school.owner.post("/v1/grants", platform_wide), 403, "forbidden")
    past = {"expires_at": "2020-01-01T00:00:00Z"}
    for fault in (past, {"scope": "course"}, {"organization_id": None}, {"scope": "unit"}, {"scope_id": str(new_id())}):
        problem(await school.owner.post("/v1/grants", on_organization(school, ada.id, "org_admin", **fault)), 422)


async def test_two_owners_who_end_each_other_leave_one(hub: Hub) -> None:
    for _ in range(3):
        school, ada = await hub.school(), await hub.person("ada")
        hers = await grant(school, ada, "org_owner")
        await hub.broadcasts_arrived()
        wanted = {"organization_id": str(school.org_id), "user_id": str(school.owner.id)}
        his = done(await ada.get("/v1/grants", params=wanted))["items"][0]
        answers = await hub.at_once(
            ada.post(f"/v1/grants/{his['id']}/end"), school.owner.post(f"/v1/grants/{hers['id']}/end")
        )
        # Who comes later is refused, because they are the last owner or are none any more.
        assert sorted(answer.status_code for answer in answers)[0] == 200, [answer.text for answer in answers]
        async with pool().acquire() as raw:
            owners = await raw.fetchval(
                "SELECT count(*) FROM rbac.grants WHERE org_id = $1 AND role = 'org_owner' AND ended_at IS NULL",
                school.org_id,
            )
        assert owners == 1


async def test_the_last_owner_stays_even_by_their_own_wish(hub: Hub) -> None:
    school = await hub.school()
    owned = done(await school.owner.get("/v1/grants"))["items"][0]
    problem(await school.owner.post(f"/v1/grants/{owned['id']}/end"), 409, "last-owner")


async def test_time_boxed_grants_end_by_themselves(hub: Hub) -> None:
    school, ada = await hub.school(), await hub.person("ada")
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    made = await grant(school, ada, "org_admin", expires_at=soon)
    assert len(await client(GrantSource).grants_of(ada.id)) == 1
    async with pool().acquire() as raw:
        await raw.execute("UPDATE rbac.grants SET expires_at = now() WHERE id = $1", UUID(made["id"]))
    assert await client(GrantSource).grants_of(ada.id) == [], "before anything swept"
    while await end_expired(platform("rbac")):
        pass
    told = [e for e in await hub.events("grant.ended") if e.subject == made["id"]]
    assert [e.payload["reason"] for e in told] == ["expired"]
    problem(await school.owner.post("/v1/grants", on_organization(school, ada.id, "org_owner", expires_at=soon)), 422)


async def test_granting_again_moves_the_end(hub: Hub) -> None:
    school, ada = await hub.school(), await hub.person("ada")
    made = await grant(school, ada, "org_admin", expires_at=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
    again = done(await school.owner.post("/v1/grants", on_organization(school, ada.id, "org_admin")), 200)
    assert (again["id"], again["expires_at"]) == (made["id"], None)
    told = [e for e in await hub.events("grant.created", "grant.extended") if e.subject == made["id"]]
    assert [(e.type, e.version) for e in told] == [("grant.created", 1), ("grant.extended", 2)]


async def test_administrators_of_the_platform_help_organizations_out(hub: Hub) -> None:
    school, admin, ada = await hub.school(), await hub.person("admin"), await hub.person("ada")
    await client(RbacCalls).grant(admin.id, "platform_admin", "platform", None, None)
    done(await admin.post("/v1/grants", on_organization(school, ada.id, "org_owner")), 201)


async def test_grants_are_paged(hub: Hub) -> None:
    school = await hub.school()
    for _ in range(4):
        await grant(school, await hub.person("staff"), "org_admin")
    grants = await school.owner.all("/v1/grants", organization_id=str(school.org_id), limit=2)
    seen = [each["id"] for each in grants]
    assert len(set(seen)) == len(seen) == 5


async def test_what_permit_asks_is_one_indexed_statement(hub: Hub) -> None:
    school = await hub.school()
    with hub.statements() as counted:
        assert [held.scope_id for held in await client(GrantSource).grants_of(school.owner.id)] == [school.org_id]
    assert counted.count == 1
    async with pool().acquire() as raw, raw.transaction():
        await raw.execute("SET LOCAL enable_seqscan = off")
        held = "\n".join(row[0] for row in await raw.fetch("EXPLAIN " + resolve(LIST_HELD_ROLES)[0], school.owner.id))
        owners = "\n".join(row[0] for row in await raw.fetch("EXPLAIN " + resolve(LOCK_OWNERS)[0], school.org_id))
    assert "grants_of_user" in held
    assert "Seq Scan" not in held
    assert "grants_owners" in owners


async def test_granting_stays_within_the_budget(hub: Hub) -> None:
    school, ada = await hub.school(), await hub.person("ada")
    with hub.statements() as counted:
        done(await school.owner.post("/v1/grants", on_organization(school, ada.id, "org_admin")), 201)
    written = counted.sql[counted.sql.index("BEGIN") :]
    assert len(written) <= 5, written


async def test_calls_may_be_repeated(hub: Hub) -> None:
    ada, org_id = await hub.person("ada"), OrgId(new_id())
    calls, course_id = client(RbacCalls), new_id()
    first = await calls.grant(ada.id, "instructor", "course", course_id, org_id)
    assert await calls.grant(ada.id, "instructor", "course", course_id, org_id) == first
    assert await calls.revoke(ada.id, "instructor", "course", course_id, org_id) is True
    assert await calls.revoke(ada.id, "instructor", "course", course_id, org_id) is False
    await calls.grant(ada.id, "instructor", "course", course_id, org_id)
    assert await calls.revoke_all(ada.id, org_id) == 1
    assert await calls.revoke_all(ada.id, org_id) == 0
