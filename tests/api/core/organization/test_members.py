"""Members and invitations: who comes in, with which roles, and how they leave."""

from collections.abc import Awaitable, Callable
from typing import Any

from cluster.base.ids import new_id
from cluster.data.postgres import pool
from tests.harness import Hub, Person, School, done, problem

Verified = Callable[[str], Awaitable[Person]]


async def invite(school: School, by: Person | None = None, **fields: Any) -> str:
    new = {"organization_id": str(school.org_id), **fields}
    return done(await (by or school.owner).post("/v1/invitations", new), 201)["token"]


async def accept(person: Person, token: str) -> Any:
    return await person.post("/v1/invitations/-/accept", {"token": token})


async def join(school: School, person: Person, *roles: str) -> dict[str, Any]:
    member = done(await accept(person, await invite(school, roles=list(roles))))
    return member


async def roles_of(school: School, person: Person) -> list[str]:
    wanted = {"organization_id": str(school.org_id), "user_id": str(person.id)}
    return sorted(grant["role"] for grant in done(await person.get("/v1/grants", params=wanted))["items"])


async def test_an_invitation_makes_a_member_with_its_roles(hub: Hub) -> None:
    school, ada = await hub.school(), await hub.person("ada")
    token = await invite(school, roles=["org_admin"])
    preview = done(await hub.guest.post("/v1/invitations/-/preview", {"token": token}))
    assert preview["organization_id"] == str(school.org_id)
    member = done(await accept(ada, token))
    assert (member["user_id"], member["state"]) == (str(ada.id), "active")
    assert await roles_of(school, ada) == ["org_admin"]
    assert done(await accept(ada, token)) == member, "accepting twice is accepting once"
    problem(await accept(await hub.person("eve"), token), 409, "invitation-over")


async def test_roles_are_given_by_the_job_when_the_process_died(hub: Hub) -> None:
    school, ada = await hub.school(), await hub.person("ada")
    member = await join(school, ada, "org_admin")
    async with pool().acquire() as raw:
        invitation = await raw.fetchval(
            "SELECT invitation_id FROM organization.invitation_uses WHERE user_id = $1", ada.id
        )
        await raw.execute("UPDATE rbac.grants SET ended_at = now() WHERE user_id = $1", ada.id)
        state = await raw.execute(
            "UPDATE hub.jobs SET state = 'queued', due_at = now() WHERE dedupe = $1", f"{invitation} {ada.id}"
        )
    assert state == "UPDATE 1", "the accepted invitation left its job"
    await hub.settle()
    assert await roles_of(school, ada) == ["org_admin"]
    assert member["state"] == "active"


async def test_the_last_use_of_a_link_goes_to_one(hub: Hub) -> None:
    school = await hub.school()
    people = [await hub.person("guest") for _ in range(4)]
    token = await invite(school, max_uses=2, roles=["org_admin"])
    answers = await hub.at_once(*(accept(person, token) for person in people))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 409, 409]
    for person, answer in zip(people, answers, strict=True):
        assert await roles_of(school, person) == (["org_admin"] if answer.status_code == 200 else [])


async def test_an_invitation_to_an_address_is_mailed_with_a_link_that_works(hub: Hub, verified: Verified) -> None:
    school, ada = await hub.school(), await verified("ada")
    new = {"organization_id": str(school.org_id), "email": ada.email}
    done(await school.owner.post("/v1/invitations", new), 201)
    withdrawn = done(await school.owner.post("/v1/invitations", new | {"email": "gone@people.example"}), 201)
    done(await school.owner.post(f"/v1/invitations/{withdrawn['id']}/revoke"))

    [letter, *_] = await hub.letters(ada.email)

    assert letter.subject == "You are invited to School"
    assert await hub.letters("gone@people.example") == []
    done(await ada.post("/v1/invitations/-/accept", {"token": letter.token}))
    async with pool().acquire() as raw:
        kept = "SELECT count(*) FROM organization.invitations WHERE org_id = $1 AND sealed IS NOT NULL"
        assert await raw.fetchval(kept, school.org_id) == 0


async def test_an_unverified_address_accepts_nothing(hub: Hub, verified: Verified) -> None:
    school, ada, eve = await hub.school(), await hub.person("ada"), await verified("eve")
    token = await invite(school, email=ada.email.upper())
    problem(await accept(eve, token), 403, "address-not-verified")
    problem(await accept(ada, token), 403, "address-not-verified")
    grace = await verified("grace")
    token = await invite(school, email=grace.email.replace("grace", "GRACE"))
    assert done(await accept(grace, token))["email"] == grace.email.replace("grace", "GRACE")


