"""How to ask each operation of gateway for something that it grants; see `tests.platform.recipes`."""

from typing import Any

from cluster.base.ids import new_id
from cluster.base.principal import PLATFORM
from cluster.data import write
from cluster.jobs import operations
from cluster.people import usage
from tests.harness import done
from tests.platform.recipes import Ask, open_to_all, recipe, version
from tests.platform.world import World

open_to_all("gateway_jwks", "public keys")
open_to_all("gateway_follow", "a stream has no end to wait for: live/test_rights.py asks who may follow what")
open_to_all("gateway_list_services", "the state of the platform is no secret")


@recipe("gateway_get_operation")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"operation_id": await world.operation()})


@recipe("gateway_list_operations", own=True)
async def _(world: World) -> Ask:
    await world.operation()
    async with write(PLATFORM) as tx:
        await operations.start(tx, "test.walked", owner_id=world.rival.id)
    return Ask(by=world.owner)


@recipe("gateway_cancel_operation")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"operation_id": await world.operation()})


@recipe("gateway_list_rows")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"operation_id": await world.bulk()})


@recipe("gateway_report")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"operation_id": await world.operation()})


@recipe("gateway_undo_operation")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"operation_id": await world.bulk()})


open_to_all("gateway_get_limits", "everybody has limits of their own")
open_to_all("gateway_get_price", "prices are no secret")

_PLAN = {"slug": "walked", "limits": [{"bucket": "person", "units": 1_000_000, "window_s": 60}]}


async def _draft(world: World) -> str:
    return done(await world.operator.post("/v1/rate-plans", _PLAN), 201)["id"]


async def _active(world: World) -> str:
    id = await _draft(world)
    done(await world.operator.post(f"/v1/rate-plans/{id}/activate"))
    return id


async def _new_override(world: World) -> dict[str, Any]:
    await _active(world)
    return {"plan": "walked", "organization_id": world.org_id, "reason": "a walk"}


async def _override(world: World) -> str:
    return done(await world.operator.post("/v1/rate-overrides", await _new_override(world)), 201)["id"]


def _new_window() -> dict[str, Any]:
    times = {"starts_at": "2040-05-04T20:00:00Z", "ends_at": "2040-05-04T21:00:00Z"}
    return {"scope": "platform", "mode": "read_only", "reason": "a walk", **times}


async def _window(world: World) -> str:
    return done(await world.operator.post("/v1/maintenance-windows", _new_window()), 201)["id"]


def _new_origin(world: World) -> dict[str, Any]:
    return {"organization_id": world.org_id, "origin": f"https://{new_id().hex}.example"}


async def _origin(world: World) -> str:
    return done(await world.owner.post("/v1/cors-origins", _new_origin(world)), 201)["id"]


@recipe("gateway_create_rate_plan")
async def _(world: World) -> Ask:
    return Ask(by=world.operator, body=_PLAN)


@recipe("gateway_list_rate_plans")
async def _(world: World) -> Ask:
    await _draft(world)
    return Ask(by=world.operator)


@recipe("gateway_get_rate_plan")
async def _(world: World) -> Ask:
    return Ask(by=world.operator, ids={"rate_plan_id": await _draft(world)})


@recipe("gateway_change_rate_plan")
async def _(world: World) -> Ask:
    id = await _draft(world)
    headers = await version(world.operator, f"/v1/rate-plans/{id}")
    return Ask(by=world.operator, ids={"rate_plan_id": id}, body={"limits": _PLAN["limits"]}, headers=headers)


@recipe("gateway_activate_rate_plan")
async def _(world: World) -> Ask:
    return Ask(by=world.operator, ids={"rate_plan_id": await _draft(world)})


@recipe("gateway_retire_rate_plan")
async def _(world: World) -> Ask:
    slug = f"walked-{new_id().hex[-12:]}"
    id = done(await world.operator.post("/v1/rate-plans", _PLAN | {"slug": slug}), 201)["id"]
    done(await world.operator.post(f"/v1/rate-plans/{id}/activate"))
    return Ask(by=world.operator, ids={"rate_plan_id": id})


@recipe("gateway_create_rate_override")
async def _(world: World) -> Ask:
    return Ask(by=world.operator, body=await _new_override(world))


@recipe("gateway_list_rate_overrides")
async def _(world: World) -> Ask:
    await _override(world)
    return Ask(by=world.operator, query={"organization_id": world.org_id})


@recipe("gateway_get_rate_override")
async def _(world: World) -> Ask:
    return Ask(by=world.operator, ids={"rate_override_id": await _override(world)})


@recipe("gateway_end_rate_override")
async def _(world: World) -> Ask:
    return Ask(by=world.operator, ids={"rate_override_id": await _override(world)})


@recipe("gateway_plan_maintenance")
async def _(world: World) -> Ask:
    return Ask(by=world.operator, body=_new_window())


@recipe("gateway_list_maintenance")
async def _(world: World) -> Ask:
    await _window(world)
    return Ask(by=world.operator)


@recipe("gateway_get_maintenance")
async def _(world: World) -> Ask:
    return Ask(by=world.operator, ids={"maintenance_window_id": await _window(world)})


@recipe("gateway_change_maintenance")
async def _(world: World) -> Ask:
    id = await _window(world)
    headers = await version(world.operator, f"/v1/maintenance-windows/{id}")
    body = {"ends_at": "2040-05-04T22:00:00Z"}
    return Ask(by=world.operator, ids={"maintenance_window_id": id}, body=body, headers=headers)


@recipe("gateway_end_maintenance")
async def _(world: World) -> Ask:
    return Ask(by=world.operator, ids={"maintenance_window_id": await _window(world)})


@recipe("gateway_register_cors_origin")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, body=_new_origin(world))


@recipe("gateway_list_cors_origins")
async def _(world: World) -> Ask:
    await _origin(world)
    return Ask(by=world.owner, query={"organization_id": world.org_id})


@recipe("gateway_get_cors_origin")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"cors_origin_id": await _origin(world)})


@recipe("gateway_remove_cors_origin")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"cors_origin_id": await _origin(world)})


@recipe("gateway_list_usage")
async def _(world: World) -> Ask:
    done(await world.owner.get(f"/v1/organizations/{world.org_id}"))
    await usage.current().hand_over()
    return Ask(by=world.owner, query={"organization_id": world.org_id})
