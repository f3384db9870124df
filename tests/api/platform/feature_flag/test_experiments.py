"""Experiments over HTTP: who is exposed, what is counted, what the results say, and when one stops by itself."""

from typing import Any
from uuid import UUID

import pytest

from cluster.base.ids import new_id
from cluster.data.postgres import pool
from cluster.people import flags
from tests.api.learning.course.conftest import Draft, draft, published, school
from tests.api.platform.feature_flag.test_flags import new
from tests.harness import Hub, School, done, problem

__all__ = ["draft", "published", "school"]

COMPLETIONS = "enrollment.completion_rate"
LEAVING = "enrollment.drop_out_rate"


async def live(school: School, key: str, **fields: Any) -> dict[str, Any]:
    flag = done(await school.owner.post("/v1/flags", new(school, key, **fields)), 201)
    return done(await school.owner.post(f"/v1/flags/{flag['id']}/launch"))


async def drafted(school: School, flag: dict[str, Any], **fields: Any) -> dict[str, Any]:
    body = {
        "organization_id": str(school.org_id),
        "flag_id": flag["id"],
        "title": "Does it help?",
        "layer": f"layer-{new_id().hex[-8:]}",
        "arms": [{"variant": "off"}, {"variant": "on"}],
        "metrics": [COMPLETIONS],
        **fields,
    }
    return done(await school.owner.post("/v1/experiments", body), 201)


async def verb(school: School, experiment: dict[str, Any], name: str, json: Any = None) -> dict[str, Any]:
    return done(await school.owner.post(f"/v1/experiments/{experiment['id']}/{name}", json))


async def ask(hub: Hub, school: School, key: str, unit: UUID | str, **context: str) -> dict[str, Any]:
    sent = {"context": {"targetingKey": str(unit), "organization_id": str(school.org_id), **context}}
    return done(await school.owner.post(f"/ofrep/v1/evaluate/flags/{key}", sent))


async def told() -> None:
    """Let this process tell whom it exposed."""
    keeper = flags.current()
    assert keeper is not None
    await keeper.tell_use()


async def measured(experiment: dict[str, Any], metric: str, part: str, unit: UUID, value: float, when: str) -> None:
    await pool().execute(
        """INSERT INTO feature_flag.measurements (experiment_id, metric, event_id, part, unit_id, user_id, value, measured_at)
           VALUES ($1, $2, $3, $4, $5, $5, $6, now() + $7::text::interval)""",
        *(UUID(experiment["id"]), metric, new_id(), part, unit, value, when),
    )


async def exposed(experiment: dict[str, Any], variant: str, units: list[UUID]) -> None:
    await pool().execute(
        """INSERT INTO feature_flag.exposures (experiment_id, unit_id, variant, exposed_at)
           SELECT $1, unnest($2::uuid[]), $3, now()""",
        *(UUID(experiment["id"]), units, variant),
    )


async def test_an_experiment_goes_through_its_states(hub: Hub, school: School) -> None:
    flag = await live(school, "phases")
    experiment = await drafted(school, flag)
    people = [new_id() for _ in range(60)]

    before = {(await ask(hub, school, "phases", each))["reason"] for each in people[:3]}
    running = await verb(school, experiment, "start")
    during = [(await ask(hub, school, "phases", each)) for each in people]
    again = [(await ask(hub, school, "phases", each)) for each in people]
    await told()
    results = done(await school.owner.get(f"/v1/experiments/{experiment['id']}/results"))
    stopped = await verb(school, experiment, "stop")
    after = {(await ask(hub, school, "phases", each))["reason"] for each in people[:3]}
    decided = await verb(school, experiment, "decide", {"variant": "on"})

    assert (before, after) == ({"STATIC"}, {"STATIC"})
    assert {each["reason"] for each in during} == {"SPLIT"}
    assert [each["variant"] for each in during] == [each["variant"] for each in again]
    given = [each["variant"] for each in during]
    assert results["exposed"] == {"off": given.count("off"), "on": given.count("on")}
    assert min(results["exposed"].values()) > 10
    assert results["trustworthy"] is True
    states = [running["state"], stopped["state"], decided["state"]]
    assert (states, decided["decision"]) == (["running", "stopped", "decided"], "on")
    problem(await school.owner.post(f"/v1/experiments/{experiment['id']}/start"), 409, "experiment-state-conflict")
    assert [each.payload["by_guardrail"] for each in await hub.events("experiment.stopped")][-1] is False
    await hub.settle()


