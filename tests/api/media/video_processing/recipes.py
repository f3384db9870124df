"""How to ask each operation of video_processing for something that it grants; see `tests.platform.recipes`."""

from tests.platform.recipes import Ask, listing, recipe, simple
from tests.platform.world import World

listing("video_processing_list_videos", "owner", course_id="course.id")
simple("video_processing_get_video", "owner", video_id="video_id")
simple("video_processing_watch_video", "owner", video_id="video_id")
simple("video_processing_get_poster", "owner", video_id="video_id")


@recipe("video_processing_create_video")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, body={"asset_id": await world.asset()})


@recipe("video_processing_cancel_video")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"video_id": await world.video()})


@recipe("video_processing_retry_video")
async def _(world: World) -> Ask:
    video_id = await world.video()
    assert (await world.owner.post(f"/v1/videos/{video_id}/cancel")).status_code == 200
    return Ask(by=world.owner, ids={"video_id": video_id})


async def _held(world: World) -> str:
    """Return a film that the school's owner holds."""
    video_id = await world.video()
    assert (await world.owner.put(f"/v1/videos/{video_id}/hold", {"reason": "a complaint"})).status_code == 200
    return video_id


@recipe("video_processing_place_hold")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"video_id": await world.video()}, body={"reason": "a complaint"})


@recipe("video_processing_get_hold")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"video_id": await _held(world)})


@recipe("video_processing_release_hold")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"video_id": await _held(world)})


simple("video_processing_list_uses", "owner", video_id="video_id")


@recipe("video_processing_delete_video")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"video_id": await world.video()})


@recipe("video_processing_restore_video")
async def _(world: World) -> Ask:
    video_id = await world.video()
    assert (await world.owner.delete(f"/v1/videos/{video_id}")).status_code == 204
    return Ask(by=world.owner, ids={"video_id": video_id})
