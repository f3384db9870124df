"""Rate plans, overrides, and what callers are told of them."""

import asyncio
from typing import Any

import pytest

from cluster.base.ids import new_id
from cluster.people import door
from tests.harness import Hub, Person, done, problem

pytestmark = pytest.mark.usefixtures("tidy")
ROUTE = "GET /v1/organizations"


async def plan(operator: Person, slug: str, *limits: tuple[str, int, str | None]) -> dict[str, Any]:
    """Draft a version of a plan."""
    of = [
        {"bucket": bucket, "units": units, "window_s": 3600} | ({} if route is None else {"route": route})
        for bucket, units, route in limits
    ]
    return done(await operator.post("/v1/rate-plans", {"slug": slug, "limits": of}), 201)


async def activate(operator: Person, made: dict[str, Any]) -> dict[str, Any]:
    return done(await operator.post(f"/v1/rate-plans/{made['id']}/activate"))


async def obeyed() -> None:
    """Wait until this process has heard of the last change, by the broadcast."""
    before = door.current().version
    async with asyncio.timeout(5):
        while door.current().version == before:  # noqa: ASYNC110  the broadcast tells nobody else
            await asyncio.sleep(0.01)


async def test_a_plan_is_drafted_changed_activated_and_followed_by_its_next(hub: Hub, operator: Person) -> None:
    draft = await plan(operator, "default", ("person", 50_000, None))
    path = f"/v1/rate-plans/{draft['id']}"
    limits = [
        {"bucket": "person", "units": 40_000, "window_s": 3600},
        {"bucket": "route", "units": 3, "window_s": 3600},
    ]
    problem(await operator.patch(path, {"limits": limits}, headers={"If-Match": '"1"'}), 422)
    limits[1] |= {"route": ROUTE}
    changed = await operator.patch(path, {"limits": limits}, headers={"If-Match": '"1"'})
    problem(await operator.patch(path, {"limits": limits}, headers={"If-Match": '"1"'}), 412, "stale")

    first = await activate(operator, done(changed))
    await obeyed()
    person = await hub.person("asks")
    answers = [await person.get("/v1/organizations") for _ in range(5)]
    second = await activate(operator, await plan(operator, "default", ("person", 30_000, None)))
    await obeyed()
    after = await person.get("/v1/organizations")

    assert [each.status_code for each in answers] == [200, 200, 200, 429, 429]
    assert answers[0].headers["ratelimit-policy"] == '"person";q=40000;w=3600, "route";q=3;w=3600'
    assert answers[3].json()["violated-policies"] == ["route"]
    assert (after.status_code, after.headers["ratelimit-policy"]) == (200, '"person";q=30000;w=3600')
    assert (first["number"] + 1, second["number"]) == (second["number"], done(await operator.get(path))["number"] + 1)
    assert done(await operator.get(path))["state"] == "retired"
    problem(await operator.patch(path, {"limits": limits}, headers={"If-Match": '"4"'}), 409, "rate-plan-not-draft")
    problem(await operator.post(f"{path}/activate"), 409, "rate-plan-not-draft")
    ours = {first["id"], second["id"]}
    told = [
        each.type
        for each in await hub.events(
            "rate_plan.created", "rate_plan.updated", "rate_plan.retired", "rate_plan.activated"
        )
        if each.payload["rate_plan_id"] in ours
    ]
    assert told == [
        *("rate_plan.created", "rate_plan.updated", "rate_plan.activated"),
        *("rate_plan.created", "rate_plan.retired", "rate_plan.activated"),
    ]
    await hub.settle()


async def test_a_plan_rejects_routes_that_no_request_takes(hub: Hub, operator: Person) -> None:
    def limits(*routes: str) -> list[dict[str, Any]]:
        return [{"bucket": "route", "units": 1, "window_s": 60, "route": route} for route in routes]

    right = limits("GET /v1/courses/{course_id}", "POST /v1/uploads/*")
    wrong = limits("GET /v1/courses/{id}", "GET /v1/courses", "PUT /v1/courses", "GET /v1/nowhere")
    created = await operator.post("/v1/rate-plans", {"slug": "routed", "limits": wrong})
    draft = done(await operator.post("/v1/rate-plans", {"slug": "routed", "limits": right}), 201)
    changes = {"limits": wrong}
    changed = await operator.patch(f"/v1/rate-plans/{draft['id']}", changes, headers={"If-Match": '"1"'})

    for refused in (created, changed):
        errors = problem(refused, 422, "route-unknown")["errors"]
        assert [each["pointer"] for each in errors] == ["/limits/0/route", "/limits/2/route", "/limits/3/route"]
        assert errors[1]["params"] == {"route": "PUT /v1/courses"}
    await hub.settle()


