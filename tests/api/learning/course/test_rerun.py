from tests.api.learning.course.conftest import Draft
from tests.harness import Hub, done, problem


async def test_a_rerun_is_a_new_course_with_the_same_outline(hub: Hub, published: Draft) -> None:
    started = await published.owner.post(f"{published.path}/rerun", {"title": "Algebra, again"})
    operation = done(started, 202)
    assert started.headers["location"] == f"/v1/operations/{operation['id']}"
    await hub.settle()
    operation = done(await published.owner.get(started.headers["location"]))
    assert operation["state"] == "succeeded"
    course = done(await published.owner.get(operation["result_url"]))
    assert (course["title"], course["source_course_id"]) == ("Algebra, again", published.id)
    assert course["published_revision"] is None
    assert done(await published.owner.post(f"{operation['result_url']}/publish"))["published_revision"] == 1


async def test_a_rerun_with_a_taken_slug_fails_and_says_why(hub: Hub, published: Draft) -> None:
    started = await published.owner.post(f"{published.path}/rerun", {"slug": published.course["slug"]})
    await hub.settle()
    operation = done(await published.owner.get(started.headers["location"]))
    assert operation["state"] == "failed"
    assert operation["problem"]["type"] == "/problems/slug-taken"


async def test_strangers_neither_start_nor_see_a_rerun(hub: Hub, published: Draft) -> None:
    stranger = (await hub.school()).owner
    problem(await stranger.post(f"{published.path}/rerun"), 403)
    started = await published.owner.post(f"{published.path}/rerun")
    problem(await stranger.get(started.headers["location"]), 404)
    await hub.settle()
