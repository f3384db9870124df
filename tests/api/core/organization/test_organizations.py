"""Organizations: founding, changing, suspending, handing over."""

import re

from api.core.organization import rules
from api.core.rbac.contract import RbacCalls
from cluster.base.ids import OrgId, new_id
from cluster.data.named import resolve
from cluster.data.postgres import pool
from cluster.people.access import GrantSource, MemberSource
from cluster.people.calls import client
from cluster.people.relations import forget
from tests.harness import Hub, Person, done, problem


def new_slug() -> str:
    return f"school-{new_id().hex[-12:]}"


async def platform_admin(hub: Hub) -> Person:
    admin = await hub.person("admin")
    await client(RbacCalls).grant(admin.id, "platform_admin", "platform", None, None)
    return admin


async def join(owner: Person, org_id: object, person: Person, *roles: str) -> dict[str, str]:
    invitation = done(await owner.post("/v1/invitations", {"organization_id": str(org_id), "roles": list(roles)}), 201)
    return done(await person.post("/v1/invitations/-/accept", {"token": invitation["token"]}))


async def test_founder_is_owner_and_first_member(hub: Hub) -> None:
    school = await hub.school()
    members = done(await school.owner.get("/v1/members", params={"organization_id": str(school.org_id)}))["items"]
    assert [(member["user_id"], member["state"]) for member in members] == [(str(school.owner.id), "active")]
    grants = done(await school.owner.get("/v1/grants", params={"organization_id": str(school.org_id)}))["items"]
    assert [(grant["user_id"], grant["role"]) for grant in grants] == [(str(school.owner.id), "org_owner")]


async def test_founding_tells_what_happened(hub: Hub) -> None:
    school = await hub.school()
    told = [e.type for e in await hub.events() if e.org_id == school.org_id]
    assert sorted(told) == [
        "grant.created",
        "member.joined",
        "member.updated",
        "organization.created",
        "organization.updated",
    ]


async def test_a_guest_cannot_found(hub: Hub) -> None:
    problem(await hub.guest.post("/v1/organizations", {"name": "School", "slug": new_slug()}), 401, "unauthorized")


async def test_slugs_are_checked(hub: Hub) -> None:
    ada = await hub.person("ada")
    for slug in ("", "a", "Ada", "ä-school", "-school", "school-", "two--hyphens", "under_score", "x" * 64, "admin"):
        document = problem(await ada.post("/v1/organizations", {"name": "School", "slug": slug}), 422)
        assert [error["pointer"] for error in document["errors"]] == ["/slug"], slug
    for name in ("", "   ", "line\nbreak"):
        document = problem(await ada.post("/v1/organizations", {"name": name, "slug": new_slug()}), 422)
        assert [error["pointer"] for error in document["errors"]] == ["/name"], name


