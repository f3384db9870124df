"""How to ask each operation of enrollment for something that it grants; see `tests.platform.recipes`."""

from tests.platform.recipes import Ask, listing, recipe, simple
from tests.platform.world import World

listing("enrollment_list_enrollments", "owner", run_id="course.run_id")
simple("enrollment_get_enrollment", "learner", enrollment_id="enrollment_id")


@recipe("enrollment_enrol")
async def _(world: World) -> Ask:
    return Ask(by=world.insider, body={"run_id": await world.run(world.members_only)})


@recipe("enrollment_cancel")
async def _(world: World) -> Ask:
    return Ask(by=world.learner, ids={"enrollment_id": await world.enrolment(await world.run(world.course))})


@recipe("enrollment_suspend")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"enrollment_id": await world.enrolment(await world.run(world.course))})


@recipe("enrollment_resume")
async def _(world: World) -> Ask:
    id = await world.enrolment(await world.run(world.course))
    assert (await world.owner.post(f"/v1/enrollments/{id}/suspend")).status_code == 200
    return Ask(by=world.owner, ids={"enrollment_id": id})


@recipe("enrollment_enrol_many")
async def _(world: World) -> Ask:
    items = [{"user_id": str(world.learner.id)}]
    return Ask(by=world.owner, body={"run_id": await world.run(world.course), "items": items, "dry_run": True})
