"""An undo takes back what the operation made, whatever became of the run, or says for each row why it stays."""

from uuid import UUID

import pytest

from api.core.rbac.contract import RbacCalls
from api.learning.enrollment import logic
from api.learning.enrollment.contract import EnrollmentId
from cluster.base.principal import PLATFORM
from cluster.data import Connection, write
from cluster.data.postgres import pool
from cluster.people.calls import client
from tests.api.learning.course.conftest import Draft, draft, published, school
from tests.api.learning.enrollment.test_bulk import ended, members, report, seats_taken, send, states
from tests.harness import Hub, done

__all__ = ["draft", "published", "school"]


async def change(sql: str, *args: object) -> None:
    async with pool().acquire() as raw:
        await Connection(raw).run(sql, *args)


async def enrolment_of(course: Draft, run_id: str, user_id: UUID) -> EnrollmentId:
    items = done(await course.owner.get(f"/v1/enrollments?run_id={run_id}"))["items"]
    [found] = [each["id"] for each in items if each["user_id"] == str(user_id)]
    return EnrollmentId(UUID(found))


@pytest.mark.parametrize(("end", "came_back"), [("run-ended", True), ("course-archived", True), ("run-deleted", False)])
async def test_undo_takes_back_whatever_became_of_the_run(
    hub: Hub, published: Draft, end: str, came_back: bool
) -> None:
    run_id = done(await published.owner.post("/v1/runs", {"course_id": published.id, "title": "Further"}), 201)["id"]
    leaver = await hub.person("leaver")
    done(await leaver.post("/v1/enrollments", {"run_id": run_id}), 201)
    one, two, left = (*await members(published, 2), *await members(published, 1, leaver))
    items = [{"user_id": str(one)}, {"user_id": str(two)}, {"user_id": str(left), "state": "cancelled"}]
    operation = await ended(hub, published, await send(published, run_id, items))
    completed = await enrolment_of(published, run_id, two)
    async with write(PLATFORM) as tx:
        await logic.complete(tx, completed, 1)
    match end:
        case "run-ended":
            done(await published.owner.post(f"/v1/runs/{run_id}/end"))
        case "course-archived":
            done(await published.owner.post(f"{published.path}/archive"))
        case _:
            await change("DELETE FROM course.runs WHERE id = $1", UUID(run_id))
    await hub.settle()

    undone = await ended(hub, published, done(await published.owner.post(f"/v1/operations/{operation['id']}/undo")))

    back = (3, "taken_back", None) if came_back else (3, "kept", "not-enrollable")
    assert (undone["state"], undone["problem"]) == ("succeeded", None)
    assert await report(published, undone) == [(1, "taken_back", None), (2, "kept", "changed-since"), back]
    assert await states(run_id) == {
        one: "cancelled",
        two: "completed",
        left: "active" if came_back else "cancelled",
    }
    assert await seats_taken(run_id) == 1 + came_back


async def test_undo_names_rows_without_a_seat_and_without_an_enrolment(hub: Hub, published: Draft) -> None:
    run = done(await published.owner.post("/v1/runs", {"course_id": published.id, "title": "Small", "seats": 1}), 201)
    leaver, successor = await hub.person("leaver"), await hub.person("successor")
    done(await leaver.post("/v1/enrollments", {"run_id": run["id"]}), 201)
    await members(published, 1, leaver)
    [erased] = await members(published, 1)
    items = [{"user_id": str(leaver.id), "state": "cancelled"}, {"user_id": str(erased)}]
    operation = await ended(hub, published, await send(published, run["id"], items))
    # An erasure leaves the run first, so that its seat comes back, and deletes the row.
    await logic.leave_all(PLATFORM, erased, None)  # pyright: ignore[reportArgumentType]
    await change("DELETE FROM enrollment.enrollments WHERE user_id = $1", erased)
    done(await successor.post("/v1/enrollments", {"run_id": run["id"]}), 201)

    undone = await ended(hub, published, done(await published.owner.post(f"/v1/operations/{operation['id']}/undo")))

    assert (undone["state"], undone["counts"]) == ("succeeded", {"kept": 2})
    assert await report(published, undone) == [(1, "kept", "run-full"), (2, "kept", "enrollment-not-found")]


async def test_undo_without_the_right_fails_with_it_and_others_may(hub: Hub, published: Draft) -> None:
    run_id = published.course["default_run_id"]
    [one] = await members(published, 1)
    teacher = await hub.person("teacher")
    done(await published.owner.put(f"{published.path}/staff/{teacher.id}", {"role": "instructor"}))
    body = {"run_id": run_id, "items": [{"user_id": str(one)}]}
    operation = await ended(hub, published, done(await teacher.post("/v1/enrollments/-/bulk", body), 202))
    done(await published.owner.delete(f"{published.path}/staff/{teacher.id}"), 204)
    await hub.settle()
    await hub.broadcasts_arrived()

    done(await teacher.post(f"/v1/operations/{operation['id']}/undo"))
    refused = await ended(hub, published, operation)
    undone = await ended(hub, published, done(await published.owner.post(f"/v1/operations/{operation['id']}/undo")))

    assert (refused["state"], refused["problem"]["type"]) == ("failed", "/problems/forbidden")
    assert (refused["counts"], refused["undo_until"]) == ({"created": 1}, operation["undo_until"])
    assert (undone["state"], undone["counts"]) == ("succeeded", {"taken_back": 1})
    assert await states(run_id) == {one: "cancelled"}


async def test_undo_waits_until_a_suspended_organization_is_resumed(hub: Hub, published: Draft) -> None:
    run_id = published.course["default_run_id"]
    [one] = await members(published, 1)
    operator = await hub.person("operator")
    await client(RbacCalls).grant(operator.id, "platform_admin", "platform", None, None)
    operation = await ended(hub, published, await send(published, run_id, [{"user_id": str(one)}]))
    undo, organization = f"/v1/operations/{operation['id']}/undo", f"/v1/organizations/{published.school.org_id}"
    done(await operator.post(f"{organization}/suspend"))
    await hub.settle()
    await hub.broadcasts_arrived()

    done(await published.owner.post(undo))
    refused = await ended(hub, published, operation)
    done(await operator.post(f"{organization}/resume"))
    await hub.settle()
    await hub.broadcasts_arrived()
    undone = await ended(hub, published, done(await published.owner.post(undo)))

    assert (refused["state"], refused["problem"]["type"]) == ("failed", "/problems/forbidden")
    assert (undone["state"], undone["counts"]) == ("succeeded", {"taken_back": 1})