async def test_a_slug_is_taken_once_even_by_twins(hub: Hub) -> None:
    ada = await hub.person("ada")
    slug = new_slug()
    new = {"name": "School", "slug": slug}
    answers = await hub.at_once(*(ada.post("/v1/organizations", new) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    assert {answer.json()["type"] for answer in answers if answer.status_code == 409} == {"/problems/slug-taken"}
    assert len(done(await ada.get("/v1/organizations"))["items"]) == 1
    assert len(done(await ada.get("/v1/grants"))["items"]) == 1, "the losers keep no grant"


async def test_grants_of_an_organization_that_never_came_are_ended(hub: Hub) -> None:
    ada = await hub.person("ada")
    lost = OrgId(new_id())
    await client(RbacCalls).grant(ada.id, "org_owner", "organization", lost, lost)
    await hub.settle()
    assert len(done(await ada.get("/v1/grants"))["items"]) == 1
    await hub.due_now(str(lost))
    await hub.settle()
    assert done(await ada.get("/v1/grants"))["items"] == []


async def test_repeating_with_a_key_gives_the_same_organization(hub: Hub) -> None:
    ada = await hub.person("ada")
    new = {"name": "School", "slug": new_slug()}
    key = {"Idempotency-Key": new_id().hex}
    first = await ada.post("/v1/organizations", new, headers=key)
    again = await ada.post("/v1/organizations", new, headers=key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert again.headers["Idempotent-Replayed"] == "true"


async def test_change_needs_the_version_that_was_read(hub: Hub) -> None:
    school = await hub.school()
    path = f"/v1/organizations/{school.org_id}"
    etag = (await school.owner.get(path)).headers["ETag"]
    problem(await school.owner.patch(path, {"name": "New"}), 428)
    changed = await school.owner.patch(path, {"name": "New"}, headers={"If-Match": etag})
    assert done(changed)["name"] == "New"
    stale = await school.owner.patch(path, {"name": "Newer"}, headers={"If-Match": etag})
    assert problem(stale, 412, "stale")["current_version"] == 2
    other = await hub.school(owner=school.owner)
    slug = done(await school.owner.get(f"/v1/organizations/{other.org_id}"))["slug"]
    taken = await school.owner.patch(path, {"slug": slug}, headers={"If-Match": changed.headers["ETag"]})
    problem(taken, 409, "slug-taken")


async def test_others_do_not_see_it_and_members_do_not_change_it(hub: Hub) -> None:
    school = await hub.school()
    path = f"/v1/organizations/{school.org_id}"
    eve = await hub.person("eve")
    problem(await eve.get(path), 404, "organization-not-found")
    problem(await eve.patch(path, {"name": "Eve's"}, headers={"If-Match": '"1"'}), 404)
    await join(school.owner, school.org_id, eve)
    assert done(await eve.get(path))["id"] == str(school.org_id)
    problem(await eve.patch(path, {"name": "Eve's"}, headers={"If-Match": '"1"'}), 403, "forbidden")
    problem(await eve.post(f"{path}/suspend"), 403)


async def test_suspension_shuts_everybody_out_until_it_ends(hub: Hub) -> None:
    school = await hub.school()
    ada = await hub.person("ada")
    await join(school.owner, school.org_id, ada)
    path = f"/v1/organizations/{school.org_id}"
    admin = await platform_admin(hub)
    assert done(await admin.post(f"{path}/suspend"))["state"] == "suspended"
    await hub.broadcasts_arrived()
    forget(ada.id)
    for person in (ada, school.owner):
        problem(await person.get(path), 403, "suspended-organization")
        assert done(await person.get("/v1/organizations"))["items"] == []
        assert await client(MemberSource).organizations_of(person.id) == []
    problem(await school.owner.patch(path, {"name": "Mine"}, headers={"If-Match": '"2"'}), 403)
    assert done(await admin.post(f"{path}/resume"))["state"] == "active"
    await hub.broadcasts_arrived()
    assert done(await ada.get(path))["state"] == "active"
    assert done(await school.owner.patch(path, {"name": "Mine"}, headers={"If-Match": '"3"'}))["name"] == "Mine"


async def test_transfer_makes_another_member_the_owner(hub: Hub) -> None:
    school = await hub.school()
    ada = await hub.person("ada")
    path = f"/v1/organizations/{school.org_id}/transfer"
    problem(await school.owner.post(path, {"user_id": str(ada.id)}), 409, "member-not-active")
    await join(school.owner, school.org_id, ada)
    done(await school.owner.post(path, {"user_id": str(ada.id)}))
    await hub.broadcasts_arrived()
    grants = done(await ada.get("/v1/grants", params={"organization_id": str(school.org_id)}))["items"]
    assert {(grant["user_id"], grant["role"]) for grant in grants} == {
        (str(ada.id), "org_owner"),
        (str(school.owner.id), "org_admin"),
    }
    problem(await school.owner.post(path, {"user_id": str(school.owner.id)}), 403)


async def test_what_permit_asks_is_one_indexed_statement(hub: Hub) -> None:
    from api.core.organization.member.store import LIST_ORGANIZATIONS_OF

    school = await hub.school()
    with hub.statements() as counted:
        assert await client(MemberSource).organizations_of(school.owner.id) == [school.org_id]
    assert counted.count == 1
    async with pool().acquire() as raw:
        transaction = raw.transaction()
        await transaction.start()
        # Enough rows that the plan does not hang on what other tests left behind.
        await raw.execute(
            "INSERT INTO organization.members (id, org_id, user_id, state, joined_at, updated_at) "
            "SELECT gen_random_uuid(), $1, gen_random_uuid(), 'active', now(), now() FROM generate_series(1, 2000)",
            school.org_id,
        )
        await raw.execute("ANALYZE organization.members")
        sql, _ = resolve(LIST_ORGANIZATIONS_OF)
        plan = "\n".join(row[0] for row in await raw.fetch("EXPLAIN " + sql, school.owner.id))
        await transaction.rollback()
    assert re.search(r"members_of_(user|person)", plan), plan
    assert "Seq Scan on members" not in plan


async def test_founding_stays_within_the_budget(hub: Hub) -> None:
    ada = await hub.person("ada")
    done(await ada.get("/v1/organizations"))
    with hub.statements() as counted:
        done(await ada.post("/v1/organizations", {"name": "School", "slug": new_slug()}), 201)
    begins = [index for index, sql in enumerate(counted.sql) if sql == "BEGIN"]
    ends = [index for index, sql in enumerate(counted.sql) if sql == "COMMIT"]
    # The grant; the organization, with two more for the limit per person.
    within = [end - begin + 1 <= most for begin, end, most in zip(begins, ends, (5, 7), strict=True)]
    assert within == [True, True], counted.sql


async def test_a_role_of_ones_own_cannot_make_an_owner(hub: Hub) -> None:
    school, eve, ada = await hub.school(), await hub.person("eve"), await hub.person("ada")
    role = {
        "organization_id": str(school.org_id),
        "name": "successor",
        "title": "Successor",
        "permissions": ["organization:transfer", "organization:read"],
    }
    role_id = done(await school.owner.post("/v1/roles", role), 201)["id"]
    await join(school.owner, school.org_id, eve, role_id)
    await join(school.owner, school.org_id, ada)
    path = f"/v1/organizations/{school.org_id}/transfer"
    problem(await eve.post(path, {"user_id": str(ada.id)}), 403, "beyond-own-rights")
    problem(await eve.post(path, {"user_id": str(eve.id)}), 409, "successor-is-owner")


async def test_a_page_of_members_comes_from_an_index(hub: Hub) -> None:
    from api.core.organization.member.store import LIST_MEMBERS

    school = await hub.school()
    org = school.org_id
    async with pool().acquire() as raw, raw.transaction():
        await raw.execute("SET LOCAL enable_seqscan = off")
        await raw.execute("SET LOCAL plan_cache_mode = force_custom_plan")
        sql = "EXPLAIN " + resolve(LIST_MEMBERS)[0]
        rows = await raw.fetch(sql, False, [org], None, org, None, None, None, None, None, 21)
    plan = "\n".join(row[0] for row in rows)
    assert "Index" in plan
    assert "Seq Scan" not in plan


async def test_create_organization_rejects_more_than_a_person_may_found_a_day(hub: Hub) -> None:
    founder = await hub.person("founder")
    new = [{"name": "School", "slug": new_slug()} for _ in range(rules.MAX_FOUNDED_PER_DAY + 3)]

    answers = await hub.at_once(*(founder.post("/v1/organizations", each) for each in new))

    refused = [answer for answer in answers if answer.status_code != 201]
    assert len(refused) == 3
    for answer in refused:
        problem(answer, 429, "too-many-foundings")
        assert answer.headers["retry-after"] == "86400"
    owned = [grant.scope_id for grant in await client(GrantSource).grants_of(founder.id)]
    assert len(owned) == rules.MAX_FOUNDED_PER_DAY
