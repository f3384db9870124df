"""What a person holds at the places of one decision: the same as among all that they hold, and read without the rest."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from api.core.rbac.contract import RbacCalls
from api.core.rbac.held_role.store import LIST_HELD_ROLES_ON
from cluster.base.ids import OrgId, UserId, new_id
from cluster.base.principal import Principal
from cluster.base.problems import NotFound
from cluster.data import read
from cluster.data.named import resolve
from cluster.data.postgres import pool
from cluster.people.access import GrantedScope, GrantSource, Guarded, permissions_of_role, permit
from cluster.people.calls import client
from tests.harness import Hub, done

INSERT_GRANTS = """
INSERT INTO rbac.grants (id, user_id, role, scope, scope_id, org_id, created_at)
SELECT gen_random_uuid(), coalesce($1, gen_random_uuid()), $2, $3, place, $4, now() FROM unnest($5::uuid[]) AS place
"""


async def insert_grants(user_id: UserId | None, role: str, scope: str, org_id: OrgId, places: list[UUID]) -> None:
    """Grant one person, or with None a person of its own each, a role at places."""
    async with pool().acquire() as raw:
        await raw.execute(INSERT_GRANTS, user_id, role, scope, org_id, places)


async def test_grants_at_answers_what_all_grants_say_of_each_kind_of_place(hub: Hub) -> None:
    ada, school = UserId(new_id()), await hub.school()
    new = {"organization_id": str(school.org_id), "name": "reader", "title": "Reader", "permissions": ["course:read"]}
    own_role = done(await school.owner.post("/v1/roles", new), 201)["id"]
    calls, source, until = client(RbacCalls), client(GrantSource), datetime.now(UTC) + timedelta(hours=1)
    unit, course, run = (new_id() for _ in range(3))
    await calls.grant(ada, "platform_admin", "platform", None, None)
    await calls.grant(ada, "org_admin", "organization", school.org_id, school.org_id)
    await calls.grant(ada, own_role, "unit", unit, school.org_id)
    await calls.grant(ada, "instructor", "course", course, school.org_id, expires_at=until)
    await calls.grant(ada, own_role, "course", course, school.org_id)
    await calls.grant(ada, own_role, "run", run, school.org_id)
    every = await source.grants_of(ada)

    def said(*places: UUID | None) -> list[GrantedScope]:
        return [grant for grant in every if grant.scope_id in places]

    assert len(every) == 6
    for place in (school.org_id, unit, course, run, new_id()):
        assert in_order(await source.grants_at(ada, [place])) == in_order(said(None, place))
    assert in_order(await source.grants_at(ada, [unit, course, run, school.org_id])) == in_order(every)
    assert await source.grants_at(ada, []) == said(None)
    assert await source.grants_at(UserId(new_id()), [course]) == []


def in_order(grants: list[GrantedScope]) -> list[GrantedScope]:
    return sorted(grants, key=lambda grant: (grant.scope, str(grant.scope_id), grant.permissions))


async def test_grants_at_leaves_out_what_lapsed_ended_or_rests(hub: Hub) -> None:
    ada, org_id = UserId(new_id()), OrgId(new_id())
    lapsed, ended, stands, suspended = (new_id() for _ in range(4))
    suspending = OrgId(new_id())
    await insert_grants(ada, "instructor", "course", org_id, [lapsed, ended, stands])
    await insert_grants(ada, "instructor", "course", suspending, [suspended])
    async with pool().acquire() as raw:
        await raw.execute("UPDATE rbac.grants SET expires_at = now() WHERE scope_id = $1", lapsed)
        await raw.execute("UPDATE rbac.grants SET ended_at = now() WHERE scope_id = $1", ended)
    await client(RbacCalls).suspend(suspending)

    found = await client(GrantSource).grants_at(ada, [lapsed, ended, stands, suspended])

    assert found == [GrantedScope("course", stands, org_id, permissions_of_role("instructor"))]


async def test_a_fresh_decision_does_not_honour_a_revoked_grant(hub: Hub) -> None:
    ada, org_id, course_id = UserId(new_id()), OrgId(new_id()), new_id()
    caller, course = Principal(kind="person", id=ada), Guarded("course", org_id=org_id, course_id=course_id)
    await insert_grants(ada, "instructor", "course", org_id, [course_id])
    assert await permit(caller, "course:edit", course) == "course"
    async with pool().acquire() as raw:
        await raw.execute("UPDATE rbac.grants SET ended_at = now() WHERE scope_id = $1", course_id)

    with pytest.raises(NotFound):
        await permit(caller, "course:edit", course, fresh=True)


async def test_a_cold_decision_is_one_statement_that_names_its_places(hub: Hub) -> None:
    ada, org_id, courses = UserId(new_id()), OrgId(new_id()), [new_id() for _ in range(3)]
    await insert_grants(ada, "instructor", "course", org_id, courses)

    with hub.statements() as counted:
        await permit(Principal(kind="person", id=ada), "course:edit", Guarded(1, org_id=org_id, course_id=courses[1]))

    assert counted.sql == [LIST_HELD_ROLES_ON]


@pytest.mark.parametrize("plan", ["force_generic_plan", "force_custom_plan"])
async def test_a_decision_reads_as_few_rows_whatever_else_is_granted(hub: Hub, plan: str) -> None:
    teacher, org_id, courses = UserId(new_id()), OrgId(new_id()), [new_id() for _ in range(1_000)]
    await insert_grants(teacher, "instructor", "course", org_id, courses)
    await insert_grants(teacher, "org_admin", "organization", org_id, [org_id])
    await insert_grants(None, "org_admin", "organization", org_id, [org_id] * 500)
    await insert_grants(None, "instructor", "course", org_id, [new_id() for _ in range(5_000)])

    async with read() as db:
        await db.raw.execute(f"ANALYZE rbac.grants; SET plan_cache_mode = {plan}")
        try:
            await db.raw.execute("PREPARE probe AS " + resolve(LIST_HELD_ROLES_ON)[0])
            arguments = f"('{teacher}', ARRAY['{org_id}', '{courses[7]}']::uuid[])"
            [row] = await db.raw.fetch("EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE probe" + arguments)
        finally:
            await db.raw.execute("RESET plan_cache_mode; DEALLOCATE probe")

    [at_places] = [node for node in nodes(json.loads(row[0])[0]["Plan"]) if node.get("Alias") == "g_1"]
    assert (at_places["Actual Rows"], at_places.get("Rows Removed by Filter", 0)) == (2, 0)
    assert "grants_of_user" in str(at_places), at_places


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)