async def test_experiments_of_one_layer_never_meet(hub: Hub, school: School) -> None:
    one, two = await live(school, "layered-one"), await live(school, "layered-two")
    layer = {"layer": "shared"}
    first = await drafted(school, one, **layer, from_percent=0.0, to_percent=50.0)
    second = await drafted(school, two, **layer, from_percent=50.0, to_percent=100.0)
    third = await drafted(school, two, **layer, from_percent=40.0, to_percent=60.0)
    await verb(school, first, "start")
    problem(await school.owner.post(f"/v1/experiments/{third['id']}/start"), 409, "layer-taken")
    await verb(school, second, "start")

    met: list[tuple[bool, bool]] = []
    for _ in range(40):
        person = new_id()
        answers = [await ask(hub, school, key, person) for key in ("layered-one", "layered-two")]
        met.append((answers[0]["reason"] == "SPLIT", answers[1]["reason"] == "SPLIT"))

    assert set(met) == {(True, False), (False, True)}
    await hub.settle()


async def test_create_rejects_what_is_not_there_or_not_ours(hub: Hub, school: School) -> None:
    flag, rival = await live(school, "refusing"), await hub.school()
    theirs = await live(rival, "theirs")
    body = {
        "organization_id": str(school.org_id),
        "flag_id": flag["id"],
        "title": "Bad",
        "arms": [{"variant": "off"}, {"variant": "on"}],
        "metrics": [COMPLETIONS],
    }

    async def refused(slug: str, **fields: Any) -> None:
        problem(await school.owner.post("/v1/experiments", {**body, **fields}), 422, slug)

    await refused("metric-unknown", metrics=["enrollment.nothing"])
    await refused("flag-unknown", flag_id=theirs["id"])
    await refused("flag-unknown", flag_id=str(new_id()))
    await refused("unknown-variant", arms=[{"variant": "off"}, {"variant": "maybe"}])
    await refused("invalid", arms=[{"variant": "off"}, {"variant": "off"}])
    await refused("invalid", from_percent=50.0, to_percent=50.0)
    problem(await rival.owner.post("/v1/experiments", body), 404)


async def test_events_are_counted_for_people_who_were_exposed(hub: Hub, published: Draft) -> None:
    school = published.school
    flag = await live(school, "counting")
    experiment = await drafted(school, flag, metrics=["enrollment.enrolled"])
    await verb(school, experiment, "start")
    learner, course = await hub.person("learner"), done(await school.owner.get(published.path))
    await ask(hub, school, "counting", learner.id)
    await told()

    done(await learner.post("/v1/enrollments", {"run_id": course["default_run_id"]}), 201)
    await hub.settle()

    rows = await pool().fetch(
        "SELECT metric, part, unit_id, user_id, value FROM feature_flag.measurements WHERE experiment_id = $1",
        UUID(experiment["id"]),
    )
    assert [tuple(row) for row in rows] == [("enrollment.enrolled", "value", learner.id, learner.id, 1.0)]
    before = await hub.exported(learner.id, "feature_flag")
    part = await hub.erased(learner.id, "feature_flag")
    assert {table: len(found) for table, found in before.rows.items() if found} == {
        "feature_flag.exposures": 1,
        "feature_flag.measurements": 1,
    }
    assert (part.outcome, part.rows_erased) == ("done", 2)
    await hub.settle()


