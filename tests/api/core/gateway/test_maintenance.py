"""Maintenance windows, obeyed by every process."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from api.core.gateway.contract import MaintenanceWindowId
from api.core.gateway.maintenance.logic import turn_window
from cluster.base.principal import PLATFORM
from cluster.jobs.run import run_due_jobs
from cluster.people import door
from tests.harness import PASSWORD, Hub, Person, done, problem

pytestmark = pytest.mark.usefixtures("tidy")


def _at(minutes: float) -> str:
    return (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat()


def _window(**fields: Any) -> dict[str, Any]:
    return {"scope": "platform", "mode": "closed", "ends_at": _at(60), "reason": "a larger database", **fields}


async def test_a_window_is_obeyed_at_once_and_staff_passes(hub: Hub, operator: Person) -> None:
    person = await hub.person("works")
    done(await person.get("/v1/organizations"))

    made = await operator.post("/v1/maintenance-windows", _window())
    async with asyncio.timeout(30):
        while (refused := await person.get("/v1/organizations")).status_code == 200:  # noqa: ASYNC110  a second is the limit
            await asyncio.sleep(0.01)
    session = await hub.guest.post("/v1/sessions", {"email": operator.email, "password": PASSWORD})
    by_staff = await operator.get("/v1/organizations")
    health = await hub.guest.get("/v1/organizations/-/health")
    by_guest = await hub.guest.get("/v1/catalog")
    done(await operator.post(f"/v1/maintenance-windows/{done(made, 201)['id']}/end"))
    await door.refresh()

    assert done(made, 201)["state"] == "active"
    assert problem(refused, 503, "under-maintenance")["mode"] == "closed"
    assert 3500 < int(refused.headers["retry-after"]) <= 3600
    problem(by_guest, 503, "under-maintenance")
    assert (session.status_code, by_staff.status_code, health.status_code) == (201, 200, 200)
    done(await person.get("/v1/organizations"))
    await hub.settle()


async def test_an_organization_is_read_only_and_others_are_not(hub: Hub, operator: Person) -> None:
    school, other = await hub.school(), await hub.school()
    window = _window(scope="organization", organization_id=str(school.org_id), mode="read_only")
    done(await operator.post("/v1/maintenance-windows", window), 201)
    await door.refresh()
    path = f"/v1/organizations/{school.org_id}"

    read = await school.owner.get(path)
    refused = await school.owner.patch(path, {"name": "Other"}, headers={"If-Match": read.headers["etag"]})
    elsewhere = f"/v1/organizations/{other.org_id}"
    changed = await other.owner.patch(elsewhere, {"name": "Other"}, headers={"If-Match": '"1"'})

    assert done(read)["name"] == "School"
    assert "mode=read_only" in read.headers["maintenance"]
    problem(refused, 503, "under-maintenance")
    assert done(changed)["name"] == "Other"
    assert "maintenance" not in changed.headers
    await hub.settle()


async def test_a_window_is_told_when_it_is_planned_moved_begun_and_over(hub: Hub, operator: Person) -> None:
    planned = await operator.post(
        "/v1/maintenance-windows", _window(scope="service", service="search", starts_at=_at(30))
    )
    window = done(planned, 201)
    path = f"/v1/maintenance-windows/{window['id']}"
    await hub.settle()
    # Its job comes too early: there is nothing to tell yet.
    await hub.due_now(f"active:{window['id']}")
    await hub.settle()
    changes = {"ends_at": _at(90)}
    moved = done(await operator.patch(path, changes, headers={"If-Match": planned.headers["etag"]}))
    told = [each.type for each in await hub.events() if each.subject == window["id"]]
    await hub.settle()
    done(await operator.post(f"{path}/end"))
    last = [each.type for each in await hub.events() if each.subject == window["id"]]
    again = done(await operator.post(f"{path}/end"))
    late = await operator.patch(path, changes, headers={"If-Match": '"9"'})

    assert (window["state"], moved["state"], again["state"]) == ("planned", "planned", "over")
    assert (told, last) == (["maintenance.changed"], ["maintenance.ended"])
    problem(late, 412, "stale")
    await hub.settle()


async def test_a_window_that_has_begun_tells_it_once(hub: Hub, operator: Person) -> None:
    made = done(await operator.post("/v1/maintenance-windows", _window(scope="service", service="search")), 201)
    path = f"/v1/maintenance-windows/{made['id']}"

    await run_due_jobs(("gateway",))
    told = [each.type for each in await hub.events() if each.subject == made["id"]]
    begun = await operator.get(path)
    too_late = await operator.patch(path, {"starts_at": _at(10)}, headers={"If-Match": begun.headers["etag"]})

    assert told == ["maintenance.planned", "maintenance.started"]
    problem(too_late, 409, "maintenance-has-begun")
    await hub.settle()
    assert done(await operator.get(path))["state"] == "active"


async def test_a_window_that_is_ended_early_tells_it_once(hub: Hub, operator: Person) -> None:
    made = done(await operator.post("/v1/maintenance-windows", _window(scope="service", service="search")), 201)
    await run_due_jobs(("gateway",))
    await hub.settle()
    done(await operator.post(f"/v1/maintenance-windows/{made['id']}/end"))

    # The job of its first end comes all the same, and again after a crash.
    for _ in range(2):
        await hub.due_now(f"over:{made['id']}")
        await run_due_jobs(("gateway",))
        await turn_window(PLATFORM, MaintenanceWindowId(UUID(made["id"])), "over")
    told = [each.type for each in await hub.events() if each.subject == made["id"]]

    assert told == ["maintenance.ended"]
    await hub.settle()


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"ends_at": "2020-01-01T00:00:00Z"}, "/ends_at"),
        ({"starts_at": "2020-01-01T00:00:00Z"}, "/starts_at"),
        ({"starts_at": "2040-01-01T00:00:00Z", "ends_at": "2040-02-01T00:00:00Z"}, "/ends_at"),
        ({"scope": "service", "service": "nobody"}, "/service"),
        ({"scope": "service", "service": "gateway"}, "/service"),
        ({"scope": "organization"}, ""),
    ],
)
async def test_planning_rejects_what_makes_no_sense(operator: Person, fields: dict[str, Any], pointer: str) -> None:
    refused = problem(await operator.post("/v1/maintenance-windows", _window(**fields)), 422)

    assert [each["pointer"] for each in refused["errors"]] == [pointer]
