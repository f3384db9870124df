"""Evaluation for clients of others: flagd's core and a stock OFREP provider are the oracles."""

import asyncio
import copy
import random
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import FlagNotFoundError, InvalidContextError

from api.platform.feature_flag.evaluation import flagd
from cluster.base.ids import OrgId, new_id
from cluster.people.flags import CompiledFlag, FlagRow
from tests.api.platform.feature_flag.conftest import change, declared
from tests.api.platform.feature_flag.test_flags import new
from tests.harness import Hub, Person, School, done, problem

PLANS = ["free", "pro", "team"]
_VALUES: dict[str, list[Any]] = {
    "targetingKey": ["", "ada", "grace", "Zoë", "x" * 30, "y" * 300],
    "plan": [*PLANS, "", 5, True, None, ["pro"], ["free", 7], {"pro": 1}],
    "locale": ["de", "de-AT", "en", "en-GB", 3, None],
    "seats": [0, 1, 4, 5, 5.0, 5.5, -1, "5", True, False, None, [5]],
    "beta": [True, False, 1, 0, "true", "false", None],
    "organization_id": ["one", "two", None],
}


def _leaf(rng: random.Random) -> dict[str, Any]:
    def leaf(attribute: str, operator: str, *values: Any) -> dict[str, Any]:
        return {"attribute": attribute, "operator": operator, "values": list(values)}

    return rng.choice(
        [
            leaf("plan", "in", *rng.sample(PLANS, 2)),
            leaf("organization_id", "in", "one"),
            leaf("locale", rng.choice(["starts_with", "ends_with"]), rng.choice(["de", "GB", ""]), "AT"),
            leaf("seats", rng.choice(["at_least", "below"]), rng.choice([0, 1, 5, 5.25])),
            leaf("beta", "is", rng.choice([True, False])),
            leaf("missing", "in", "x"),
        ]
    )


def _condition(rng: random.Random, depth: int = 0) -> dict[str, Any]:
    kind = rng.choice(["leaf", "leaf", "all", "any", "not"]) if depth < 4 else "leaf"
    if kind == "leaf":
        return _leaf(rng)
    if kind == "not":
        return {"not": _condition(rng, depth + 1)}
    return {kind: [_condition(rng, depth + 1) for _ in range(rng.randint(1, 3))]}


def _rule(rng: random.Random) -> dict[str, Any]:
    rule: dict[str, Any] = {"by": rng.choice(["targetingKey", "targetingKey", "organization_id", "plan"])}
    rule["serve"] = [
        {"variant": name, "weight": rng.choice([1, 3, 50_000])} for name in rng.sample("abc", rng.randint(1, 3))
    ]
    if rng.random() < 0.7:
        rule["when"] = _condition(rng)
    if rng.random() < 0.5:
        rule["steps"] = [
            {"at": at, "share": rng.choice([0, 1, 20_000, 99_999, 100_000])}
            for at in sorted(rng.sample([0, 1_000, 4_000_000_000], rng.randint(1, 3)))
        ]
    elif rng.random() < 0.3:
        first, last = sorted(rng.sample(range(0, 100_001, 10_000), 2))
        rule |= {"slot": [first, last], "slot_seed": "layer"}
    return rule


def _flags(rng: random.Random, count: int) -> dict[str, CompiledFlag]:
    made: dict[str, CompiledFlag] = {}
    for number in range(count):
        needed = rng.sample(sorted(made), min(len(made), rng.choice([0, 0, 1, 2])))
        definition = {
            "type": "string",
            "variants": {"a": "A", "b": "B", "c": "C"},
            "default_variant": "a",
            "off_variant": "c",
            "prerequisites": [{"flag": key, "variants": rng.sample("abc", 2)} for key in needed if number < 15],
            "rules": [_rule(rng) for _ in range(rng.randint(0, 4))],
        }
        key = f"flag-{number}"
        state = rng.choice(["live"] * 9 + ["killed"])
        row = FlagRow(id=new_id(), key=key, org_id=None, state=state, public=True, definition=definition, seq=number)
        made[key] = CompiledFlag(row)
    return made


