"""A superseded revision is forgotten: its films can be deleted, and nothing that is still shown loses one."""

from tests.api.learning.content.conftest import Films
from tests.api.learning.course.filmed import Filmed
from tests.api.learning.course.filmed import filmed as filmed
from tests.harness import Hub, done, problem


async def test_forgetting_a_revision_lets_its_film_be_deleted(hub: Hub, filmed: Filmed) -> None:
    before = await filmed.in_use()

    forgotten = await filmed.forget()

    assert (before, await filmed.in_use(), forgotten["revision"]) == (True, False, 1)
    assert forgotten["forgotten_at"] is not None
    await Films().remove(filmed.video_id)
    assert await filmed.forget() == forgotten
    assert await filmed.forgotten() == [1]


async def test_a_forgotten_revision_is_gone_but_keeps_its_number(hub: Hub, filmed: Filmed) -> None:
    shown = done(await filmed.person.get(f"{filmed.path}/revisions/1"))

    await filmed.forget()

    gone = problem(await filmed.person.get(f"{filmed.path}/revisions/1"), 410, "revision-forgotten")
    problem(await filmed.person.post(f"{filmed.path}/revisions/1/restore"), 410, "revision-forgotten")
    new = {"course_id": filmed.author.course_id, "title": "Late", "pinned_revision": 1}
    unknown = problem(await filmed.person.post("/v1/runs", new), 422, "revision-unknown")
    assert (shown["revision"], shown["forgotten_at"]) == (1, None)
    assert gone["forgotten_at"] is not None
    assert unknown["errors"][0]["pointer"] == "/pinned_revision"
    problem(await filmed.person.get(f"{filmed.path}/revisions/3"), 404, "revision-not-found")


async def test_forget_rejects_the_newest_revision_and_unknown_ones(hub: Hub, filmed: Filmed) -> None:
    refused = await filmed.forget(2, 409, "revision-in-use")

    assert ("publish another" in refused["detail"], refused["run_ids"]) == (True, [])
    assert "1 to 2" in (await filmed.forget(3, 404, "revision-not-found"))["detail"]
    assert await filmed.in_use()


async def test_forget_rejects_a_revision_that_an_open_run_pins(hub: Hub, filmed: Filmed) -> None:
    run_id = await filmed.pinning(1)

    refused = await filmed.forget(1, 409, "revision-in-use")

    assert refused["run_ids"] == [run_id]
    assert await filmed.in_use()
    done(await filmed.person.post(f"/v1/runs/{run_id}/end"))
    await filmed.forget()
    assert not await filmed.in_use()


async def test_forget_asks_for_the_right_to_publish(hub: Hub, filmed: Filmed) -> None:
    assistant = await filmed.author.staff(hub, "assistant")

    refused = await assistant.post(f"{filmed.path}/revisions/1/forget")

    problem(refused, 403, "forbidden")
    assert await filmed.in_use()


async def test_forgetting_is_told_and_makes_no_edit_stale(hub: Hub, filmed: Filmed) -> None:
    etag = (await filmed.person.get(filmed.path)).headers["etag"]

    await filmed.forget()

    [told] = [each for each in await hub.events("course.revision_forgotten") if each.subject == filmed.author.course_id]
    assert told.payload["revision"] == 1
    assert (await filmed.person.get(filmed.path)).headers["etag"] == etag
    await hub.settle()


async def test_an_outline_of_two_revisions_is_let_go_with_the_last(hub: Hub, filmed: Filmed) -> None:
    done(await filmed.person.post(f"{filmed.path}/revisions/1/restore"))

    await filmed.forget()
    still_in_use = await filmed.in_use()

    assert still_in_use
    done(await filmed.person.post(f"{filmed.path}/revisions/2/restore"))
    await filmed.forget(3)
    assert not await filmed.in_use()


async def test_the_same_outline_is_frozen_anew_after_it_was_forgotten(hub: Hub, filmed: Filmed) -> None:
    await filmed.forget()

    done(await filmed.person.post(f"/v1/blocks/{filmed.block_id}/restore"))
    number = await filmed.publish()

    assert (number, await filmed.in_use()) == (3, True)
    done(await filmed.person.delete(f"/v1/blocks/{filmed.block_id}"), 204)
    assert await filmed.in_use()


async def test_learners_of_an_ended_run_keep_its_forgotten_outline(hub: Hub, filmed: Filmed) -> None:
    run_id = await filmed.pinning(1)
    await hub.settle()
    learner = await hub.person("learner")
    done(await learner.post("/v1/enrollments", {"run_id": run_id}), 201)
    await hub.settle()
    before = done(await learner.get(f"/v1/outlines/{run_id}"))
    done(await filmed.person.post(f"/v1/runs/{run_id}/end"))

    await filmed.forget()
    await hub.settle()

    assert done(await learner.get(f"/v1/outlines/{run_id}")) == before
