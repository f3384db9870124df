"""Editors who meet, and requests that are made to hurt."""

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from api.platform.feature_flag import seed
from api.platform.feature_flag.flag import rules
from cluster.people import flags
from cluster.seed import DemoPerson
from cluster.seed import School as DemoSchool
from tests.api.platform.feature_flag.conftest import change, declared
from tests.api.platform.feature_flag.test_evaluation import school
from tests.api.platform.feature_flag.test_flags import new
from tests.harness import Hub, Person, School, done, problem

__all__ = ["school"]

_JSON = {"Content-Type": "application/json"}


def nested(depth: int) -> dict[str, Any]:
    condition: dict[str, Any] = {"attribute": "plan", "operator": "in", "values": ["pro"]}
    for _ in range(depth):
        condition = {"not": condition}
    return condition


async def test_two_editors_at_once_overwrite_nothing(hub: Hub, school: School) -> None:
    flag = done(await school.owner.post("/v1/flags", new(school, "edited-twice")), 201)
    path, headers = f"/v1/flags/{flag['id']}", {"If-Match": '"1"'}

    answers = await hub.at_once(
        *(school.owner.patch(path, {"title": title}, headers=headers) for title in ("One", "Two"))
    )
    shown = done(await school.owner.get(path))

    [won] = [answer for answer in answers if answer.status_code == 200]
    [lost] = [answer for answer in answers if answer.status_code != 200]
    assert problem(lost, 412, "stale")
    assert shown["title"] == done(won)["title"]
    await hub.settle()


async def test_a_kill_and_an_edit_at_once_leave_the_flag_killed(hub: Hub, school: School) -> None:
    flag = done(await school.owner.post("/v1/flags", new(school, "killed-and-edited")), 201)
    path = f"/v1/flags/{flag['id']}"
    live = await school.owner.post(f"{path}/launch")

    _, killed = await hub.at_once(
        school.owner.patch(path, {"default_variant": "on"}, headers={"If-Match": live.headers["ETag"]}),
        school.owner.post(f"{path}/kill"),
    )

    done(killed)
    assert done(await school.owner.get(path))["state"] == "killed"
    keeper = flags.current()
    assert keeper is not None
    ours = keeper.of(school.org_id)
    assert ours["killed-and-edited"].decide({}, 0, ours).variant == "off"
    await hub.settle()


@pytest.mark.parametrize(("depth", "status"), [(6, 422), (30, 422), (1_000, 400)])
async def test_conditions_in_conditions_are_refused(hub: Hub, school: School, depth: int, status: int) -> None:
    sent = copy.copy(new(school, f"deep-{depth}"))
    inner, head, tail = nested(0), '{"not":' * depth, "}" * depth
    rule = f'{{"when":{head}{orjson.dumps(inner).decode()}{tail},"serve":[{{"variant":"on"}}]}}'
    body = orjson.dumps(sent).decode()[:-1] + f',"rules":[{rule}]}}'

    refused = await school.owner.client.post("/v1/flags", content=body, headers=_JSON)

    problem(refused, status)
    assert done(await school.owner.get("/v1/flags", params={"key": f"deep-{depth}"}))["items"] == []


async def test_ten_megabytes_are_refused_everywhere(hub: Hub, school: School) -> None:
    body = orjson.dumps({**new(school, "large"), "title": "x" * 10_000_000})
    context = orjson.dumps({"context": {"organization_id": str(school.org_id), "note": "x" * 10_000_000}})

    made = await school.owner.client.post("/v1/flags", content=body, headers=_JSON)
    asked = await school.owner.client.post("/ofrep/v1/evaluate/flags", content=context, headers=_JSON)

    problem(made, 413)
    problem(asked, 413)


@pytest.mark.parametrize("number", ["1e400", "-1e400", "123456789012345678901234567890", "NaN"])
async def test_numbers_that_json_does_not_keep_break_nothing(hub: Hub, school: School, number: str) -> None:
    key = f"n-{len(number)}"
    condition = f'{{"attribute":"seats","operator":"at_least","values":[{number}]}}'
    rules_sent = f'"rules":[{{"when":{condition},"serve":[{{"variant":"on"}}]}}]'
    variants = f'"variants":{{"on":{number},"off":0}}'

    for part in (rules_sent, variants):
        body = orjson.dumps(new(school, key)).decode()[:-1] + f",{part}}}"
        answer = await school.owner.client.post("/v1/flags", content=body, headers=_JSON)
        assert answer.status_code in (201, 400, 409, 422), answer.text
    context = f'{{"context":{{"organization_id":"{school.org_id}","seats":{number}}}}}'
    asked = await hub.guest.client.post("/ofrep/v1/evaluate/flags", content=context, headers=_JSON)
    assert asked.status_code in (200, 400), asked.text
    await hub.settle()


