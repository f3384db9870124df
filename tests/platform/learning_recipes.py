"""Recipes for the operations of learning; see `recipes`."""

from datetime import UTC, datetime, timedelta

from tests.platform.recipes import Ask, listing, recipe, simple, version
from tests.platform.world import World


def _next_month() -> str:
    return (datetime.now(UTC) + timedelta(days=30)).isoformat()


# content

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


# course

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


# enrollment

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


# progress

listing("progress_list_progress", "owner", run_id="course.run_id")
simple("progress_get_progress", "learner", enrollment_id="enrollment_id")


@recipe("progress_complete")
async def _(world: World) -> Ask:
    return Ask(by=world.learner, body={"enrollment_id": world.enrollment_id, "block_id": world.course.text_id})


@recipe("progress_heartbeat")
async def _(world: World) -> Ask:
    body = {"playback_id": await world.playback(), "position_s": 0.1, "watched": [[0, 0.1]]}
    return Ask(by=world.learner, body=body)
