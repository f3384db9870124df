import asyncio
from typing import Any

import pytest

from api.core.rbac.contract import GrantId
from api.core.rbac.grant import logic as rbac
from api.core.rbac.grant.store import NewGrant
from cluster.base.ids import new_id
from cluster.base.principal import Principal
from cluster.people.access import GrantSource, permissions_of_role
from cluster.people.calls import client
from tests.api.learning.course.conftest import Draft, new_course
from tests.harness import Hub, Person, School, done, problem


async def _courses_granted(person: Person) -> list[str]:
    granted = await client(GrantSource).grants_of(person.id)
    return [str(each.scope_id) for each in granted if each.scope == "course"]


async def test_an_instructor_may_edit_an_assistant_may_only_look(hub: Hub, draft: Draft) -> None:
    teacher = await hub.person("teacher")
    staff = f"{draft.path}/staff/{teacher.id}"
    problem(await teacher.get(draft.path), 404)
    listed = done(await draft.owner.put(staff, {"role": "assistant"}))["items"]
    assert (str(teacher.id), "assistant") in {(member["user_id"], member["role"]) for member in listed}
    etag = {"If-Match": (await teacher.get(draft.path)).headers["etag"]}
    problem(await teacher.patch(draft.path, {"title": "No"}, headers=etag), 403)
    done(await draft.owner.put(staff, {"role": "instructor"}))
    etag = {"If-Match": (await teacher.get(draft.path)).headers["etag"]}
    done(await teacher.patch(draft.path, {"title": "Yes"}, headers=etag))


async def test_who_is_dismissed_sees_nothing_any_more(hub: Hub, draft: Draft) -> None:
    teacher = await hub.person("teacher")
    staff = f"{draft.path}/staff/{teacher.id}"
    done(await draft.owner.put(staff, {"role": "instructor"}))
    done(await teacher.get(draft.path))
    done(await draft.owner.delete(staff), 204)
    done(await draft.owner.delete(staff), 204)
    await hub.settle()
    await hub.broadcasts_arrived()
    problem(await teacher.get(draft.path), 404)


async def test_a_learner_cannot_appoint_themselves(hub: Hub, published: Draft) -> None:
    learner = await hub.person("learner")
    problem(await learner.put(f"{published.path}/staff/{learner.id}", {"role": "instructor"}), 403)


async def test_a_change_of_staff_leaves_an_authors_version_as_it_is(hub: Hub, draft: Draft) -> None:
    read = await draft.owner.get(draft.path)
    teacher = await hub.person("teacher")
    done(await draft.owner.put(f"{draft.path}/staff/{teacher.id}", {"role": "instructor"}))
    done(await draft.owner.delete(f"{draft.path}/staff/{teacher.id}"), 204)
    assert (await draft.owner.get(draft.path)).headers["etag"] == read.headers["etag"]
    changed = await draft.owner.patch(draft.path, {"title": "Mine"}, headers={"If-Match": read.headers["etag"]})
    assert done(changed)["title"] == "Mine"
    stale = await draft.owner.patch(draft.path, {"title": "Late"}, headers={"If-Match": read.headers["etag"]})
    assert problem(stale, 412)["current_version"] == int(changed.headers["etag"].strip('"'))
    versions = [each.version for each in await hub.events() if each.subject == draft.id]
    assert len(versions) == 3
    assert versions == sorted(set(versions)), "every event has a version of its own"
    await hub.settle()


async def test_only_somebody_can_be_appointed(hub: Hub, draft: Draft) -> None:
    nobody = f"{draft.path}/staff/{new_id()}"
    problem(await draft.owner.put(nobody, {"role": "assistant"}), 404, "user-not-found")
    assert len(done(await draft.owner.get(f"{draft.path}/staff"))["items"]) == 1
    done(await draft.owner.delete(nobody), 204)


async def test_a_refused_course_leaves_nobody_a_right(hub: Hub, school: School) -> None:
    taken = await new_course(school, slug="taken")
    assert await _courses_granted(school.owner) == [taken["id"]]
    body = {"organization_id": str(school.org_id), "title": "Again", "slug": "taken"}
    problem(await school.owner.post("/v1/courses", body), 409, "slug-taken")
    assert await _courses_granted(school.owner) == [taken["id"]]


async def test_concurrent_creates_with_one_key_leave_no_grant_without_a_course(
    hub: Hub, school: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = {"Idempotency-Key": new_id().hex}
    body = {"organization_id": str(school.org_id), "title": "Twice"}
    answers: list[Any] = []
    grant = rbac.grant

    async def grant_slowly(actor: Principal, new: NewGrant, **more: Any) -> GrantId:
        """Let the twin come between the grant and the course."""
        monkeypatch.setattr(rbac, "grant", grant)
        answers.append(await asyncio.create_task(school.owner.post("/v1/courses", body, headers=headers)))
        return await grant(actor, new, **more)

    monkeypatch.setattr(rbac, "grant", grant_slowly)
    answers.append(await school.owner.post("/v1/courses", body, headers=headers))
    first, second = (done(answer, 201) for answer in answers)
    assert first["id"] == second["id"]
    assert await _courses_granted(school.owner) == [first["id"]]


async def test_nobody_appoints_beyond_what_they_may_do_themselves(hub: Hub, draft: Draft) -> None:
    school, clerk = draft.school, await hub.person("clerk")
    role = {
        "organization_id": str(school.org_id),
        "name": "clerk",
        "title": "Clerk",
        "permissions": ["course:read", "course:staff"],
    }
    role_id = done(await school.owner.post("/v1/roles", role), 201)["id"]
    grant = {"user_id": str(clerk.id), "role": role_id, "scope": "organization", "organization_id": str(school.org_id)}
    done(await school.owner.post("/v1/grants", grant), 201)
    await hub.broadcasts_arrived()
    problem(await clerk.put(f"{draft.path}/staff/{clerk.id}", {"role": "instructor"}), 403, "forbidden")
    problem(await clerk.post(f"{draft.path}/publish"), 403)
    done(await school.owner.put(f"{draft.path}/staff/{clerk.id}", {"role": "instructor"}))
    await hub.settle()


async def test_roles_that_are_changed_at_once_end_as_they_are_listed(
    hub: Hub, draft: Draft, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = await hub.person("teacher")
    staff = f"{draft.path}/staff/{teacher.id}"
    revoke = rbac.revoke

    async def revoke_late(*args: Any) -> bool:
        """Let another change begin and end before this one takes the old role away."""
        monkeypatch.setattr(rbac, "revoke", revoke)
        done(await asyncio.create_task(draft.owner.put(staff, {"role": "assistant"})))
        return await revoke(*args)

    monkeypatch.setattr(rbac, "revoke", revoke_late)
    listed = done(await draft.owner.put(staff, {"role": "instructor"}))["items"]
    [role] = [member["role"] for member in listed if member["user_id"] == str(teacher.id)]
    granted = await client(GrantSource).grants_of(teacher.id)
    assert [each.permissions for each in granted] == [permissions_of_role(role)]
    await hub.settle()
