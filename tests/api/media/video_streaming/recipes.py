"""How to ask each operation of video_streaming for something that it grants; see `tests.platform.recipes`."""

from tests.platform.recipes import Ask, recipe
from tests.platform.world import World


@recipe("video_streaming_start_playback", "peer")
async def _(world: World) -> Ask:
    return Ask(by=world.learner, body={"block_id": world.video_block_id, "run_id": world.course.run_id})


@recipe("video_streaming_list_playbacks", own=True)
async def _(world: World) -> Ask:
    await world.playback(world.peer)
    await world.playback()
    return Ask(by=world.learner)


@recipe("video_streaming_preview", route=("post", "/v1/playbacks"))
async def _(world: World) -> Ask:
    return Ask(by=world.owner, body={"video_id": world.video_id})


@recipe("video_streaming_get_playback", private=True)
async def _(world: World) -> Ask:
    return Ask(by=world.learner, ids={"playback_id": await world.playback()})
