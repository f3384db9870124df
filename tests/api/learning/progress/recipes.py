"""How to ask each operation of progress for something that it grants; see `tests.platform.recipes`."""

from tests.harness import done
from tests.platform.recipes import Ask, listing, recipe, simple, version
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


async def line_item(world: World) -> str:
    """Make a line item in the world's run; return its id."""
    new = {"run_id": world.course.run_id, "label": "Essay", "score_maximum": 20}
    return done(await world.owner.post("/v1/line-items", new), 201)["id"]


@recipe("progress_list_line_items")
async def _(world: World) -> Ask:
    await line_item(world)
    return Ask(by=world.owner, query={"run_id": world.course.run_id})


@recipe("progress_create_line_item")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, body={"run_id": world.course.run_id, "label": "Essay", "score_maximum": 20})


@recipe("progress_get_line_item")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"line_item_id": await line_item(world)})


@recipe("progress_change_line_item")
async def _(world: World) -> Ask:
    id = await line_item(world)
    headers = await version(world.owner, f"/v1/line-items/{id}")
    return Ask(by=world.owner, ids={"line_item_id": id}, body={"label": "Essay 2"}, headers=headers)


@recipe("progress_delete_line_item")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"line_item_id": await line_item(world)})
