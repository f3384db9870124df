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


async def score(world: World, released: bool = True) -> str:
    """Give the learner a score; return its id."""
    new = {"run_id": world.course.run_id, "label": "Essay", "score_maximum": 20, "released": released}
    item = done(await world.owner.post("/v1/line-items", new), 201)["id"]
    given = {"line_item_id": item, "enrollment_id": world.enrollment_id, "score_given": 5}
    return done(await world.owner.post("/v1/scores", given), 201)["id"]


@recipe("progress_enter_score")
async def _(world: World) -> Ask:
    given = {"line_item_id": await line_item(world), "enrollment_id": world.enrollment_id, "score_given": 5}
    return Ask(by=world.owner, body=given)


@recipe("progress_list_scores")
async def _(world: World) -> Ask:
    await score(world)
    return Ask(by=world.learner, query={"run_id": world.course.run_id})


@recipe("progress_list_history")
async def _(world: World) -> Ask:
    found = done(await world.owner.get(f"/v1/scores/{await score(world)}"))
    return Ask(by=world.owner, ids={"line_item_id": found["line_item_id"]})


@recipe("progress_get_score")
async def _(world: World) -> Ask:
    return Ask(by=world.learner, ids={"score_id": await score(world)})


@recipe("progress_explain_score")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"score_id": await score(world)})


@recipe("progress_withdraw_score")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"score_id": await score(world)}, body={})


async def category(world: World) -> str:
    """Make a category in a run of its own, so that it changes no totals of others; return its id."""
    new = {"run_id": await world.run(world.course), "name": "Homework", "weight": 1}
    return done(await world.owner.post("/v1/grade-categories", new), 201)["id"]


simple("progress_list_rows", "owner", run_id="course.run_id")
simple("progress_get_grades", "learner", enrollment_id="enrollment_id")


@recipe("progress_list_categories")
async def _(world: World) -> Ask:
    run_id = done(await world.owner.get(f"/v1/grade-categories/{await category(world)}"))["run_id"]
    return Ask(by=world.owner, query={"run_id": run_id})


@recipe("progress_create_category")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, body={"run_id": await world.run(world.course), "name": "Homework", "weight": 1})


@recipe("progress_get_category")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"category_id": await category(world)})


@recipe("progress_change_category")
async def _(world: World) -> Ask:
    id = await category(world)
    headers = await version(world.owner, f"/v1/grade-categories/{id}")
    return Ask(by=world.owner, ids={"category_id": id}, body={"drop_lowest": 1}, headers=headers)


@recipe("progress_delete_category")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"category_id": await category(world)})


simple("progress_export_scores", "owner", run_id="course.run_id")


@recipe("progress_enter_many")
async def _(world: World) -> Ask:
    row = {"line_item_id": await line_item(world), "enrollment_id": world.enrollment_id, "score_given": 5}
    return Ask(by=world.owner, body={"run_id": world.course.run_id, "items": [row], "dry_run": True})