async def test_versions_activated_at_once_leave_one_active(hub: Hub, operator: Person) -> None:
    made = [await plan(operator, "racing", ("person", 50_000 + n, None)) for n in range(3)]

    answers = await hub.at_once(*(operator.post(f"/v1/rate-plans/{each['id']}/activate") for each in made))

    assert [each.status_code for each in answers] == [200] * 3
    active = done(await operator.get("/v1/rate-plans?slug=racing&state=active"))["items"]
    assert len(active) == 1
    await hub.settle()


async def test_an_override_replaces_the_limit_of_an_organization(hub: Hub, operator: Person) -> None:
    school = await hub.school()
    new = {"plan": "small-school", "organization_id": str(school.org_id), "reason": "runs a script"}
    assert problem(await operator.post("/v1/rate-overrides", new), 422, "rate-plan-unknown")
    small = await activate(operator, await plan(operator, "small-school", ("organization", 4, None)))
    past = await operator.post("/v1/rate-overrides", new | {"ends_at": "2020-01-01T00:00:00Z"})
    problem(past, 422)

    override = done(await operator.post("/v1/rate-overrides", new), 201)
    await door.refresh()
    path = f"/v1/organizations/{school.org_id}"
    answers = [await school.owner.get(path) for _ in range(6)]
    elsewhere = await (await hub.school()).owner.get("/v1/organizations")
    in_use = await operator.post(f"/v1/rate-plans/{small['id']}/retire")
    done(await operator.post(f"/v1/rate-overrides/{override['id']}/end"))
    await door.refresh()
    after = await school.owner.get(path)

    assert [each.status_code for each in answers] == [200] * 4 + [429] * 2
    assert answers[4].json()["violated-policies"] == ["organization"]
    assert answers[0].headers["ratelimit"].startswith('"organization";r=3;')
    assert (elsewhere.status_code, after.status_code) == (200, 200)
    problem(in_use, 409, "rate-plan-in-use")
    done(await operator.post(f"/v1/rate-plans/{small['id']}/retire"))
    await hub.settle()


async def test_callers_learn_their_limits_and_the_price_of_a_call(hub: Hub) -> None:
    person = await hub.person("curious")

    limits = done(await person.get("/v1/gateway/-/limits"))
    price = done(
        await person.post("/v1/gateway/-/price", {"method": "POST", "path": f"/v1/courses/{new_id()}/publish"})
    )
    page = await hub.guest.post("/v1/gateway/-/price", {"method": "GET", "path": "/v1/courses/x?limit=3"})
    nowhere = await person.post("/v1/gateway/-/price", {"method": "GET", "path": "/v1/nowhere"})

    [limit] = limits["items"]
    assert limits["plan"] == "default"
    assert (limit["policy"], limit["units"], limit["window_s"]) == ("person", 12_000, 60)
    assert 11_980 <= limit["left"] <= 12_000
    assert (price["path"], price["cost"]) == ("/v1/courses/{course_id}/publish", 3)
    assert (done(page)["cost"], done(page)["items"][0]["policy"]) == (1, "address")
    problem(nowhere, 404, "route-not-found")


async def test_only_the_platforms_administrators_set_limits(hub: Hub) -> None:
    school = await hub.school()

    answers = [
        await school.owner.get("/v1/rate-plans"),
        await school.owner.post("/v1/rate-plans", {"slug": "mine", "limits": [{"bucket": "person", "units": 1, "window_s": 1}]}),
        await school.owner.get("/v1/rate-overrides"),
        await school.owner.get("/v1/maintenance-windows"),
    ]  # fmt: skip

    assert [each.status_code for each in answers] == [403] * 4