def test_thousands_of_contexts_are_decided_as_flagd_decides_them() -> None:
    rng = random.Random(20_310_504)
    made = _flags(rng, 40)
    core = FlagdCore()
    core.set_flags({"flags": {key: copy.deepcopy(flagd.flag_of(flag, made)) for key, flag in made.items()}})

    wrong: list[Any] = []
    seen: set[tuple[str, str]] = set()
    for number in range(8_000):
        context = {name: value for name, values in _VALUES.items() if (value := rng.choice(values)) is not None}
        if rng.random() < 0.5:
            context["targetingKey"] = f"person-{number}"
        key, flag = rng.choice(list(made.items()))
        ours = flag.decide(context, 2_000_000_000, made)
        attributes = {name: value for name, value in context.items() if name != "targetingKey"}
        theirs = core.resolve_string_value(key, "?", EvaluationContext(context.get("targetingKey"), attributes))
        seen.add((key, ours.variant))
        if (flag.variants[ours.variant], ours.variant) != (theirs.value, theirs.variant):
            wrong.append((key, context, ours, theirs))

    assert wrong == []
    assert len(seen) > len(made)


def test_a_larger_share_takes_people_in_and_moves_nobody() -> None:
    people = [f"person-{number}" for number in range(4_000)]

    def given(share: int) -> dict[str, str]:
        serve = [{"variant": "a", "weight": 1}, {"variant": "b", "weight": 2}]
        rule = {"by": "targetingKey", "steps": [{"at": 0, "share": share}], "serve": serve}
        definition = {
            "variants": {"a": 1, "b": 2, "off": 0},
            "default_variant": "off",
            "off_variant": "off",
            "rules": [rule],
        }
        row = FlagRow(id=new_id(), key="k", org_id=None, state="live", public=True, definition=definition, seq=1)
        flag = CompiledFlag(row)
        decided = {person: flag.decide({"targetingKey": person}, 0, {}).variant for person in people}
        return {person: variant for person, variant in decided.items() if variant != "off"}

    before: dict[str, str] = {}
    for share in (1_000, 10_000, 25_000, 60_000, 99_999, 100_000):
        now = given(share)
        assert before.items() <= now.items()
        assert abs(len(now) / len(people) - share / 100_000) < 0.025
        before = now
    assert abs(list(before.values()).count("a") / len(people) - 1 / 3) < 0.025


@pytest.fixture(scope="module")
async def school(hub: Hub) -> School:
    return await hub.school()


