"""How to ask each operation of rbac for something that it grants; see `tests.platform.recipes`."""

from tests.platform.recipes import Ask, recipe, version
from tests.platform.world import World


@recipe("rbac_list_grants")
async def _(world: World) -> Ask:
    grant = await world.grant()
    return Ask(by=world.owner, query={"organization_id": world.org_id, "user_id": grant["user_id"]})


@recipe("rbac_create_grant")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, body=await world.new_grant())


@recipe("rbac_get_grant")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"grant_id": (await world.grant())["id"]})


@recipe("rbac_end_grant")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"grant_id": (await world.grant())["id"]})


@recipe("rbac_list_roles", "insider")
async def _(world: World) -> Ask:
    await world.role()
    return Ask(by=world.owner, query={"organization_id": world.org_id, "limit": 100})


@recipe("rbac_create_role")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, body=world.new_role())


@recipe("rbac_explain")
async def _(world: World) -> Ask:
    about = {"user_id": str(world.bystander.id), "permission": "course:edit", "organization_id": world.org_id}
    return Ask(by=world.owner, query=about)


@recipe("rbac_get_role", "insider")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"role_id": (await world.role())["id"]})


@recipe("rbac_change_role")
async def _(world: World) -> Ask:
    id = (await world.role())["id"]
    headers = await version(world.owner, f"/v1/roles/{id}")
    return Ask(by=world.owner, ids={"role_id": id}, body={"title": "Another"}, headers=headers)


@recipe("rbac_delete_role")
async def _(world: World) -> Ask:
    id = (await world.role())["id"]
    return Ask(by=world.owner, ids={"role_id": id}, headers=await version(world.owner, f"/v1/roles/{id}"))
