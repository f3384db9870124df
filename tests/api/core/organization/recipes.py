"""How to ask each operation of organization for something that it grants; see `tests.platform.recipes`."""

from tests.platform.recipes import Ask, listing, open_to_all, recipe, simple, version
from tests.platform.world import World

open_to_all("organization_preview", "the invitation's token is what it asks for")
listing("organization_list_organizations", "owner", "insider", id="org_id")
simple("organization_get_organization", "owner", "insider", organization_id="org_id")
listing("organization_list_members", "owner", organization_id="org_id")


@recipe("organization_create_organization", own=True)
async def _(world: World) -> Ask:
    return Ask(by=world.owner, body={"name": "New", "slug": f"new-{world.new_role()['name'].replace('_', '-')}"})


@recipe("organization_change_organization")
async def _(world: World) -> Ask:
    headers = await version(world.owner, f"/v1/organizations/{world.org_id}")
    return Ask(by=world.owner, ids={"organization_id": world.org_id}, body={"name": "Renamed"}, headers=headers)


simple("organization_get_settings", "owner", "insider", organization_id="org_id")
simple("organization_get_platform_settings", "operator")


@recipe("organization_change_settings")
async def _(world: World) -> Ask:
    headers = await version(world.owner, f"/v1/organizations/{world.org_id}/settings")
    body = {"organization.invitation_days": 3}
    return Ask(by=world.owner, ids={"organization_id": world.org_id}, body=body, headers=headers)


@recipe("organization_change_platform_settings")
async def _(world: World) -> Ask:
    headers = await version(world.operator, "/v1/organizations/-/settings")
    return Ask(by=world.operator, body={"locked": {"organization.invitation_days": False}}, headers=headers)


@recipe("organization_suspend")
async def _(world: World) -> Ask:
    return Ask(by=world.operator, ids={"organization_id": (await world.hub.school()).org_id})


@recipe("organization_resume")
async def _(world: World) -> Ask:
    org_id = (await world.hub.school()).org_id
    assert (await world.operator.post(f"/v1/organizations/{org_id}/suspend")).status_code == 200
    return Ask(by=world.operator, ids={"organization_id": org_id})


@recipe("organization_transfer")
async def _(world: World) -> Ask:
    school = await world.hub.school()
    new = {"organization_id": str(school.org_id)}
    token = (await school.owner.post("/v1/invitations", new)).json()["token"]
    successor = await world.hub.person("successor")
    assert (await successor.post("/v1/invitations/-/accept", {"token": token})).status_code == 200
    return Ask(by=school.owner, ids={"organization_id": school.org_id}, body={"user_id": str(successor.id)})


@recipe("organization_get_member")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"member_id": (await world.member())["id"]})


@recipe("organization_change_member")
async def _(world: World) -> Ask:
    id = (await world.member())["id"]
    headers = await version(world.owner, f"/v1/members/{id}")
    return Ask(by=world.owner, ids={"member_id": id}, body={"display_name": "Ada"}, headers=headers)


@recipe("organization_suspend_member")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"member_id": (await world.member())["id"]})


@recipe("organization_reactivate")
async def _(world: World) -> Ask:
    id = (await world.member())["id"]
    assert (await world.owner.post(f"/v1/members/{id}/suspend")).status_code == 200
    return Ask(by=world.owner, ids={"member_id": id})


@recipe("organization_remove")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"member_id": (await world.member())["id"]})


@recipe("organization_leave")
async def _(world: World) -> Ask:
    person = await world.hub.person("leaving")
    return Ask(by=person, ids={"member_id": (await world.member(person))["id"]})


@recipe("organization_list_invitations")
async def _(world: World) -> Ask:
    await world.invitation()
    return Ask(by=world.owner, query={"organization_id": world.org_id})


@recipe("organization_invite")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, body={"organization_id": world.org_id})


@recipe("organization_accept")
async def _(world: World) -> Ask:
    person = await world.verified()
    return Ask(by=person, body={"token": (await world.invitation(email=person.email))["token"]})


@recipe("organization_get_invitation")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"invitation_id": (await world.invitation())["id"]})


@recipe("organization_revoke")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"invitation_id": (await world.invitation())["id"]})
