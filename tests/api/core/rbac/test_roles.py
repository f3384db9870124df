"""Roles: the built-in ones, an organization's own, and why somebody may do something."""

from typing import Any

from cluster.base.ids import new_id
from tests.harness import Hub, Person, School, done, problem


def new_role(school: School, **fields: Any) -> dict[str, Any]:
    return {
        "organization_id": str(school.org_id),
        "name": "role_keeper",
        "title": "Role keeper",
        "permissions": ["grant:read", "role:read"],
        **fields,
    }


async def give(school: School, person: Person, role: str) -> dict[str, Any]:
    new = {
        "user_id": str(person.id),
        "role": role,
        "scope": "organization",
        "organization_id": str(school.org_id),
    }
    return done(await school.owner.post("/v1/grants", new), 201)


async def explain(asking: Person, about: Person, permission: str, school: School) -> Any:
    params = {"user_id": str(about.id), "permission": permission, "organization_id": str(school.org_id)}
    return await asking.get("/v1/roles/-/explain", params=params)


async def test_roles_are_listed_built_in_and_own(hub: Hub) -> None:
    school, eve = await hub.school(), await hub.person("eve")
    own = done(await school.owner.post("/v1/roles", new_role(school)), 201)
    roles = await school.owner.all("/v1/roles", organization_id=str(school.org_id), limit=3)
    names = [role["name"] for role in roles]
    assert names == sorted(set(names))
    assert {"org_owner", "org_admin", "instructor", own["name"]} <= set(names)
    assert own["name"] not in [
        role["name"] for role in done(await eve.get("/v1/roles", params={"limit": 100}))["items"]
    ]
    problem(await eve.get("/v1/roles", params={"organization_id": str(school.org_id)}), 404)
    problem(await hub.guest.get("/v1/roles"), 401)


async def test_an_own_role_gives_its_permissions_and_changes_with_them(hub: Hub) -> None:
    school, ada = await hub.school(), await hub.person("ada")
    created = await school.owner.post("/v1/roles", new_role(school))
    role, path = done(created, 201), f"/v1/roles/{done(created, 201)['id']}"
    held = await give(school, ada, role["id"])
    assert (held["role"], held["role_id"]) == ("role_keeper", role["id"])
    await hub.broadcasts_arrived()
    everybody = {"organization_id": str(school.org_id)}
    assert len(done(await ada.get("/v1/grants", params=everybody))["items"]) == 2
    changed = await school.owner.patch(
        path, {"permissions": ["role:read"]}, headers={"If-Match": created.headers["ETag"]}
    )
    assert done(changed)["permissions"] == ["role:read"]
    await hub.broadcasts_arrived()
    assert len(done(await ada.get("/v1/grants", params=everybody))["items"]) == 1, "only one's own grant"
    problem(await school.owner.patch(path, {"title": "X"}, headers={"If-Match": created.headers["ETag"]}), 412)
    problem(await school.owner.patch(path, {"title": "X"}), 428)


async def test_a_role_in_use_stays(hub: Hub) -> None:
    school, ada = await hub.school(), await hub.person("ada")
    role = done(await school.owner.post("/v1/roles", new_role(school)), 201)
    held = await give(school, ada, role["id"])
    path, version = f"/v1/roles/{role['id']}", {"If-Match": '"1"'}
    problem(await school.owner.delete(path, headers=version), 409, "role-in-use")
    done(await school.owner.post(f"/v1/grants/{held['id']}/end"))
    assert (await school.owner.delete(path, headers=version)).status_code == 204
    problem(await school.owner.get(path), 404, "role-not-found")
    done(await school.owner.post("/v1/roles", new_role(school)), 201)


async def test_granting_and_deleting_at_once_leave_no_grant_of_a_deleted_role(hub: Hub) -> None:
    for _ in range(3):
        school, ada = await hub.school(), await hub.person("ada")
        role = done(await school.owner.post("/v1/roles", new_role(school)), 201)
        new = {
            "user_id": str(ada.id),
            "role": role["id"],
            "scope": "organization",
            "organization_id": str(school.org_id),
        }
        granted, deleted = await hub.at_once(
            school.owner.post("/v1/grants", new),
            school.owner.delete(f"/v1/roles/{role['id']}", headers={"If-Match": '"1"'}),
        )
        assert (granted.status_code, deleted.status_code) in ((201, 409), (422, 204)), granted.text


async def test_a_role_holds_no_more_than_its_maker(hub: Hub) -> None:
    school, admin = await hub.school(), await hub.person("admin")
    await give(school, admin, "org_admin")
    await hub.broadcasts_arrived()
    beyond = new_role(school, permissions=["organization:transfer"])
    problem(await admin.post("/v1/roles", beyond), 403, "beyond-own-rights")
    role = done(await school.owner.post("/v1/roles", new_role(school, permissions=["organization:transfer"])), 201)
    path, version = f"/v1/roles/{role['id']}", {"If-Match": '"1"'}
    problem(await admin.patch(path, {"permissions": ["role:read"]}, headers=version), 403, "beyond-own-rights")
    problem(await admin.delete(path, headers=version), 403, "beyond-own-rights")
    unknown = problem(
        await school.owner.post("/v1/roles", new_role(school, permissions=["role:read", "nothing:do"])), 422
    )
    assert [error["pointer"] for error in unknown["errors"]] == ["/permissions/1"]
    problem(await school.owner.post("/v1/roles", new_role(school, permissions=["organization:suspend"])), 403)


async def test_names_of_roles_are_taken_once(hub: Hub) -> None:
    school = await hub.school()
    answers = await hub.at_once(*(school.owner.post("/v1/roles", new_role(school)) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409]
    for name in ("org_owner", "member", "instructor"):
        problem(await school.owner.post("/v1/roles", new_role(school, name=name)), 409, "role-name-taken")
    other = await hub.school()
    done(await other.owner.post("/v1/roles", new_role(other)), 201)


async def test_another_organizations_role_is_unknown(hub: Hub) -> None:
    school, other, ada = await hub.school(), await hub.school(), await hub.person("ada")
    role = done(await other.owner.post("/v1/roles", new_role(other)), 201)
    new = {
        "user_id": str(ada.id),
        "role": role["id"],
        "scope": "organization",
        "organization_id": str(school.org_id),
    }
    problem(await school.owner.post("/v1/grants", new), 422, "role-unknown")
    problem(await school.owner.get(f"/v1/roles/{role['id']}"), 404)


async def test_explain_says_why(hub: Hub) -> None:
    school, ada, eve = await hub.school(), await hub.person("ada"), await hub.person("eve")
    before = done(await explain(school.owner, ada, "organization:edit", school))
    assert (before["allowed"], before["reasons"]) == (False, [])
    assert before["roles"] == ["org_admin", "org_owner"]
    await give(school, ada, "org_admin")
    after = done(await explain(ada, ada, "organization:edit", school))
    assert after["allowed"] is True
    assert after["reasons"] == [
        {"kind": "grant", "role": "org_admin", "scope": "organization", "scope_id": str(school.org_id)}
    ]
    member = done(await explain(school.owner, school.owner, "organization:read", school))
    assert {reason["role"] for reason in member["reasons"]} == {"member", "org_owner"}
    problem(await explain(eve, ada, "organization:edit", school), 404)
    problem(await explain(ada, ada, f"no:{new_id().hex}", school), 422, "permission-unknown")