@pytest.fixture(scope="module")
async def url(hub: Hub) -> AsyncIterator[str]:
    """Serve the platform on a port: stock clients are not asynchronous."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(100)
        config = uvicorn.Config(hub.host, lifespan="off", log_config=None)
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve(sockets=[listening]))
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        await task


def _context(org_id: OrgId, person: str) -> EvaluationContext:
    return EvaluationContext(person, {"organization_id": str(org_id)})


async def test_a_stock_ofrep_client_decides_as_we_and_flagd_do(hub: Hub, school: School, url: str) -> None:
    rules = [
        {"when": {"attribute": "plan", "operator": "in", "values": ["pro"]}, "serve": [{"variant": "on"}]},
        {"percent": 40.0, "serve": [{"variant": "on"}]},
    ]
    flag = done(await school.owner.post("/v1/flags", new(school, "stock", rules=rules)), 201)
    done(await school.owner.post(f"/v1/flags/{flag['id']}/launch"))
    token = school.owner.client.headers["Authorization"]
    provider = OFREPProvider(url, headers_factory=lambda: {"Authorization": token, "Host": "hub.test"})
    definitions = done(await school.owner.get("/v1/flags/-/flagd", params={"organization_id": str(school.org_id)}))
    core = FlagdCore()
    core.set_flags(definitions)

    answers: list[tuple[bool, bool]] = []
    for number in range(40):
        known = {"organization_id": str(school.org_id), "plan": "pro" if number % 4 == 0 else "free"}
        context = EvaluationContext(f"person-{number}", known)
        remote = await asyncio.to_thread(provider.resolve_boolean_details, "stock", False, context)
        answers.append((remote.value, core.resolve_boolean_value("stock", False, context).value))
    done(await school.owner.post(f"/v1/flags/{flag['id']}/kill"))
    killed = await asyncio.to_thread(provider.resolve_boolean_details, "stock", True, _context(school.org_id, "ada"))

    assert [remote for remote, _ in answers] == [local for _, local in answers]
    assert 10 < sum(remote for remote, _ in answers) < 40
    assert (killed.value, killed.variant, str(killed.reason)) == (False, "off", "DISABLED")
    for key, context, error in (
        ("nothing", _context(school.org_id, "ada"), FlagNotFoundError),
        ("stock", EvaluationContext("ada"), InvalidContextError),
        ("stock", _context(OrgId(new_id()), "ada"), FlagNotFoundError),
    ):
        with pytest.raises(error):
            await asyncio.to_thread(provider.resolve_boolean_details, key, True, context)


async def test_ofrep_shows_nobody_what_is_not_for_them(hub: Hub, operator: Person, school: School) -> None:
    flag = done(await school.owner.post("/v1/flags", new(school, "members-only")), 201)
    public = done(await school.owner.post("/v1/flags", new(school, "for-all", public=True)), 201)
    for each in (flag, public):
        done(await school.owner.post(f"/v1/flags/{each['id']}/launch"))
    sent = {"context": {"organization_id": str(school.org_id)}}
    stranger = await hub.person()

    shown = {
        name: {each["key"] for each in done(await person.post("/ofrep/v1/evaluate/flags", sent))["flags"]}
        for name, person in (("owner", school.owner), ("stranger", stranger), ("guest", hub.guest))
    }

    assert {"members-only", "for-all", "user.sign_up"} <= shown["owner"]
    assert shown["stranger"] == shown["guest"]
    assert {"for-all", "user.sign_up"} <= shown["guest"]
    assert "members-only" not in shown["guest"]
    refused = await hub.guest.post("/ofrep/v1/evaluate/flags/members-only", sent)
    unknown = await hub.guest.post("/ofrep/v1/evaluate/flags/nothing-there", sent)
    assert problem(refused, 404)["errorCode"] == problem(unknown, 404)["errorCode"] == "FLAG_NOT_FOUND"
    problem(await stranger.get("/v1/flags/-/flagd"), 403)
    problem(await stranger.get("/v1/flags/-/flagd", params={"organization_id": str(school.org_id)}), 404)


async def test_a_bulk_answer_has_an_etag_of_rules_and_context(hub: Hub, operator: Person, school: School) -> None:
    flag = done(await school.owner.post("/v1/flags", new(school, "tagged", public=True)), 201)
    done(await school.owner.post(f"/v1/flags/{flag['id']}/launch"))

    async def ask(person: str, etag: str | None = None) -> Any:
        sent = {"context": {"targetingKey": person, "organization_id": str(school.org_id)}}
        headers = {} if etag is None else {"If-None-Match": etag}
        return await hub.guest.post("/ofrep/v1/evaluate/flags", sent, headers=headers)

    first = await ask("ada")
    etag = first.headers["ETag"]
    same, other = await ask("ada", etag), await ask("grace", etag)
    await change(school.owner, flag, default_variant="on")
    changed = await ask("ada", etag)

    assert (first.status_code, same.status_code, other.status_code, changed.status_code) == (200, 304, 200, 200)
    assert (same.content, same.headers["ETag"]) == (b"", etag)
    decided = {each["key"]: each["value"] for each in changed.json()["flags"]}
    assert decided["tagged"] is True


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"{", "PARSE_ERROR"),
        (b"[]", "INVALID_CONTEXT"),
        (b'{"context": 5}', "INVALID_CONTEXT"),
        (b'{"context": {"targetingKey": 5}}', "INVALID_CONTEXT"),
        (b'{"context": {"a": "' + b"x" * 70_000 + b'"}}', "INVALID_CONTEXT"),
        (b'{"context": {"a": "\\u0000"}}', "PARSE_ERROR"),
        (b'{"context": {"organization_id": "one"}}', "INVALID_CONTEXT"),
    ],
)
async def test_ofrep_rejects_a_bad_context_in_its_own_format(hub: Hub, content: bytes, code: str) -> None:
    for path in ("/ofrep/v1/evaluate/flags", "/ofrep/v1/evaluate/flags/some"):
        answer = await hub.guest.client.post(path, content=content, headers={"Content-Type": "application/json"})
        found = problem(answer, 400, "evaluation-invalid")
        assert (found["errorCode"], bool(found["errorDetails"])) == (code, True)


async def test_ofrep_evaluates_without_a_body_for_whoever_asks(hub: Hub, operator: Person) -> None:
    await declared(operator, "user.sign_up")

    found = done(await hub.guest.client.post("/ofrep/v1/evaluate/flags/user.sign_up"))

    assert (found["key"], found["value"], found["variant"]) == ("user.sign_up", True, "on")
