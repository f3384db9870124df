"""Profiles: reading and changing one's own, and what others see."""

from uuid import UUID

from api.core.rbac.contract import RbacCalls
from cluster.base.ids import new_id
from cluster.data import Connection
from cluster.data.postgres import pool
from cluster.people.calls import client
from tests.harness import Hub, done, problem


async def test_a_profile_is_changed_by_its_version(hub: Hub) -> None:
    ada = await hub.person("ada")
    first = await ada.get("/v1/users/me")
    problem(await ada.patch("/v1/users/me", {"name": "Ada L."}), 428, "precondition-required")
    patch = {
        "name": " Ada L. ",
        "locale": "de",
        "time_zone": "Europe/London",
        "pronouns": "she/her",
        "accessibility": {"captions": True, "text_scale": 1.5},
    }
    changed = await ada.patch("/v1/users/me", patch, headers={"If-Match": first.headers["ETag"]})
    assert done(changed)["name"] == "Ada L."
    assert changed.json()["accessibility"]["text_scale"] == 1.5
    assert done(await ada.get(f"/v1/users/{ada.id}")) == changed.json()
    problem(await ada.patch("/v1/users/me", patch, headers={"If-Match": first.headers["ETag"]}), 412, "stale")
    cleared = await ada.patch(
        "/v1/users/me",
        {"pronouns": None, "accessibility": {"captions": None}},
        headers={"If-Match": changed.headers["ETag"], "Content-Type": "application/merge-patch+json"},
    )
    assert done(cleared)["pronouns"] is None
    assert (cleared.json()["accessibility"]["captions"], cleared.json()["accessibility"]["text_scale"]) == (None, 1.5)


async def test_each_fault_of_a_change_names_its_field(hub: Hub) -> None:
    ada = await hub.person("ada")
    for fault, pointer in (
        ({"name": ""}, "/name"),
        ({"name": None}, "/name"),
        ({"time_zone": "Mars/Olympus"}, "/time_zone"),
        ({"locale": "x"}, "/locale"),
        ({"pronouns": "a\nb"}, "/pronouns"),
        ({"accessibility": {"text_scale": 9}}, "/accessibility/text_scale"),
        ({"email": "new@people.example"}, "/email"),
    ):
        document = problem(await ada.patch("/v1/users/me", fault, headers={"If-Match": '"1"'}), 422)
        assert [error["pointer"] for error in document["errors"]] == [pointer], fault


async def test_others_do_not_know_who_is_there(hub: Hub) -> None:
    ada, eve = await hub.person("ada"), await hub.person("eve")
    there = await eve.get(f"/v1/users/{ada.id}")
    nowhere = await eve.get(f"/v1/users/{new_id()}")
    documents = [problem(answer, 404, "user-not-found") for answer in (there, nowhere)]
    for document in documents:
        document.pop("trace_id")
    assert documents[0] == documents[1]
    problem(await eve.patch(f"/v1/users/{ada.id}", {"name": "Eve"}, headers={"If-Match": '"1"'}), 404)
    assert done(await eve.get("/v1/users"))["items"] == []
    problem(await hub.guest.get("/v1/users/me"), 401)
    problem(await hub.guest.get("/v1/users"), 401)


async def test_administrators_of_the_platform_find_people(hub: Hub) -> None:
    ada, admin = await hub.person("ada"), await hub.person("admin")
    await client(RbacCalls).grant(admin.id, "platform_admin", "platform", None, None)
    assert done(await admin.get(f"/v1/users/{ada.id}"))["email"] == ada.email
    found = done(await admin.get("/v1/users", params={"email": ada.email.upper()}))["items"]
    assert [user["id"] for user in found] == [str(ada.id)]
    page = done(await admin.get("/v1/users", params={"limit": 1}))
    assert page["next_cursor"]
    problem(await admin.patch(f"/v1/users/{ada.id}", {"name": "X"}, headers={"If-Match": '"1"'}), 403)


async def test_events_carry_no_names_and_addresses(hub: Hub) -> None:
    ada = await hub.person("ada")
    done(await ada.patch("/v1/users/me", {"name": "Countess"}, headers={"If-Match": '"1"'}))
    told = [e for e in await hub.events("user.created", "user.updated") if e.subject == str(ada.id)]
    assert [(e.type, e.version, e.payload) for e in told] == [
        ("user.created", 1, {"user_id": str(ada.id), "org_id": None}),
        ("user.updated", 2, {"user_id": str(ada.id), "org_id": None}),
    ]
    assert told[1].actor.id == ada.id


async def test_reading_and_changing_stay_within_their_budgets(hub: Hub) -> None:
    ada = await hub.person("ada")
    with hub.statements() as counted:
        done(await ada.get("/v1/users/me"))
    assert counted.count == 1, counted.sql
    with hub.statements() as counted:
        done(await ada.patch("/v1/users/me", {"name": "Ada"}, headers={"If-Match": '"1"'}))
    written = counted.sql[counted.sql.index("BEGIN") :]
    assert len(written) <= 5, written


async def test_the_profile_is_found_by_its_key(hub: Hub) -> None:
    from api.core.user.store import FIND_USER

    async with pool().acquire() as raw, raw.transaction():
        await raw.execute("SET LOCAL enable_seqscan = off")
        plan = "\n".join(row[0] for row in await Connection(raw).rows("EXPLAIN " + FIND_USER, user_id=UUID(int=1)))
    assert "users_pkey" in plan
