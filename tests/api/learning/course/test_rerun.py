from typing import Any
from uuid import UUID

import pytest

from api.learning.course import logic
from api.learning.course.contract import CourseId
from api.learning.course.rerun import process
from cluster.base.ids import OrgId, UserId, new_id
from cluster.base.principal import Principal
from cluster.data import read
from cluster.jobs.run import run_due_jobs
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


async def test_a_rerun_is_made_by_whoever_started_it_with_the_rights_they_had(hub: Hub, published: Draft) -> None:
    starter = Principal(
        kind="service_account",
        id=published.owner.id,
        acting_for=UserId(new_id()),
        scopes=frozenset({"course:create", "course:edit"}),
        bound_org=OrgId(published.school.org_id),
    )

    await process.start(starter, CourseId(UUID(published.id)), title=None, slug=None)
    await run_due_jobs(("course",))

    [created] = await hub.events("course.created")
    assert (created.actor.kind, created.actor.id, created.actor.acting_for) == (
        "service_account",
        published.owner.id,
        starter.acting_for,
    )
    await hub.settle()


@pytest.mark.parametrize(
    ("cut", "slug"),
    [
        ({"scopes": ["course:read"]}, "forbidden"),
        ({"scopes": ["course:edit"]}, "forbidden"),
        ({"scopes": ["course:create", "course:read"]}, "forbidden"),
        ({"bound_org": str(new_id())}, "course-not-found"),
        (None, "forbidden"),
    ],
    ids=["reads", "edits", "creates", "bound-elsewhere", "earlier-release"],
)
async def test_a_rerun_does_no_more_than_its_caller_may(
    hub: Hub, draft: Draft, cut: dict[str, Any] | None, slug: str
) -> None:
    """The rights that count are those of the job's caller, and every step asks for them."""
    starter = Principal(kind="person", id=draft.owner.id)
    rerun_id = await process.start(starter, CourseId(UUID(draft.id)), title=None, slug=None)
    async with read() as db:
        await db.run(
            "UPDATE hub.jobs SET caller = CASE WHEN $2::jsonb IS NOT NULL THEN caller || $2 END WHERE args ->> 'rerun_id' = $1",
            str(rerun_id),
            cut,
        )

    await run_due_jobs(("course",))

    operation = await process.operation_of(starter, rerun_id)
    assert operation.problem is not None
    assert (operation.state, operation.problem["type"]) == ("failed", f"/problems/{slug}")
    assert await hub.events("course.created") == []
    await hub.settle()


async def test_the_same_key_starts_one_rerun(hub: Hub, published: Draft) -> None:
    headers = {"Idempotency-Key": new_id().hex}
    answers = [await published.owner.post(f"{published.path}/rerun", headers=headers) for _ in range(2)]
    assert done(answers[1], 202)["id"] == done(answers[0], 202)["id"]
    assert answers[1].headers["idempotent-replayed"] == "true"
    await hub.settle()


async def test_a_rerun_is_forgotten_thirty_days_later(hub: Hub, published: Draft) -> None:
    starter = Principal(kind="person", id=published.owner.id)
    ids = [await process.start(starter, CourseId(UUID(published.id)), title=None, slug=None) for _ in range(2)]
    await run_due_jobs(("course",))
    async with read() as db:
        await db.run("UPDATE course.reruns SET created_at = now() - interval '31 days' WHERE id = $1", ids[0])
    await hub.run_cron("course.purge")
    async with read() as db:
        kept = await db.rows("SELECT id FROM course.reruns WHERE id = ANY($1::uuid[])", ids)
    assert [row["id"] for row in kept] == ids[1:]
    await hub.settle()


async def test_a_rerun_that_fails_in_an_unforeseen_way_ends_and_says_so(
    hub: Hub, published: Draft, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = await published.owner.post(f"{published.path}/rerun")
    rerun_id = UUID(done(started, 202)["id"])

    async def breaks(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(logic, "create_course", breaks)
    await run_due_jobs(("course",))
    assert done(await published.owner.get(started.headers["location"]))["state"] == "running"
    async with read() as db:
        await db.run(
            "UPDATE hub.jobs SET attempts = max_attempts - 1, due_at = now() WHERE args ->> 'rerun_id' = $1",
            str(rerun_id),
        )
    await run_due_jobs(("course",))

    operation = done(await published.owner.get(started.headers["location"]))
    assert (operation["state"], operation["problem"]["status"]) == ("failed", 503)
    assert "start it again" in operation["problem"]["detail"]
    await hub.settle()


async def test_a_rerun_outlives_an_outage_in_its_last_attempt(
    hub: Hub, published: Draft, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = await published.owner.post(f"{published.path}/rerun")
    rerun_id = str(done(started, 202)["id"])
    async with read() as db:
        await db.run("UPDATE hub.jobs SET attempts = max_attempts - 1 WHERE args ->> 'rerun_id' = $1", rerun_id)

    async def away(*_: Any, **__: Any) -> None:
        raise ConnectionRefusedError

    with monkeypatch.context() as patched:
        patched.setattr(logic, "create_course", away)
        await run_due_jobs(("course",))
    assert done(await published.owner.get(started.headers["location"]))["state"] == "running"
    async with read() as db:
        await db.run("UPDATE hub.jobs SET due_at = now() WHERE args ->> 'rerun_id' = $1", rerun_id)
    await hub.settle()

    assert done(await published.owner.get(started.headers["location"]))["state"] == "succeeded"
