"""How to ask each operation of user for something that it grants; see `tests.platform.recipes`."""

from tests.files import upload
from tests.harness import PASSWORD, Person, done
from tests.platform.recipes import Ask, listing, open_to_all, recipe, simple, version
from tests.platform.world import World

open_to_all("user_sign_up", "open to all")
open_to_all("user_get_privacy_report", "the token is what it asks for")
simple("user_get_user", "bystander", private=True, user_id="bystander.id")
listing("user_list_users", "operator", email="owner.email")


@recipe("user_change_user", private=True)
async def _(world: World) -> Ask:
    person = world.bystander
    headers = await version(person, f"/v1/users/{person.id}")
    return Ask(by=person, ids={"user_id": person.id}, body={"pronouns": "she/her"}, headers=headers)


@recipe("user_change_email", own=True)
async def _(world: World) -> Ask:
    person = await world.hub.person("changing")
    return Ask(by=person, body={"email": f"new-{person.email}", "password": PASSWORD})


@recipe("user_resend_verification", own=True)
async def _(world: World) -> Ask:
    return Ask(by=await world.hub.person("waiting"))


@recipe("user_verify_email", own=True)
async def _(world: World) -> Ask:
    person = await world.hub.person("verifying")
    return Ask(by=person, body={"token": await world.mailed(person)})


@recipe("user_create_privacy_request", own=True)
async def _(world: World) -> Ask:
    return Ask(by=await world.hub.person("leaving"), body={"kind": "export"})


@recipe("user_list_privacy_requests")
async def _(world: World) -> Ask:
    await world.privacy_request()
    return Ask(by=world.owner, query={"organization_id": world.org_id})


@recipe("user_list_own_privacy_requests", own=True, route=("get", "/v1/privacy-requests"))
async def _(world: World) -> Ask:
    people = [await world.hub.person("leaving"), world.peer]
    listed = [done(await person.get("/v1/privacy-requests"))["items"] for person in people]
    for person, requests in zip(people, listed, strict=True):
        if not requests:
            await world.privacy_request(person)
    return Ask(by=people[0])


@recipe("user_get_own_privacy_request", private=True, route=("get", "/v1/privacy-requests/{request_id}"))
async def _(world: World) -> Ask:
    person = await world.hub.person("leaving")
    return Ask(by=person, ids={"request_id": await world.privacy_request(person)})


@recipe("user_get_privacy_request")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"request_id": await world.privacy_request()})


@recipe("user_confirm_privacy_request", private=True)
async def _(world: World) -> Ask:
    person = await world.hub.person("leaving")
    return Ask(by=person, ids={"request_id": await world.privacy_request(person)})


@recipe("user_cancel_privacy_request")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"request_id": await world.privacy_request()})


@recipe("user_get_privacy_archive", private=True)
async def _(world: World) -> Ask:
    person = await world.hub.person("leaving")
    request_id = await world.privacy_request(person)
    done(await person.post(f"/v1/privacy-requests/{request_id}/confirm"))
    await world.hub.settle()
    return Ask(by=person, ids={"request_id": request_id})


async def _avatar(world: World) -> tuple[Person, str]:
    """Return somebody who has uploaded a picture of themselves."""
    person = await world.hub.person("pictured")
    asset_id = await upload(person, "user:me", "avatar")
    await world.hub.settle()
    return person, asset_id


@recipe("user_set_avatar", own=True)
async def _(world: World) -> Ask:
    person, asset_id = await _avatar(world)
    return Ask(by=person, body={"asset_id": asset_id})


@recipe("user_get_avatar", own=True)
async def _(world: World) -> Ask:
    person, asset_id = await _avatar(world)
    done(await person.put("/v1/users/me/avatar", {"asset_id": asset_id}))
    return Ask(by=person)


@recipe("user_remove_avatar", own=True)
async def _(world: World) -> Ask:
    return Ask(by=await world.hub.person("pictured"))


@recipe("media_get_avatar_content", route=("get", "/v1/assets/{asset_id}/content"))
async def _(world: World) -> Ask:
    person, asset_id = await _avatar(world)
    done(await person.put("/v1/users/me/avatar", {"asset_id": asset_id}))
    return Ask(by=world.operator, ids={"asset_id": asset_id})
