"""Rights that end: whoever teaches for half an hour makes nobody, and not themselves, a teacher for longer."""

from datetime import UTC, datetime, timedelta

from cluster.base.ids import UserId
from cluster.data.postgres import pool
from cluster.people.access import GrantSource, permissions_of_role
from cluster.people.calls import client
from tests.api.learning.course.conftest import Draft, draft, school
from tests.harness import Hub, Person, School, done, problem

__all__ = ["draft", "school"]


def _soon(minutes: int = 30) -> datetime:
    return datetime.now(UTC) + timedelta(minutes=minutes)


async def _grant(school: School, person: Person, role: str, scope: str, id: str, ends: datetime | None) -> None:
    new = {"user_id": str(person.id), "role": role, "scope": scope, "organization_id": str(school.org_id)}
    new |= {"scope_id": id} if scope == "course" else {}
    new |= {"expires_at": ends.isoformat()} if ends else {}
    done(await school.owner.post("/v1/grants", new), 201)


async def _teaches_until(user_id: UserId, course_id: str, role: str = "instructor") -> list[datetime | None]:
    return [
        grant.expires_at
        for grant in await client(GrantSource).grants_of(user_id)
        if str(grant.scope_id) == course_id and grant.permissions == permissions_of_role(role)
    ]


async def test_appoint_never_extends_an_instructor_who_appoints_themselves(hub: Hub, draft: Draft) -> None:
    teacher, ends = await hub.person("teacher"), _soon()
    await _grant(draft.school, teacher, "instructor", "course", draft.id, ends)

    done(await teacher.put(f"{draft.path}/staff/{teacher.id}", {"role": "instructor"}))

    assert await _teaches_until(teacher.id, draft.id) == [ends]
    await hub.settle()


async def test_appoint_gives_no_longer_than_the_appointing_right(hub: Hub, draft: Draft) -> None:
    clerk, teacher, ends = await hub.person("clerk"), await hub.person("teacher"), _soon()
    await _grant(draft.school, clerk, "org_admin", "organization", "", ends)

    for person in (clerk, teacher):
        done(await clerk.put(f"{draft.path}/staff/{person.id}", {"role": "instructor"}))

    assert await _teaches_until(clerk.id, draft.id) == [ends]
    assert await _teaches_until(teacher.id, draft.id) == [ends]
    done(await teacher.put(f"{draft.path}/staff/{teacher.id}", {"role": "assistant"}))
    assert await _teaches_until(teacher.id, draft.id, "assistant") == [ends]
    await hub.settle()


async def test_appoint_leaves_a_longer_grant_and_a_shorter_one(hub: Hub, draft: Draft) -> None:
    clerk, ends = await hub.person("clerk"), _soon()
    await _grant(draft.school, clerk, "org_admin", "organization", "", ends)
    held = [_soon(10), _soon(60), None]
    teachers = [await hub.person("teacher") for _ in held]
    for teacher, end in zip(teachers, held, strict=True):
        await _grant(draft.school, teacher, "instructor", "course", draft.id, end)

    for teacher in teachers:
        done(await clerk.put(f"{draft.path}/staff/{teacher.id}", {"role": "instructor"}))

    assert [await _teaches_until(teacher.id, draft.id) for teacher in teachers] == [[end] for end in held]
    await hub.settle()


async def test_appoint_replaces_a_grant_whose_time_is_over(hub: Hub, draft: Draft) -> None:
    clerk, teacher, ends = await hub.person("clerk"), await hub.person("teacher"), _soon()
    await _grant(draft.school, clerk, "org_admin", "organization", "", ends)
    await _grant(draft.school, teacher, "instructor", "course", draft.id, _soon())
    async with pool().acquire() as raw:
        over = "UPDATE rbac.grants SET expires_at = now() - interval '1 s' WHERE user_id = $1"
        await raw.execute(over, teacher.id)

    done(await clerk.put(f"{draft.path}/staff/{teacher.id}", {"role": "instructor"}))

    assert await _teaches_until(teacher.id, draft.id) == [ends]
    await hub.settle()


async def test_appoint_by_an_owner_is_for_good(hub: Hub, draft: Draft) -> None:
    teacher = await hub.person("teacher")
    await _grant(draft.school, teacher, "instructor", "course", draft.id, _soon())

    done(await draft.owner.put(f"{draft.path}/staff/{teacher.id}", {"role": "instructor"}))

    assert await _teaches_until(teacher.id, draft.id) == [None]
    await hub.settle()


async def test_create_course_gives_no_longer_than_the_right_to_create(hub: Hub, school: School) -> None:
    author, ends = await hub.person("author"), _soon()
    await _grant(school, author, "course_creator", "organization", "", ends)

    made = done(await author.post("/v1/courses", {"organization_id": str(school.org_id), "title": "Short"}), 201)

    assert await _teaches_until(author.id, made["id"]) == [ends]
    await hub.settle()


async def _with_staff_permission_alone(hub: Hub, school: School) -> Person:
    clerk = await hub.person("clerk")
    new = {"organization_id": str(school.org_id), "name": "clerk", "title": "Clerk"}
    role = done(await school.owner.post("/v1/roles", {**new, "permissions": ["course:read", "course:staff"]}), 201)
    await _grant(school, clerk, role["id"], "organization", "", None)
    return clerk


async def test_dismiss_rejects_who_may_less_than_the_dismissed(hub: Hub, draft: Draft) -> None:
    clerk = await _with_staff_permission_alone(hub, draft.school)
    appointed, granted = await hub.person("appointed"), await hub.person("granted")
    done(await draft.owner.put(f"{draft.path}/staff/{appointed.id}", {"role": "instructor"}))
    await _grant(draft.school, granted, "instructor", "course", draft.id, None)

    for teacher in (appointed, granted):
        refused = problem(await clerk.delete(f"{draft.path}/staff/{teacher.id}"), 403, "beyond-own-rights")

        assert "course:publish" in refused["permissions"]
        assert await _teaches_until(teacher.id, draft.id) == [None]
    done(await draft.owner.delete(f"{draft.path}/staff/{appointed.id}"), 204)
    await hub.settle()


async def test_appoint_rejects_a_lesser_role_by_who_may_less(hub: Hub, draft: Draft) -> None:
    school, teacher, clerk = draft.school, await hub.person("teacher"), await hub.person("clerk")
    new = {"organization_id": str(school.org_id), "name": "helper", "title": "Helper"}
    permissions = sorted({*permissions_of_role("assistant"), "course:staff"})
    role = done(await school.owner.post("/v1/roles", {**new, "permissions": permissions}), 201)
    await _grant(school, clerk, role["id"], "organization", "", None)
    staff = f"{draft.path}/staff/{teacher.id}"
    done(await draft.owner.put(staff, {"role": "instructor"}))

    problem(await clerk.put(staff, {"role": "assistant"}), 403, "beyond-own-rights")

    assert await _teaches_until(teacher.id, draft.id) == [None]
    done(await draft.owner.delete(staff), 204)
    done(await clerk.put(staff, {"role": "assistant"}))
    assert await _teaches_until(teacher.id, draft.id, "assistant") == [None]
    await hub.settle()
