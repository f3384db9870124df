"""Organizations that operators name at the door: they must exist."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cluster.base.ids import new_id
from tests.harness import Hub, Person, done, problem

pytestmark = pytest.mark.usefixtures("tidy")


@pytest.fixture
async def bodies(operator: Person) -> dict[str, dict[str, Any]]:
    """What is sent to each path that takes an organization, but for its id."""
    limits = [{"bucket": "organization", "units": 50_000, "window_s": 60}]
    plan = done(await operator.post("/v1/rate-plans", {"slug": "named-school", "limits": limits}), 201)
    done(await operator.post(f"/v1/rate-plans/{plan['id']}/activate"))
    ends_at = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    starts_at = (datetime.now(UTC) + timedelta(hours=23)).isoformat()
    window = {"scope": "organization", "mode": "closed", "starts_at": starts_at, "ends_at": ends_at, "reason": "a move"}
    return {
        "/v1/rate-overrides": {"plan": "named-school", "reason": "runs a script"},
        "/v1/maintenance-windows": window,
        "/v1/cors-origins": {"origin": "https://named.example"},
    }


@pytest.mark.parametrize("path", ["/v1/rate-overrides", "/v1/maintenance-windows", "/v1/cors-origins"])
async def test_nothing_is_set_for_an_organization_that_does_not_exist(
    hub: Hub, operator: Person, bodies: dict[str, dict[str, Any]], path: str
) -> None:
    org_id = new_id()

    refused = problem(
        await operator.post(path, bodies[path] | {"organization_id": str(org_id)}), 422, "organization-unknown"
    )

    assert [(each["pointer"], each["code"]) for each in refused["errors"]] == [
        ("/organization_id", "organization-unknown")
    ]
    assert [each for each in await hub.events() if each.org_id == org_id] == []
    await hub.settle()


@pytest.mark.parametrize("path", ["/v1/rate-overrides", "/v1/maintenance-windows", "/v1/cors-origins"])
async def test_what_is_set_for_a_suspended_organization_is_kept(
    hub: Hub, operator: Person, bodies: dict[str, dict[str, Any]], path: str
) -> None:
    school = await hub.school()
    done(await operator.post(f"/v1/organizations/{school.org_id}/suspend"))

    made = done(await operator.post(path, bodies[path] | {"organization_id": str(school.org_id)}), 201)

    assert done(await operator.get(f"{path}/{made['id']}"))["organization_id"] == str(school.org_id)
    await hub.settle()
