"""How to ask each operation of course for something that it grants; see `tests.platform.recipes`."""

from datetime import UTC, datetime, timedelta

from tests.platform.recipes import Ask, listing, open_to_all, recipe, simple, version
from tests.platform.world import World


def _next_month() -> str:
    return (datetime.now(UTC) + timedelta(days=30)).isoformat()


open_to_all("course_list_categories", "the same for everybody")
listing("course_list_courses", "owner", organization_id="org_id")
listing("course_list_catalog", "insider", hidden=False, organization_id="org_id", id="members_only.id")
listing("course_list_facets", "insider", hidden=False, tag="members_only_tag")
simple("course_get_course", "owner", course_id="course.id")
simple("course_list_revisions", "owner", course_id="course.id")
simple("course_list_staff", "owner", course_id="course.id")
simple("course_get_listing", "insider", course_id="members_only.id")


@recipe("course_list_runs")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, query={"course_id": (await world.draft()).id})


@recipe("course_get_run")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"run_id": (await world.draft()).run_id})


@recipe("course_create_course")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, body={"organization_id": world.org_id, "title": "New", "language": "en"})


@recipe("course_change_course")
async def _(world: World) -> Ask:
    course = await world.draft()
    headers = await version(world.owner, course.path)
    return Ask(by=world.owner, ids={"course_id": course.id}, body={"summary": "Changed"}, headers=headers)


@recipe("course_publish")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"course_id": (await world.draft()).id}, body={"note": "First"})


@recipe("course_schedule")
async def _(world: World) -> Ask:
    ids = {"course_id": (await world.draft()).id}
    return Ask(by=world.owner, ids=ids, body={"publish_at": _next_month()})


@recipe("course_unschedule")
async def _(world: World) -> Ask:
    course = await world.draft()
    wanted = {"publish_at": _next_month()}
    assert (await world.owner.post(f"{course.path}/schedule", wanted)).status_code == 200
    return Ask(by=world.owner, ids={"course_id": course.id})


@recipe("course_archive")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"course_id": (await world.draft()).id})


@recipe("course_restore")
async def _(world: World) -> Ask:
    course = await world.draft()
    assert (await world.owner.post(f"{course.path}/archive")).status_code == 200
    return Ask(by=world.owner, ids={"course_id": course.id})


@recipe("course_roll_back")
async def _(world: World) -> Ask:
    course = await world.draft()
    assert (await world.owner.post(f"{course.path}/publish")).status_code == 200
    return Ask(by=world.owner, ids={"course_id": course.id, "revision": 1})


@recipe("course_get_revision")
async def _(world: World) -> Ask:
    course = await world.draft()
    assert (await world.owner.post(f"{course.path}/publish")).status_code == 200
    return Ask(by=world.owner, ids={"course_id": course.id, "revision": 1})


@recipe("course_forget")
async def _(world: World) -> Ask:
    course = await world.draft()
    assert (await world.owner.post(f"{course.path}/publish")).status_code == 200
    await world.block(course.id, "module", None)
    assert (await world.owner.post(f"{course.path}/publish")).status_code == 200
    return Ask(by=world.owner, ids={"course_id": course.id, "revision": 1})


@recipe("course_rerun")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"course_id": (await world.draft()).id}, body={})


@recipe("course_appoint")
async def _(world: World) -> Ask:
    ids = {"course_id": (await world.draft()).id, "user_id": world.bystander.id}
    return Ask(by=world.owner, ids=ids, body={"role": "assistant"})


@recipe("course_dismiss")
async def _(world: World) -> Ask:
    course = await world.draft()
    staff = f"{course.path}/staff/{world.bystander.id}"
    assert (await world.owner.put(staff, {"role": "assistant"})).status_code == 200
    return Ask(by=world.owner, ids={"course_id": course.id, "user_id": world.bystander.id})


@recipe("course_create_run")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, body={"course_id": world.course.id, "title": "Further"})


@recipe("course_change_run")
async def _(world: World) -> Ask:
    run_id = await world.run(world.course)
    headers = await version(world.owner, f"/v1/runs/{run_id}")
    return Ask(by=world.owner, ids={"run_id": run_id}, body={"title": "Changed"}, headers=headers)


@recipe("course_end_run")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"run_id": await world.run(world.course)})
