"""Invitations and memberships under attack: links of those who lost their rights, and what happens at the same moment."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest

from api.core.organization.invitation import logic, store
from api.core.organization.invitation.store import Invitation
from cluster.base.ids import UserId
from cluster.data import read
from cluster.data.postgres import pool
from cluster.people.access import GrantSource
from cluster.people.calls import client
from tests.api.core.organization.test_members import accept, invite, join
from tests.api.core.rbac.test_bounds import until_they_wait
from tests.harness import Hub, Person, School, done, problem

Verified = Callable[[str], Awaitable[Person]]


async def demote(hub: Hub, school: School, person: Person) -> None:
    wanted = {"organization_id": str(school.org_id), "user_id": str(person.id)}
    for grant in done(await school.owner.get("/v1/grants", params=wanted))["items"]:
        done(await school.owner.post(f"/v1/grants/{grant['id']}/end"))
    await hub.broadcasts_arrived()


async def test_a_link_ends_with_its_makers_right_to_invite(hub: Hub) -> None:
    school, admin, eve = await hub.school(), await hub.person("admin"), await hub.person("eve")
    member = await join(school, admin, "org_admin")
    token = await invite(school, by=admin, max_uses=1000, expires_in_days=90)
    await demote(hub, school, admin)
    problem(await accept(eve, token), 409, "invitation-over")
    problem(await hub.guest.post("/v1/invitations/-/preview", {"token": token}), 409, "invitation-over")
    suspended, bea = await hub.person("suspended"), await hub.person("bea")
    member = await join(school, suspended, "org_admin")
    token = await invite(school, by=suspended)
    done(await school.owner.post(f"/v1/members/{member['id']}/suspend"))
    await hub.broadcasts_arrived()
    problem(await accept(bea, token), 409, "invitation-over")
    done(await school.owner.post(f"/v1/members/{member['id']}/reactivate"))
    await hub.broadcasts_arrived()
    done(await accept(bea, token))


async def test_an_address_that_nobody_can_have_is_refused_in_words(hub: Hub, verified: Verified) -> None:
    school, ada = await hub.school(), await verified("ada")
    here = {"organization_id": str(school.org_id)}
    for email in ("ada@school..example", "ada@-school.example", "a..b@school.example"):
        answer = await school.owner.post("/v1/invitations", {**here, "email": email})
        if answer.status_code == 201:
            problem(await accept(ada, done(answer, 201)["token"]), 403, "address-not-verified")


async def test_who_is_removed_while_they_accept_keeps_no_role(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    school, eve = await hub.school(), await hub.person("eve")
    token = await invite(school, roles=["org_admin"])
    give = logic.grant_roles

    async def too_late(invitation: Invitation, user_id: UserId) -> None:
        wanted = {"organization_id": str(school.org_id), "user_id": str(user_id)}
        (member,) = done(await school.owner.get("/v1/members", params=wanted))["items"]
        done(await school.owner.post(f"/v1/members/{member['id']}/remove"))
        await give(invitation, user_id)

    monkeypatch.setattr(logic, "grant_roles", too_late)
    await accept(eve, token)
    assert await client(GrantSource).grants_of(eve.id) == []


async def test_a_role_given_while_they_are_removed_does_not_stay(hub: Hub) -> None:
    school, eve = await hub.school(), await hub.person("eve")
    created = done(
        await school.owner.post("/v1/invitations", {"organization_id": str(school.org_id), "roles": ["org_admin"]}), 201
    )
    member = done(await accept(eve, created["token"]))
    async with read() as db:
        invitation = await store.find_by_token(db, logic.token_sha256(created["token"]))
    assert invitation is not None
    async with pool().acquire() as raw, raw.transaction():
        await raw.execute("SELECT FROM organization.members WHERE id = $1 FOR UPDATE", UUID(member["id"]))
        remove = asyncio.create_task(school.owner.post(f"/v1/members/{member['id']}/remove"))
        await until_they_wait(1)
        # Their rights were taken; a slow twin of the acceptance gives them again before the membership ends.
        await logic.grant_roles(invitation, eve.id)
    assert done(await remove)["state"] == "left"
    assert await client(GrantSource).grants_of(eve.id) == []


async def test_who_leaves_while_being_suspended_comes_back_with_rights(hub: Hub) -> None:
    school, eve = await hub.school(), await hub.person("eve")
    member = await join(school, eve)
    async with pool().acquire() as raw, raw.transaction():
        await raw.execute("SELECT FROM organization.members WHERE id = $1 FOR UPDATE", UUID(member["id"]))
        suspend = asyncio.create_task(school.owner.post(f"/v1/members/{member['id']}/suspend"))
        await until_they_wait(1)
        await raw.execute(
            "UPDATE organization.members SET state = 'left', left_at = now(), version = version + 1 WHERE id = $1",
            UUID(member["id"]),
        )
    problem(await suspend, 409, "member-not-active")
    await join(school, eve, "org_admin")
    assert len(await client(GrantSource).grants_of(eve.id)) == 1


async def test_names_of_organizations_show_as_they_are_written(hub: Hub) -> None:
    owner = await hub.person("owner")
    for name in ("School \u202eloohcS", "\u200b\u200b", "Line\u2028break", "\u2066School"):
        refused: dict[str, Any] = problem(
            await owner.post("/v1/organizations", {"name": name, "slug": "some-school"}), 422
        )
        assert [error["pointer"] for error in refused["errors"]] == ["/name"]
