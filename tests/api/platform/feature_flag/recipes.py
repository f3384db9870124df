"""How to ask each operation of feature_flag for something that it grants; see `tests.platform.recipes`."""

from itertools import count
from typing import Any

from tests.harness import done
from tests.platform.recipes import Ask, open_to_all, recipe, version
from tests.platform.world import World

_number = count(1)

open_to_all("feature_flag_follow_flags", "a stream has no end to wait for: test_streams.py asks who hears of what")


def _new(world: World) -> dict[str, Any]:
    return {"organization_id": world.org_id, "key": f"walk-{next(_number)}", "title": "New", "owner": "team"}


async def _flag(world: World) -> dict[str, Any]:
    return done(await world.owner.post("/v1/flags", _new(world)), 201)


async def _live(world: World) -> dict[str, Any]:
    flag = await _flag(world)
    return done(await world.owner.post(f"/v1/flags/{flag['id']}/launch"))


@recipe("feature_flag_create_flag")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, body=_new(world))


@recipe("feature_flag_list_flags")
async def _(world: World) -> Ask:
    await _flag(world)
    return Ask(by=world.owner, query={"organization_id": world.org_id})


for _operation in ("get_flag", "list_versions", "launch_flag", "archive_flag"):

    @recipe(f"feature_flag_{_operation}")
    async def _(world: World) -> Ask:
        return Ask(by=world.owner, ids={"flag_id": (await _flag(world))["id"]})


@recipe("feature_flag_kill_flag")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"flag_id": (await _live(world))["id"]})


@recipe("feature_flag_change_flag")
async def _(world: World) -> Ask:
    flag = await _flag(world)
    headers = await version(world.owner, f"/v1/flags/{flag['id']}")
    return Ask(by=world.owner, ids={"flag_id": flag["id"]}, body={"title": "Changed"}, headers=headers)


@recipe("feature_flag_explain_flag")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"flag_id": (await _flag(world))["id"]}, body={"context": {}})


@recipe("feature_flag_get_flagd_definitions")
async def _(world: World) -> Ask:
    await _live(world)
    return Ask(by=world.owner, query={"organization_id": world.org_id})


@recipe("feature_flag_evaluate_flag", "insider", hidden=False)
async def _(world: World) -> Ask:
    flag = await _live(world)
    return Ask(by=world.owner, ids={"key": flag["key"]}, body={"context": {"organization_id": world.org_id}})


@recipe("feature_flag_evaluate_flags", "insider", hidden=False)
async def _(world: World) -> Ask:
    await _live(world)
    return Ask(by=world.owner, body={"context": {"organization_id": world.org_id}})


async def _experiment(world: World, state: str = "draft") -> str:
    flag = await _live(world)
    return await experiment_on(world, flag["id"], state)


async def experiment_on(world: World, flag_id: str, state: str) -> str:
    """Make an experiment in a state and return its id."""
    made = done(await world.owner.post("/v1/experiments", _new_experiment(world, flag_id)), 201)
    for verb in {"draft": [], "running": ["start"], "stopped": ["start", "stop"]}[state]:
        done(await world.owner.post(f"/v1/experiments/{made['id']}/{verb}"))
    return made["id"]


def _new_experiment(world: World, flag_id: str) -> dict[str, Any]:
    return {
        "organization_id": world.org_id,
        "flag_id": flag_id,
        "title": "Does it help?",
        "layer": f"walk-{next(_number)}",
        "arms": [{"variant": "off"}, {"variant": "on"}],
        "metrics": ["enrollment.enrolled"],
    }


@recipe("feature_flag_create_experiment")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, body=_new_experiment(world, (await _live(world))["id"]))


@recipe("feature_flag_list_experiments")
async def _(world: World) -> Ask:
    await _experiment(world)
    return Ask(by=world.owner, query={"organization_id": world.org_id})


_STATES = {
    "get_experiment": "draft",
    "start_experiment": "draft",
    "stop_experiment": "running",
    "get_results": "running",
}
for _name, _state in _STATES.items():

    @recipe(f"feature_flag_{_name}")
    async def _(world: World, state: str = _state) -> Ask:
        return Ask(by=world.owner, ids={"experiment_id": await _experiment(world, state)})


@recipe("feature_flag_decide_experiment")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"experiment_id": await _experiment(world, "stopped")}, body={"variant": "on"})


@recipe("feature_flag_size_experiment", own=True)
async def _(world: World) -> Ask:
    return Ask(by=world.owner, body={"effect": 0.3, "deviation": 1.0, "people": 25})