async def test_half_a_character_breaks_nothing(hub: Hub, school: School) -> None:
    rule = {"percent": 50.0, "serve": [{"variant": "on"}]}
    flag = done(await school.owner.post("/v1/flags", new(school, "half", public=True, rules=[rule])), 201)
    done(await school.owner.post(f"/v1/flags/{flag['id']}/launch"))
    content = f'{{"context":{{"organization_id":"{school.org_id}","targetingKey":"\\ud800"}}}}'

    for path in ("/ofrep/v1/evaluate/flags", "/ofrep/v1/evaluate/flags/half", f"/v1/flags/{flag['id']}/explain"):
        answer = await school.owner.client.post(path, content=content, headers=_JSON)
        assert answer.status_code in (400, 422), answer.text
    await hub.settle()


async def test_a_ramp_steps_at_its_time_and_not_before(hub: Hub, school: School) -> None:
    at = datetime(2031, 5, 4, 12, 0, 0, 250_000, tzinfo=UTC)
    steps = [
        {"at": at.isoformat(), "percent": 10},
        {"at": (at + timedelta(hours=1)).isoformat(), "percent": 100},
    ]
    flag = done(
        await school.owner.post(
            "/v1/flags", new(school, "ramp", rules=[{"steps": steps, "serve": [{"variant": "on"}]}])
        ),
        201,
    )
    done(await school.owner.post(f"/v1/flags/{flag['id']}/launch"))
    keeper = flags.current()
    assert keeper is not None
    ours = keeper.of(school.org_id)

    def given(now_s: float) -> int:
        people = [{"targetingKey": f"person-{number}"} for number in range(1_000)]
        return sum(ours["ramp"].decide(each, now_s, ours).variant == "on" for each in people)

    first, second = at.timestamp(), (at + timedelta(hours=1)).timestamp()
    assert given(first - 0.001) == 0
    assert 60 < given(first) == given(second - 0.001) < 140
    assert given(second) == 1_000
    assert [each["at"] for each in done(await school.owner.get(f"/v1/flags/{flag['id']}"))["rules"][0]["steps"]] == [
        "2031-05-04T12:00:00.250000Z",
        "2031-05-04T13:00:00.250000Z",
    ]
    await hub.settle()


async def test_what_a_service_declares_is_not_changed(hub: Hub, operator: Person) -> None:
    flag = await declared(operator, "user.sign_up")
    path = f"/v1/flags/{flag['id']}"
    etag = (await operator.get(path)).headers["ETag"]

    for body in ({"off_variant": "on"}, {"title": "Other"}, {"public": False}, {"owner": "others"}):
        problem(await operator.patch(path, body, headers={"If-Match": etag}), 409, "flag-is-declared")
    await change(operator, flag, default_variant="on")
    await hub.settle()


async def test_archived_flags_leave_room_for_others(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    school = await hub.school()
    monkeypatch.setattr(rules, "MOST_FLAGS", 2)
    monkeypatch.setattr(rules, "MOST_EVER", 3)
    made = [done(await school.owner.post("/v1/flags", new(school, f"room-{n}")), 201) for n in range(2)]

    full = await school.owner.post("/v1/flags", new(school, "room-2"))
    done(await school.owner.post(f"/v1/flags/{made[0]['id']}/archive"))
    done(await school.owner.post("/v1/flags", new(school, "room-2")), 201)
    done(await school.owner.post(f"/v1/flags/{made[1]['id']}/archive"))
    ever = await school.owner.post("/v1/flags", new(school, "room-3"))

    assert problem(full, 409, "too-many-flags")["detail"] == "it has 2 that are not archived: archive one first"
    assert problem(ever, 409, "too-many-flags")["detail"] == "it had 3: change one instead"
    await hub.settle()


async def test_the_demo_school_has_a_flag_also_when_repeated(hub: Hub, school: School) -> None:
    owner = DemoPerson(email="", name="", client=school.owner.client, id=str(school.owner.id))
    demo = DemoSchool(owner=owner, teacher=owner, learner=owner, made={"organization": str(school.org_id)})

    await seed.seed(demo)
    first = dict(demo.made)
    await seed.seed(demo)

    shown = done(await school.owner.get(f"/v1/flags/{first['flag']}"))
    assert demo.made == first
    assert (shown["state"], shown["rules"][0]["percent"], shown["owner_id"]) == ("live", 25.0, str(school.owner.id))
    await hub.settle()
