"""How to ask each operation of progress for something that it grants; see `tests.platform.recipes`."""

from tests.platform.recipes import Ask, listing, recipe, simple
from tests.platform.world import World

listing("progress_list_progress", "owner", run_id="course.run_id")
simple("progress_get_progress", "learner", enrollment_id="enrollment_id")


@recipe("progress_complete")
async def _(world: World) -> Ask:
    return Ask(by=world.learner, body={"enrollment_id": world.enrollment_id, "block_id": world.course.text_id})


@recipe("progress_heartbeat", private=True)
async def _(world: World) -> Ask:
    body = {"playback_id": await world.playback(), "position_s": 0.1, "watched": [[0, 0.1]]}
    return Ask(by=world.learner, body=body)
