"""How to ask each operation of media for something that it grants; see `tests.platform.recipes`."""

from tests.platform.recipes import Ask, recipe, simple
from tests.platform.world import SENDING, World


@recipe("media_begin_upload", route=("post", "/v1/uploads"))
async def _(world: World) -> Ask:
    return Ask(by=world.owner, headers=world.upload_headers(world.course))


@recipe("media_go_on_with_upload", private=True, route=("patch", "/v1/uploads/{upload_id}"))
async def _(world: World) -> Ask:
    teacher = await world.teacher(course := await world.draft())
    ids = {"upload_id": (await world.begun_upload(course, teacher)).rpartition("/")[2]}
    return Ask(by=teacher, ids=ids, content=world.film, headers=SENDING)


@recipe("media_ask_about_upload", private=True, route=("head", "/v1/uploads/{upload_id}"))
async def _(world: World) -> Ask:
    teacher = await world.teacher(course := await world.draft())
    ids = {"upload_id": (await world.begun_upload(course, teacher)).rpartition("/")[2]}
    return Ask(by=teacher, ids=ids, headers={"Tus-Resumable": "1.0.0"})


@recipe("media_end_upload", private=True, route=("delete", "/v1/uploads/{upload_id}"))
async def _(world: World) -> Ask:
    teacher = await world.teacher(course := await world.draft())
    ids = {"upload_id": (await world.begun_upload(course, teacher)).rpartition("/")[2]}
    return Ask(by=teacher, ids=ids, headers={"Tus-Resumable": "1.0.0"})


@recipe("media_list_assets")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, query={"target": f"course:{world.course.id}"})


simple("media_get_asset", "owner", asset_id="asset_id")
simple("media_get_content", "owner", asset_id="asset_id")


@recipe("media_get_shown_content", "peer", route=("get", "/v1/assets/{asset_id}/content"))
async def _(world: World) -> Ask:
    return Ask(by=world.learner, ids={"asset_id": world.picture_id})


@recipe("media_delete_asset")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"asset_id": await world.asset()})


async def _held(world: World) -> str:
    """Return a ready file that the school's owner holds."""
    asset_id = await world.asset()
    assert (await world.owner.put(f"/v1/assets/{asset_id}/hold", {"reason": "a complaint"})).status_code == 200
    return asset_id


@recipe("media_place_hold")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"asset_id": await world.asset()}, body={"reason": "a complaint"})


@recipe("media_get_hold")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"asset_id": await _held(world)})


@recipe("media_release_hold")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"asset_id": await _held(world)})


simple("media_list_uses", "owner", asset_id="asset_id")


@recipe("media_restore_asset")
async def _(world: World) -> Ask:
    asset_id = await world.asset()
    assert (await world.owner.delete(f"/v1/assets/{asset_id}")).status_code == 204
    return Ask(by=world.owner, ids={"asset_id": asset_id})
