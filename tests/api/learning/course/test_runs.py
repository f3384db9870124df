from tests.api.learning.course.conftest import Draft, add_lesson, new_course
from tests.harness import Hub, School, done, problem


async def test_a_further_run_has_its_own_dates_and_stands_in_the_catalogue(hub: Hub, published: Draft) -> None:
    body = {
        "course_id": published.id,
        "title": "Autumn",
        "pace": "instructor",
        "starts_at": "2030-09-01T08:00:00Z",
        "ends_at": "2030-12-01T08:00:00Z",
        "seats": 30,
    }
    run = done(await published.owner.post("/v1/runs", body), 201)
    assert (run["is_default"], run["starts_at"], run["seats"]) == (False, "2030-09-01T08:00:00Z", 30)
    listing = done(await hub.guest.get(f"/v1/catalog/{published.id}"))
    assert [r["id"] for r in listing["runs"]] == [published.course["default_run_id"], run["id"]]


async def test_dates_out_of_order_name_every_fault(published: Draft) -> None:
    body = {
        "course_id": published.id,
        "title": "Backwards",
        "starts_at": "2030-09-02T00:00:00Z",
        "ends_at": "2030-09-01T00:00:00Z",
        "enrolment_opens_at": "2030-09-03T00:00:00Z",
        "enrolment_closes_at": "2030-09-01T00:00:00Z",
    }
    refused = problem(await published.owner.post("/v1/runs", body), 422, "dates-out-of-order")
    assert {error["pointer"] for error in refused["errors"]} == {
        "/ends_at",
        "/enrolment_closes_at",
        "/enrolment_opens_at",
    }


async def test_a_run_pins_a_published_revision_and_follows_the_newest_again(published: Draft) -> None:
    owner = published.owner
    path = f"/v1/runs/{published.course['default_run_id']}"
    etag = {"If-Match": (await owner.get(path)).headers["etag"]}
    for revision in (7, 2**31, 10**30):
        refused = problem(await owner.patch(path, {"pinned_revision": revision}, headers=etag), 422)
        assert [error["pointer"] for error in refused["errors"]] == ["/pinned_revision"]
    pinned = await owner.patch(path, {"pinned_revision": 1}, headers=etag)
    assert done(pinned)["pinned_revision"] == 1
    problem(await owner.patch(path, {"seats": 3}, headers=etag), 412, "stale")
    follows = await owner.patch(path, {"pinned_revision": None}, headers={"If-Match": pinned.headers["etag"]})
    assert done(follows)["pinned_revision"] is None


async def test_an_ended_run_cannot_be_changed_and_leaves_the_catalogue(hub: Hub, published: Draft) -> None:
    owner = published.owner
    path = f"/v1/runs/{published.course['default_run_id']}"
    ended = await owner.post(f"{path}/end")
    assert done(ended)["ended_at"] is not None
    assert done(await owner.post(f"{path}/end"))["ended_at"] == ended.json()["ended_at"]
    problem(await owner.patch(path, {"seats": 3}, headers={"If-Match": ended.headers["etag"]}), 409, "run-has-ended")
    assert done(await hub.guest.get(f"/v1/catalog/{published.id}"))["runs"] == []


async def test_only_staff_manage_runs(hub: Hub, published: Draft) -> None:
    learner = await hub.person("learner")
    problem(await learner.post("/v1/runs", {"course_id": published.id, "title": "Mine"}), 403)
    problem(await learner.post(f"/v1/runs/{published.course['default_run_id']}/end"), 403)
    runs = done(await learner.get("/v1/runs", params={"course_id": published.id}))["items"]
    assert [run["id"] for run in runs] == [published.course["default_run_id"]]


async def test_members_and_learners_see_the_runs_that_they_may_learn_in(hub: Hub, school: School) -> None:
    course = await new_course(school, visibility="organization")
    path, run = f"/v1/courses/{course['id']}", f"/v1/runs/{course['default_run_id']}"
    await add_lesson(school.owner, course["id"], "# Text")
    member, stranger = await hub.person("member"), await hub.person("stranger")
    invited = await school.owner.post("/v1/invitations", {"organization_id": str(school.org_id)})
    done(await member.post("/v1/invitations/-/accept", {"token": done(invited, 201)["token"]}))
    problem(await member.get(run), 404)
    done(await school.owner.post(f"{path}/publish"))
    await hub.settle()
    done(await member.get(f"/v1/catalog/{course['id']}"))
    done(await member.get(run))
    listed = done(await member.get("/v1/runs", params={"course_id": course["id"]}))["items"]
    assert [each["id"] for each in listed] == [course["default_run_id"]]
    problem(await stranger.get(run), 404)
    problem(await stranger.get("/v1/runs", params={"course_id": course["id"]}), 404)
    problem(await hub.guest.get(run), 401)
    done(await member.post("/v1/enrollments", {"run_id": course["default_run_id"]}), 201)
    done(await school.owner.post(f"{path}/archive"))
    done(await member.get(run))
    problem(await stranger.get(run), 404)
    await hub.settle()