async def test_withdrawn_expired_and_unknown_links_lead_nowhere(hub: Hub) -> None:
    school, ada = await hub.school(), await hub.person("ada")
    created = done(await school.owner.post("/v1/invitations", {"organization_id": str(school.org_id)}), 201)
    done(await school.owner.post(f"/v1/invitations/{created['id']}/revoke"))
    problem(await accept(ada, created["token"]), 409, "invitation-over")
    token = await invite(school)
    async with pool().acquire() as raw:
        await raw.execute("UPDATE organization.invitations SET expires_at = now() WHERE org_id = $1", school.org_id)
    problem(await accept(ada, token), 409, "invitation-over")
    problem(await hub.guest.post("/v1/invitations/-/preview", {"token": token}), 409, "invitation-over")
    problem(await accept(ada, "nothing"), 404, "invitation-not-found")
    problem(await accept(hub.guest, token), 401)


async def test_tokens_are_told_once_and_never_stored(hub: Hub) -> None:
    school = await hub.school()
    token = await invite(school)
    listed = await school.owner.get("/v1/invitations", params={"organization_id": str(school.org_id)})
    assert len(done(listed)["items"]) == 1
    assert token not in listed.text
    async with pool().acquire() as raw:
        row = await raw.fetchrow("SELECT * FROM organization.invitations WHERE org_id = $1", school.org_id)
        outbox = await raw.fetch("SELECT envelope FROM hub.outbox")
    assert token not in str(row)
    assert token not in str([r["envelope"] for r in outbox])


async def test_nobody_invites_into_roles_beyond_their_own(hub: Hub) -> None:
    school, admin, eve = await hub.school(), await hub.person("admin"), await hub.person("eve")
    await join(school, admin, "org_admin")
    here = {"organization_id": str(school.org_id)}
    problem(await admin.post("/v1/invitations", {**here, "roles": ["org_owner"]}), 403, "beyond-own-rights")
    problem(await admin.post("/v1/invitations", {**here, "roles": ["no_such_role"]}), 422, "role-unknown")
    problem(await eve.post("/v1/invitations", here), 404)
    await join(school, eve)
    problem(await eve.post("/v1/invitations", here), 403)


async def test_an_invitation_gives_no_more_than_its_inviter_still_has(hub: Hub) -> None:
    school, admin, eve = await hub.school(), await hub.person("admin"), await hub.person("eve")
    member = await join(school, admin, "org_admin")
    token = await invite(school, by=admin, roles=["org_admin"])
    wanted = {"organization_id": str(school.org_id), "user_id": str(admin.id)}
    grant = done(await school.owner.get("/v1/grants", params=wanted))["items"][0]
    done(await school.owner.post(f"/v1/grants/{grant['id']}/end"))
    await hub.broadcasts_arrived()
    problem(await accept(eve, token), 409, "invitation-over")
    assert member["state"] == "active"


async def test_who_is_removed_has_nothing_left(hub: Hub) -> None:
    school, admin, eve = await hub.school(), await hub.person("admin"), await hub.person("eve")
    member = await join(school, admin, "org_admin")
    token = await invite(school, by=admin)
    done(await school.owner.post(f"/v1/members/{member['id']}/remove"))
    await hub.broadcasts_arrived()
    assert await roles_of(school, admin) == []
    problem(await admin.get(f"/v1/organizations/{school.org_id}"), 404)
    problem(await accept(eve, token), 409, "invitation-over")
    back = done(await accept(admin, await invite(school)))
    assert (back["id"], back["state"], back["left_at"]) == (member["id"], "active", None)
    assert await roles_of(school, admin) == []


async def test_admins_cannot_shut_owners_out(hub: Hub) -> None:
    school, admin = await hub.school(), await hub.person("admin")
    await join(school, admin, "org_admin")
    wanted = {"organization_id": str(school.org_id), "user_id": str(school.owner.id)}
    owner = done(await admin.get("/v1/members", params=wanted))["items"][0]
    for verb in ("remove", "suspend"):
        problem(await admin.post(f"/v1/members/{owner['id']}/{verb}"), 403, "beyond-own-rights")


async def test_the_last_owner_neither_leaves_nor_is_suspended(hub: Hub) -> None:
    school = await hub.school()
    own = done(await school.owner.get("/v1/members", params={"organization_id": str(school.org_id)}))["items"][0]
    for verb in ("leave", "remove", "suspend"):
        problem(await school.owner.post(f"/v1/members/{own['id']}/{verb}"), 409, "last-owner")
    assert done(await school.owner.get(f"/v1/members/{own['id']}"))["state"] == "active"


