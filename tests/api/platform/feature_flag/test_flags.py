"""Flags over HTTP: their states, their rules, what is refused, and that every process decides by them."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from api.core.user.offers import SIGN_UP
from api.platform.feature_flag.flag import logic
from cluster.base.ids import new_id
from cluster.base.principal import GUEST
from cluster.data.postgres import pool
from cluster.people import flags
from tests.api.platform.feature_flag.conftest import change, declared
from tests.harness import PASSWORD, Hub, Person, School, done, problem


@pytest.fixture(scope="module")
async def school(hub: Hub) -> School:
    return await hub.school()


@pytest.fixture
async def sign_up(operator: Person) -> AsyncIterator[dict[str, Any]]:
    """The flag of user; afterwards it is as declared."""
    flag = await declared(operator, "user.sign_up")
    yield flag
    done(await operator.post(f"/v1/flags/{flag['id']}/launch"))
    await change(operator, flag, default_variant="on", rules=[])


def new(school: School, key: str, **fields: Any) -> dict[str, Any]:
    return {"organization_id": str(school.org_id), "key": key, "title": "New", "owner": "team", **fields}


async def test_a_declared_flag_is_killed_and_launched_by_one_request(
    hub: Hub, operator: Person, sign_up: dict[str, Any]
) -> None:
    assert (sign_up["state"], sign_up["declared_by"], sign_up["default_variant"]) == ("live", "user", "on")
    await hub.person("before")
    told = len(await hub.events("flag.killed"))

    killed = done(await operator.post(f"/v1/flags/{sign_up['id']}/kill"))
    account = {"email": "late@people.example", "password": PASSWORD, "name": "Late"}
    refused = await hub.guest.post("/v1/users", account)

    assert killed["state"] == "killed"
    assert problem(refused, 503, "sign-up-paused")["title"] == "Nobody can sign up at the moment"
    assert refused.headers["Retry-After"] == "300"
    assert [each.payload["state"] for each in await hub.events("flag.changed")][-1] == "killed"
    assert len(await hub.events("flag.killed")) == told + 1
    done(await operator.post(f"/v1/flags/{sign_up['id']}/launch"))
    await hub.person("after")
    await hub.settle()


async def test_a_flag_is_decided_without_a_statement_by_rules(
    hub: Hub, operator: Person, sign_up: dict[str, Any]
) -> None:
    rule = {
        "name": "Not from there",
        "when": {"attribute": "locale", "operator": "starts_with", "values": ["xx"]},
        "serve": [{"variant": "off"}],
    }
    await change(operator, sign_up, rules=[rule])

    with hub.statements() as counted:
        stopped = flags.decide(SIGN_UP, GUEST, attributes={"locale": "xx-XX"})
        others = flags.decide(SIGN_UP, GUEST, attributes={"locale": "de"})

    assert (stopped.value, stopped.reason, stopped.rule) == (False, "TARGETING_MATCH", 0)
    assert (others.value, others.reason, others.rule) == (True, "DEFAULT", None)
    assert counted.count == 0


async def test_a_flag_of_an_organization_goes_through_its_states(hub: Hub, school: School) -> None:
    owner = school.owner
    created = await owner.post("/v1/flags", new(school, "new-outline"))
    flag = done(created, 201)
    path = f"/v1/flags/{flag['id']}"
    problem(await owner.post("/v1/flags", new(school, "new-outline")), 409, "flag-key-taken")
    problem(await owner.post(f"{path}/kill"), 409, "flag-state-conflict")

    rules = [{"name": "Half", "percent": 50.0, "serve": [{"variant": "on"}]}]
    changed = await owner.patch(path, {"rules": rules}, headers={"If-Match": created.headers["ETag"]})
    late = await owner.patch(path, {"title": "Late"}, headers={"If-Match": created.headers["ETag"]})
    states = [done(await owner.post(f"{path}/{verb}"))["state"] for verb in ("launch", "kill", "launch", "archive")]

    shown = done(changed)["rules"]
    assert [(each["name"], each["percent"], each["serve"]) for each in shown] == [
        ("Half", 50.0, [{"variant": "on", "weight": 1}])
    ]
    problem(late, 412, "stale")
    assert states == ["live", "killed", "live", "archived"]
    versions = done(await owner.get(f"{path}/versions", params={"limit": 4}))
    rest = done(await owner.get(f"{path}/versions", params={"cursor": versions["next_cursor"]}))
    assert [(each["version"], each["state"]) for each in (*versions["items"], *rest["items"])] == [
        (6, "archived"),
        (5, "live"),
        (4, "killed"),
        (3, "live"),
        (2, "draft"),
        (1, "draft"),
    ]
    current = (await owner.get(path)).headers["ETag"]
    problem(await owner.patch(path, {"title": "Gone"}, headers={"If-Match": current}), 409, "flag-state-conflict")
    await hub.settle()


async def test_an_organization_touches_neither_the_platforms_flags_nor_others(
    hub: Hub, operator: Person, school: School, sign_up: dict[str, Any]
) -> None:
    own = done(await school.owner.post("/v1/flags", new(school, "ours-alone")), 201)
    rival = await hub.school()

    problem(await school.owner.post(f"/v1/flags/{sign_up['id']}/kill"), 404, "flag-not-found")
    problem(await school.owner.post("/v1/flags", {**new(school, "a.b"), "organization_id": None}), 403)
    problem(await school.owner.post("/v1/flags", new(school, "with.dot")), 422)
    problem(await rival.owner.get(f"/v1/flags/{own['id']}"), 404, "flag-not-found")
    problem(await rival.owner.post(f"/v1/flags/{own['id']}/kill"), 404, "flag-not-found")
    assert done(await rival.owner.get("/v1/flags"))["items"] == []
    problem(await operator.patch(f"/v1/flags/{sign_up['id']}", {"title": "x"}, headers={"If-Match": '"1"'}), 412)
    etag = (await operator.get(f"/v1/flags/{sign_up['id']}")).headers["ETag"]
    renamed = await operator.patch(f"/v1/flags/{sign_up['id']}", {"title": "Mine"}, headers={"If-Match": etag})
    problem(renamed, 409, "flag-is-declared")
    problem(await operator.post(f"/v1/flags/{sign_up['id']}/archive"), 409, "flag-is-declared")
    await hub.settle()


def nested(depth: int) -> dict[str, Any]:
    condition: dict[str, Any] = {"attribute": "plan", "operator": "in", "values": ["pro"]}
    for _ in range(depth):
        condition = {"not": condition}
    return condition


def when(operator: str, *values: Any) -> dict[str, Any]:
    return {"when": {"attribute": "plan", "operator": operator, "values": list(values)}, "serve": [{"variant": "on"}]}


_STEPS = [{"at": "2031-01-02T00:00:00Z", "percent": 1.0}, {"at": "2031-01-01T00:00:00Z", "percent": 2.0}]


@pytest.mark.parametrize(
    ("fields", "slug", "pointer"),
    [
        ({"rules": [{"when": nested(5), "serve": [{"variant": "on"}]}]}, None, None),
        ({"rules": [{"when": nested(6), "serve": [{"variant": "on"}]}]}, "rules-too-deep", "/rules/0/when"),
        (
            {"rules": [{"serve": [{"variant": "on"}]}, {"serve": [{"variant": "of"}]}]},
            "unknown-variant",
            "/rules/1/serve",
        ),
        ({"default_variant": "maybe"}, "unknown-variant", "/default_variant"),
        ({"variants": {"on": True, "off": "no"}}, "variant-type-mismatch", "/variants"),
        ({"variants": {"on": None, "off": None}}, "variant-type-mismatch", "/variants"),
        ({"variants": {"on": "x" * 70_000, "off": ""}}, "rules-too-large", "/rules"),
        ({"rules": [when("in", 5)]}, "condition-invalid", "/rules/0/when/values"),
        ({"rules": [when("is", True, False)]}, "condition-invalid", "/rules/0/when/values"),
        ({"rules": [when("below", True)]}, "condition-invalid", "/rules/0/when/values"),
        ({"rules": [{"when": {"all": []}, "serve": [{"variant": "on"}]}]}, "condition-invalid", "/rules/0/when/all"),
        ({"rules": [{"when": {}, "serve": [{"variant": "on"}]}]}, "condition-invalid", "/rules/0/when"),
        ({"rules": [{"steps": _STEPS, "serve": [{"variant": "on"}]}]}, "ramp-invalid", "/rules/0/steps"),
        ({"rules": [{"percent": 101, "serve": [{"variant": "on"}]}]}, "invalid", "/rules/0/percent"),
        ({"prerequisites": [{"flag": "nowhere", "variants": ["on"]}]}, "prerequisite-unknown", "/prerequisites/0/flag"),
    ],
)
async def test_create_rejects_poison_by_name(
    hub: Hub, school: School, fields: dict[str, Any], slug: str | None, pointer: str | None
) -> None:
    answer = await school.owner.post("/v1/flags", new(school, f"poison-{id(fields)}", **fields))

    if slug is None:
        done(answer, 201)
    else:
        [error] = problem(answer, 422, slug)["errors"]
        assert error["pointer"].startswith(pointer or "")


async def test_prerequisites_hold_and_never_form_a_cycle(hub: Hub, school: School) -> None:
    owner = school.owner
    names = ["chain-a", "chain-b", "chain-c", "chain-d", "chain-e"]
    made = {name: done(await owner.post("/v1/flags", new(school, name, default_variant="on")), 201) for name in names}

    def needs(name: str, variant: str = "on") -> list[dict[str, Any]]:
        return [{"flag": name, "variants": [variant]}]

    for name, needed in pairwise(names[:4]):
        await change(owner, made[name], prerequisites=needs(needed))

    async def refused(name: str, prerequisites: list[dict[str, Any]], slug: str) -> None:
        path = f"/v1/flags/{made[name]['id']}"
        etag = (await owner.get(path)).headers["ETag"]
        problem(await owner.patch(path, {"prerequisites": prerequisites}, headers={"If-Match": etag}), 422, slug)

    await refused("chain-d", needs("chain-a"), "prerequisite-cycle")
    await refused("chain-a", needs("chain-a"), "prerequisite-cycle")
    await refused("chain-d", needs("chain-e"), "rules-too-deep")
    await refused("chain-d", needs("chain-e", "maybe"), "unknown-variant")
    problem(await owner.post(f"/v1/flags/{made['chain-d']['id']}/archive"), 409, "flag-in-use")
    for name in names:
        done(await owner.post(f"/v1/flags/{made[name]['id']}/launch"))
    ours = flags.current()
    assert ours is not None
    decided = ours.of(school.org_id)["chain-a"].decide({}, 0, ours.of(school.org_id))
    done(await owner.post(f"/v1/flags/{made['chain-d']['id']}/kill"))
    after = ours.of(school.org_id)["chain-a"].decide({}, 0, ours.of(school.org_id))
    assert (decided.variant, after.variant) == ("on", "off")
    await hub.settle()


async def test_two_who_close_a_cycle_at_once_do_not_both_succeed(hub: Hub, school: School) -> None:
    owner = school.owner
    made = [done(await owner.post("/v1/flags", new(school, f"twin-{name}")), 201) for name in "ab"]
    requests = [
        owner.patch(
            f"/v1/flags/{made[at]['id']}",
            {"prerequisites": [{"flag": made[1 - at]["key"], "variants": ["on"]}]},
            headers={"If-Match": '"1"'},
        )
        for at in range(2)
    ]

    answers = await hub.at_once(*requests)

    assert sorted(answer.status_code for answer in answers) == [200, 422]


async def test_explain_says_which_rule_decides_and_why(hub: Hub, school: School) -> None:
    rules = [
        {**when("in", "pro"), "name": "Paying"},
        {"name": "Some", "percent": 0.0, "serve": [{"variant": "on"}]},
        {"name": "Split", "serve": [{"variant": "on", "weight": 1}, {"variant": "off", "weight": 1}]},
    ]
    flag = done(await school.owner.post("/v1/flags", new(school, "explained", rules=rules)), 201)
    path = f"/v1/flags/{flag['id']}/explain"

    paying = done(await school.owner.post(path, {"context": {"plan": "pro"}}))
    split = done(await school.owner.post(path, {"context": {"targetingKey": "ada"}}))
    nobody = done(await school.owner.post(path, {"context": {}}))

    assert paying == {
        "value": True,
        "variant": "on",
        "reason": "TARGETING_MATCH",
        "rule": "Paying",
        "because": ["Paying: it is for everybody who is meant"],
        "version": 1,
    }
    assert (split["reason"], split["rule"], len(split["because"])) == ("SPLIT", "Split", 3)
    assert split["because"][1].startswith("Some: targetingKey stands at ")
    assert nobody["because"] == [
        "Paying: its condition does not hold",
        "Some: the context has no text targetingKey, by which people are shared out",
        "Split: the context has no text targetingKey, by which people are shared out",
        "no rule decides: off is the default",
    ]
    done(await school.owner.post(f"/v1/flags/{flag['id']}/launch"))
    done(await school.owner.post(f"/v1/flags/{flag['id']}/kill"))
    killed = done(await school.owner.post(path, {"context": {"plan": "pro"}}))
    assert (killed["variant"], killed["because"]) == ("off", ["the flag is killed: everybody gets off"])


async def test_stale_flags_are_listed_with_their_last_use(hub: Hub, school: School, operator: Person) -> None:
    made = {
        name: done(await school.owner.post("/v1/flags", new(school, name, **fields)), 201)
        for name, fields in {
            "expired": {"expires_at": (datetime.now(UTC) - timedelta(days=1)).isoformat()},
            "forgotten": {},
            "in-use": {},
        }.items()
    }
    for flag in made.values():
        done(await school.owner.post(f"/v1/flags/{flag['id']}/launch"))
    await pool().execute(
        "UPDATE feature_flag.flags SET created_at = now() - interval '31 days' WHERE key = ANY($1::text[])",
        ["forgotten", "in-use"],
    )
    context = {"context": {"organization_id": str(school.org_id)}}
    done(await school.owner.post("/ofrep/v1/evaluate/flags/in-use", context))
    keeper = flags.current()
    assert keeper is not None
    await keeper.tell_use()

    query = {"stale": "true", "organization_id": str(school.org_id)}
    stale = done(await school.owner.get("/v1/flags", params=query))["items"]
    used = done(await school.owner.get(f"/v1/flags/{made['in-use']['id']}"))

    assert {each["key"]: each["stale"] for each in stale} == {"expired": ["expired"], "forgotten": ["unused"]}
    assert used["last_used_at"] is not None


async def test_a_release_that_declares_a_flag_otherwise_corrects_it(
    hub: Hub, operator: Person, sign_up: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    await change(operator, sign_up, rules=[{"name": "Kept", "serve": [{"variant": "on"}]}])
    wrong = {"variants": {"on": True, "off": False, "old": True}}
    await pool().execute(
        "UPDATE feature_flag.flags SET title = 'Old', definition = definition || $2::jsonb WHERE key = $1",
        *("user.sign_up", wrong),
    )

    await hub.run_cron("feature_flag.declare")

    corrected = await declared(operator, "user.sign_up")
    assert (corrected["title"], corrected["variants"]) == (SIGN_UP.title, {"on": True, "off": False})
    assert [each["name"] for each in corrected["rules"]] == ["Kept"]
    monkeypatch.setattr(logic, "_declared_here", set[str]())
    assert await declared(operator, "user.sign_up") == corrected


async def test_a_kill_claims_its_key_though_flags_are_declared_first(
    hub: Hub, operator: Person, sign_up: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    await pool().execute("UPDATE feature_flag.flags SET title = 'Old' WHERE key = 'user.sign_up'")
    monkeypatch.setattr(logic, "_declared_here", set[str]())
    key = {"Idempotency-Key": str(new_id())}

    first = await operator.post(f"/v1/flags/{sign_up['id']}/kill", headers=key)
    again = await operator.post(f"/v1/flags/{sign_up['id']}/kill", headers=key)

    assert done(first)["state"] == done(again)["state"] == "killed"
    assert again.headers["Idempotent-Replayed"] == "true"