async def test_results_show_an_effect_and_a_guardrail_stops(hub: Hub, school: School) -> None:
    flag = await live(school, "helping")
    experiment = await drafted(school, flag, metrics=["enrollment.enrolled"], guardrails=[LEAVING])
    await verb(school, experiment, "start")
    arms = {variant: [new_id() for _ in range(200)] for variant in ("off", "on")}
    for variant, units in arms.items():
        await exposed(experiment, variant, units)
        for index, unit in enumerate(units):
            await measured(experiment, LEAVING, "over", unit, 1, "-1 hour")
            if index % 4 == 0 or variant == "on":
                await measured(experiment, "enrollment.enrolled", "value", unit, 1, "1 hour")

    path = f"/v1/experiments/{experiment['id']}"
    helped = done(await school.owner.get(f"{path}/results"))
    await hub.run_cron("feature_flag.guard")
    unhurt = done(await school.owner.get(path))
    for unit in arms["on"][:120]:
        await measured(experiment, LEAVING, "value", unit, 1, "1 hour")
    await hub.run_cron("feature_flag.guard")
    hurt = done(await school.owner.get(path))

    [effect, guardrail] = sorted(helped["compared"], key=lambda each: each["guardrail"])
    assert (effect["metric"], effect["variant"], effect["method"]) == ("enrollment.enrolled", "on", "always valid")
    assert effect["difference"] == pytest.approx(0.75)
    assert effect["low"] > 0.5
    assert effect["p_adjusted"] < 1e-6
    assert (guardrail["metric"], guardrail["difference"]) == (LEAVING, 0)
    assert (unhurt["state"], hurt["state"]) == ("running", "stopped")
    assert [each.payload["by_guardrail"] for each in await hub.events("experiment.stopped")][-1] is True
    await hub.settle()


async def test_classes_are_units_with_their_own_errors(hub: Hub, school: School) -> None:
    flag = await live(school, "classes")
    experiment = await drafted(school, flag, unit="run")
    await verb(school, experiment, "start")
    run = new_id()

    people = [await ask(hub, school, "classes", new_id(), run_id=str(run)) for _ in range(12)]
    await told()
    rates = {"off": [0.2, 0.3, 0.25, 0.3], "on": [0.6, 0.7, 0.65, 0.5]}
    for variant, found in rates.items():
        for rate in found:
            unit = new_id()
            await exposed(experiment, variant, [unit])
            await measured(experiment, COMPLETIONS, "over", unit, 20, "-1 day")
            await measured(experiment, COMPLETIONS, "value", unit, 20 * rate, "1 hour")
    results = done(await school.owner.get(f"/v1/experiments/{experiment['id']}/results"))
    size = {"effect": 0.3, "deviation": 1.0, "people": 25}
    needed = done(await school.owner.post("/v1/experiments/-/size", size))

    assert len({each["variant"] for each in people}) == 1
    [effect] = results["compared"]
    assert (effect["method"], effect["difference"]) == ("CR2", pytest.approx(0.35))
    assert effect["degrees"] == pytest.approx(6)
    assert 0 < effect["low"] < 0.35 < effect["high"]
    assert sum(results["exposed"].values()) == 9
    assert needed == {"classes": 84}
    await hub.settle()


async def test_nobody_exposes_others_over_ofrep(hub: Hub, school: School) -> None:
    flag = await live(school, "exposing", public=True)
    experiment = await drafted(school, flag)
    await verb(school, experiment, "start")
    stranger = await hub.person()
    sent = {"context": {"organization_id": str(school.org_id), "targetingKey": str(new_id())}}
    own = {"context": {"organization_id": str(school.org_id)}}

    for person in (hub.guest, stranger):
        done(await person.post("/ofrep/v1/evaluate/flags/exposing", sent))
        done(await person.post("/ofrep/v1/evaluate/flags", sent))
    done(await stranger.post("/ofrep/v1/evaluate/flags/exposing", own))
    await told()

    rows = await pool().fetch(
        "SELECT unit_id FROM feature_flag.exposures WHERE experiment_id = $1", UUID(experiment["id"])
    )
    assert [row["unit_id"] for row in rows] == [stranger.id]
