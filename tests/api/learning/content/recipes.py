"""How to ask each operation of content for something that it grants; see `tests.platform.recipes`."""

from tests.platform.recipes import Ask, listing, open_to_all, recipe, simple, version
from tests.platform.world import World

open_to_all("content_list_block_types", "what the code declares")
listing("content_list_blocks", "owner", course_id="course.id")
simple("content_get_block", "owner", block_id="course.text_id")
simple("content_get_outline", "learner", "peer", run_id="course.run_id")


@recipe("content_get_draft_outline", route=("get", "/v1/outlines/{run_id}"))
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"run_id": world.course.run_id}, query={"draft": "true"})


@recipe("content_create_block")
async def _(world: World) -> Ask:
    body = {"course_id": (await world.draft()).id, "parent_id": None, "type": "module", "title": "New"}
    return Ask(by=world.owner, body=body)


@recipe("content_change_block")
async def _(world: World) -> Ask:
    id = (await world.draft()).text_id
    headers = await version(world.owner, f"/v1/blocks/{id}")
    return Ask(by=world.owner, ids={"block_id": id}, body={"title": "Changed"}, headers=headers)


@recipe("content_move_block")
async def _(world: World) -> Ask:
    course = await world.draft()
    another = await world.block(course.id, "lesson", course.module_id)
    return Ask(by=world.owner, ids={"block_id": course.text_id}, body={"parent_id": another["id"], "position": 0})


@recipe("content_delete_block")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"block_id": (await world.draft()).text_id})


@recipe("content_restore_block")
async def _(world: World) -> Ask:
    id = (await world.draft()).text_id
    assert (await world.owner.delete(f"/v1/blocks/{id}")).status_code == 204
    return Ask(by=world.owner, ids={"block_id": id})
