from tests.api.learning.course.conftest import Draft
from tests.harness import Hub, done, problem


async def test_an_instructor_may_edit_an_assistant_may_only_look(hub: Hub, draft: Draft) -> None:
    teacher = await hub.person("teacher")
    staff = f"{draft.path}/staff/{teacher.id}"
    problem(await teacher.get(draft.path), 404)
    listed = done(await draft.owner.put(staff, {"role": "assistant"}))["items"]
    assert (str(teacher.id), "assistant") in {(member["user_id"], member["role"]) for member in listed}
    etag = {"If-Match": (await teacher.get(draft.path)).headers["etag"]}
    problem(await teacher.patch(draft.path, {"title": "No"}, headers=etag), 403)
    done(await draft.owner.put(staff, {"role": "instructor"}))
    etag = {"If-Match": (await teacher.get(draft.path)).headers["etag"]}
    done(await teacher.patch(draft.path, {"title": "Yes"}, headers=etag))


async def test_who_is_dismissed_sees_nothing_any_more(hub: Hub, draft: Draft) -> None:
    teacher = await hub.person("teacher")
    staff = f"{draft.path}/staff/{teacher.id}"
    done(await draft.owner.put(staff, {"role": "instructor"}))
    done(await teacher.get(draft.path))
    done(await draft.owner.delete(staff), 204)
    done(await draft.owner.delete(staff), 204)
    await hub.settle()
    await hub.broadcasts_arrived()
    problem(await teacher.get(draft.path), 404)


async def test_a_learner_cannot_appoint_themselves(hub: Hub, published: Draft) -> None:
    learner = await hub.person("learner")
    problem(await learner.put(f"{published.path}/staff/{learner.id}", {"role": "instructor"}), 403)
