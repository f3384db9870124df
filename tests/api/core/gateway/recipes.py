"""How to ask each operation of gateway for something that it grants; see `tests.platform.recipes`."""

from tests.platform.recipes import Ask, open_to_all, recipe
from tests.platform.world import World

open_to_all("gateway_jwks", "public keys")
open_to_all("gateway_list_services", "the state of the platform is no secret")


@recipe("gateway_get_operation")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"operation_id": await world.operation()})


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