async def test_two_owners_who_remove_each_other_leave_one(hub: Hub) -> None:
    for _ in range(3):
        school, ada = await hub.school(), await hub.person("ada")
        hers = await join(school, ada, "org_owner")
        wanted = {"organization_id": str(school.org_id), "user_id": str(school.owner.id)}
        his = done(await ada.get("/v1/members", params=wanted))["items"][0]
        answers = await hub.at_once(
            ada.post(f"/v1/members/{his['id']}/remove"), school.owner.post(f"/v1/members/{hers['id']}/remove")
        )
        assert sorted(answer.status_code for answer in answers)[0] == 200, [answer.text for answer in answers]
        async with pool().acquire() as raw:
            owners = await raw.fetchval(
                "SELECT count(*) FROM rbac.grants WHERE org_id = $1 AND role = 'org_owner' AND ended_at IS NULL",
                school.org_id,
            )
        assert owners == 1


async def test_suspended_members_come_back_with_what_they_had(hub: Hub) -> None:
    school, ada = await hub.school(), await hub.person("ada")
    member = await join(school, ada, "org_admin")
    path = f"/v1/members/{member['id']}"
    assert done(await school.owner.post(f"{path}/suspend"))["state"] == "suspended"
    await hub.broadcasts_arrived()
    problem(await ada.get(f"/v1/organizations/{school.org_id}"), 404)
    problem(await ada.post("/v1/invitations", {"organization_id": str(school.org_id)}), 404)
    problem(await accept(ada, await invite(school)), 409, "member-is-suspended")
    assert done(await school.owner.post(f"{path}/reactivate"))["state"] == "active"
    await hub.broadcasts_arrived()
    done(await ada.post("/v1/invitations", {"organization_id": str(school.org_id)}), 201)


async def test_members_see_themselves_and_staff_sees_all(hub: Hub) -> None:
    school, ada, eve = await hub.school(), await hub.person("ada"), await hub.person("eve")
    hers = await join(school, ada)
    everybody = {"organization_id": str(school.org_id)}
    assert len(done(await school.owner.get("/v1/members", params=everybody))["items"]) == 2
    assert done(await ada.get("/v1/members", params=everybody))["items"] == [hers]
    assert done(await eve.get("/v1/members", params=everybody))["items"] == []
    problem(await eve.get(f"/v1/members/{hers['id']}"), 404, "member-not-found")
    problem(await hub.guest.get("/v1/members"), 401)


async def test_members_are_paged(hub: Hub) -> None:
    school = await hub.school()
    token = await invite(school, max_uses=10)
    for _ in range(4):
        done(await accept(await hub.person("pupil"), token))
    seen: list[str] = []
    params: dict[str, Any] = {"organization_id": str(school.org_id), "limit": 2}
    while True:
        page = done(await school.owner.get("/v1/members", params=params))
        seen += [member["id"] for member in page["items"]]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
    assert len(seen) == len(set(seen)) == 5
    assert seen == sorted(seen, reverse=True)
    problem(await school.owner.get("/v1/members", params={**params, "organization_id": str(new_id())}), 400)


async def test_what_is_kept_of_members_is_changed_by_version(hub: Hub) -> None:
    school, ada, grace = await hub.school(), await hub.person("ada"), await hub.person("grace")
    member, other = await join(school, ada), await join(school, grace)
    path = f"/v1/members/{member['id']}"
    answer = await school.owner.patch(path, {"external_id": "1815", "display_name": "Ada"}, headers={"If-Match": '"1"'})
    assert {key: done(answer)[key] for key in ("external_id", "display_name")} == {
        "external_id": "1815",
        "display_name": "Ada",
    }
    problem(await school.owner.patch(path, {"display_name": None}, headers={"If-Match": '"1"'}), 412)
    cleared = await school.owner.patch(path, {"display_name": None}, headers={"If-Match": '"2"'})
    assert (done(cleared)["display_name"], done(cleared)["external_id"]) == (None, "1815")
    taken = await school.owner.patch(f"/v1/members/{other['id']}", {"external_id": "1815"}, headers={"If-Match": '"1"'})
    problem(taken, 409, "external-id-taken")
    problem(await ada.patch(path, {"display_name": "Me"}, headers={"If-Match": '"3"'}), 403)


async def test_change_member_keeps_when_and_how_a_person_left(hub: Hub) -> None:
    school, eve = await hub.school(), await hub.person("eve")
    member = await join(school, eve)
    path = f"/v1/members/{member['id']}"
    left = await school.owner.post(f"{path}/remove")

    changed = done(await school.owner.patch(path, {"display_name": "E."}, headers={"If-Match": left.headers["etag"]}))

    assert changed == done(left) | {"display_name": "E."}
    told = [envelope.payload for envelope in await hub.events("member.updated")]
    assert [each["removed"] for each in told if each["member_id"] == member["id"]][-1] is True
