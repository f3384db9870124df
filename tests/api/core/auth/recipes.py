"""How to ask each operation of auth for something that it grants; see `tests.platform.recipes`."""

from tests.harness import PASSWORD
from tests.platform.recipes import Ask, listing, open_to_all, recipe, simple
from tests.platform.world import World

open_to_all("auth_sign_in", "the password is what it asks for")
open_to_all("auth_refresh", "the refresh token is what it asks for")
open_to_all("auth_forgot", "answers the same to everybody")
open_to_all("auth_reset", "the mailed token is what it asks for")
listing("auth_list_sessions", "owner", own=True)
simple("auth_get_identity", "owner", own=True)
simple("auth_make_ticket", "owner", own=True)
simple("auth_reauthenticate", "owner", own=True, body={"password": PASSWORD})


@recipe("auth_change_password", own=True)
async def _(world: World) -> Ask:
    person = await world.hub.person("changing")
    return Ask(by=person, body={"password": PASSWORD, "new_password": "another long enough sentence"})


@recipe("auth_get_session", private=True)
async def _(world: World) -> Ask:
    return Ask(by=world.bystander, ids={"session_id": await world.session(world.bystander)})


@recipe("auth_end_session", private=True)
async def _(world: World) -> Ask:
    return Ask(by=world.bystander, ids={"session_id": await world.session(world.bystander)})
