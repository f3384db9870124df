from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from api.learning.content.contract import Frozen
from api.learning.course.contract import CourseId, PublishAt
from api.learning.course.publication import logic
from cluster.base.problems import Unavailable
from cluster.data import read
from cluster.events import Snapshots
from cluster.http.paging import encode_cursor, fingerprint
from cluster.people.calls import client
from tests.api.learning.course.conftest import Draft, add_block, add_lesson, new_course
from tests.harness import Hub, School, done, problem


async def test_publish_makes_the_first_revision_and_shows_it_in_the_catalogue(hub: Hub, draft: Draft) -> None:
    course = done(await draft.owner.post(f"{draft.path}/publish", {"note": "first"}))
    assert (course["published_revision"], course["has_draft_changes"]) == (1, False)
    listing = done(await hub.guest.get(f"/v1/catalog/{draft.id}"))
    assert (listing["title"], listing["revision"]) == ("Algebra", 1)
    assert [run["id"] for run in listing["runs"]] == [draft.course["default_run_id"]]
    revisions = done(await draft.owner.get(f"{draft.path}/revisions"))["items"]
    assert [(r["revision"], r["note"], r["details"]["title"]) for r in revisions] == [(1, "first", "Algebra")]


async def test_publish_lists_everything_that_is_missing(hub: Hub, school: School) -> None:
    course = await new_course(school)
    refused = problem(await school.owner.post(f"/v1/courses/{course['id']}/publish"), 409, "not-ready-to-publish")
    assert [missing["code"] for missing in refused["missing"]] == ["no-lesson-with-content"]
    problem(await hub.guest.get(f"/v1/catalog/{course['id']}"), 404)


async def test_publish_twice_without_a_change_is_refused(published: Draft) -> None:
    problem(await published.owner.post(f"{published.path}/publish"), 409, "nothing-to-publish")


async def test_an_outline_that_was_changed_and_changed_back_is_published_already(hub: Hub, published: Draft) -> None:
    owner, path = published.owner, published.path
    module = await add_block(owner, published.id, None, "module")
    done(await owner.delete(f"/v1/blocks/{module}"), 204)
    await hub.settle()
    assert done(await owner.get(path))["has_draft_changes"] is True
    course = done(await owner.post(f"{path}/publish"))
    assert (course["published_revision"], course["has_draft_changes"]) == (1, False)
    assert await hub.events("course.published") == []
    problem(await owner.post(f"{path}/publish"), 409, "nothing-to-publish")


async def test_publishing_twins_make_one_revision(hub: Hub, draft: Draft) -> None:
    answers = await hub.at_once(*(draft.owner.post(f"{draft.path}/publish") for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]


async def test_an_edit_is_a_draft_change_until_the_next_revision(hub: Hub, published: Draft) -> None:
    owner, path = published.owner, published.path
    etag = {"If-Match": (await owner.get(path)).headers["etag"]}
    assert done(await owner.patch(path, {"title": "Algebra II"}, headers=etag))["has_draft_changes"] is True
    assert done(await hub.guest.get(f"/v1/catalog/{published.id}"))["title"] == "Algebra"
    assert done(await owner.post(f"{path}/publish"))["published_revision"] == 2
    assert done(await hub.guest.get(f"/v1/catalog/{published.id}"))["title"] == "Algebra II"


async def test_a_new_block_shows_as_draft_change(hub: Hub, published: Draft) -> None:
    await add_lesson(published.owner, published.id, "# Two")
    await hub.settle()
    assert done(await published.owner.get(published.path))["has_draft_changes"] is True
    assert done(await published.owner.post(f"{published.path}/publish"))["has_draft_changes"] is False


async def test_rolling_back_publishes_the_old_text_as_a_new_revision(hub: Hub, published: Draft) -> None:
    owner, path = published.owner, published.path
    etag = {"If-Match": (await owner.get(path)).headers["etag"]}
    done(await owner.patch(path, {"title": "Worse"}, headers=etag))
    done(await owner.post(f"{path}/publish"))
    course = done(await owner.post(f"{path}/revisions/1/restore"))
    assert (course["published_revision"], course["title"], course["has_draft_changes"]) == (3, "Worse", True)
    assert done(await hub.guest.get(f"/v1/catalog/{published.id}"))["title"] == "Algebra"
    restored = [r["restored_revision"] for r in done(await owner.get(f"{path}/revisions"))["items"]]
    assert restored == [1, None, None]
    problem(await owner.post(f"{path}/revisions/9/restore"), 404, "revision-not-found")


async def test_a_revision_that_cannot_be_is_not_found(hub: Hub, draft: Draft) -> None:
    for revision in (0, 1, 2**31, 10**30, -1):
        path = f"{draft.path}/revisions/{revision}/restore"
        refused = problem(await draft.owner.post(path), 404, "revision-not-found")
        assert refused["detail"] == "nothing was published yet"
    problem(await draft.owner.post(f"{draft.path}/revisions/x/restore"), 422)


async def test_a_cursor_that_was_never_given_breaks_nothing(published: Draft) -> None:
    cursor = encode_cursor((2**40,), fingerprint("-revision", {"course": published.id}))
    page = done(await published.owner.get(f"{published.path}/revisions", params={"cursor": cursor}))
    assert [each["revision"] for each in page["items"]] == [1]


async def test_an_archived_course_leaves_the_catalogue_and_comes_back(hub: Hub, published: Draft) -> None:
    owner, path = published.owner, published.path
    assert done(await owner.post(f"{path}/archive"))["archived_at"] is not None
    assert done(await owner.post(f"{path}/archive"))["archived_at"] is not None
    problem(await hub.guest.get(f"/v1/catalog/{published.id}"), 404)
    problem(await owner.post(f"{path}/publish"), 409, "course-archived-already")
    assert done(await owner.post(f"{path}/restore"))["archived_at"] is None
    done(await hub.guest.get(f"/v1/catalog/{published.id}"))


async def test_a_scheduled_course_publishes_itself(hub: Hub, draft: Draft) -> None:
    at = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    done(await draft.owner.post(f"{draft.path}/schedule", {"publish_at": at}))
    await hub.settle()
    assert done(await draft.owner.get(draft.path))["published_revision"] is None
    await hub.due_now(PublishAt.dedupe(draft.course["id"]))
    await hub.settle()
    course = done(await draft.owner.get(draft.path))
    assert (course["published_revision"], course["publish_at"]) == (1, None)


async def test_a_moved_schedule_leaves_one_job_and_unscheduling_none(hub: Hub, draft: Draft) -> None:
    for days in (1, 2):
        at = (datetime.now(UTC) + timedelta(days=days)).isoformat()
        done(await draft.owner.post(f"{draft.path}/schedule", {"publish_at": at}))
    assert await _waiting(draft) == 1
    done(await draft.owner.post(f"{draft.path}/unschedule"))
    assert await _waiting(draft) == 0
    problem(await draft.owner.post(f"{draft.path}/schedule", {"publish_at": "2001-01-01T00:00:00Z"}), 422, "invalid")


async def test_a_scheduled_course_that_is_not_ready_says_so(hub: Hub, school: School) -> None:
    course = await new_course(school)
    path = f"/v1/courses/{course['id']}"
    at = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    done(await school.owner.post(f"{path}/schedule", {"publish_at": at}))
    await hub.due_now(PublishAt.dedupe(course["id"]))
    await hub.settle()
    course = done(await school.owner.get(path))
    assert (course["published_revision"], course["publish_at"]) == (None, None)
    assert "missing" in course["publish_error"]


async def test_a_schedule_that_finds_nothing_to_publish_ends_and_says_so(hub: Hub, published: Draft) -> None:
    await _schedule(published)
    await hub.due_now(PublishAt.dedupe(published.course["id"]))
    await hub.settle()
    course = done(await published.owner.get(published.path))
    assert (course["published_revision"], course["publish_at"]) == (1, None)
    assert "change" in course["publish_error"]


async def test_a_schedule_that_is_taken_back_while_it_runs_publishes_nothing(
    hub: Hub, draft: Draft, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _schedule(draft)
    freeze = logic._freeze  # pyright: ignore[reportPrivateUsage]

    async def freeze_slowly(course_id: CourseId) -> Frozen:
        frozen = await freeze(course_id)
        assert done(await draft.owner.post(f"{draft.path}/unschedule"))["publish_at"] is None
        return frozen

    monkeypatch.setattr(logic, "_freeze", freeze_slowly)
    await hub.due_now(PublishAt.dedupe(draft.course["id"]))
    await hub.settle()
    course = done(await draft.owner.get(draft.path))
    assert (course["published_revision"], course["publish_at"], course["publish_error"]) == (None, None, None)


async def test_a_schedule_that_cannot_be_kept_says_so_in_the_end(
    hub: Hub, draft: Draft, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _schedule(draft)

    fault: Exception = ZeroDivisionError()

    async def breaks(course_id: CourseId) -> Frozen:
        raise fault

    monkeypatch.setattr(logic, "_freeze", breaks)
    dedupe = PublishAt.dedupe(draft.course["id"])
    await hub.due_now(dedupe)
    await hub.settle()
    assert done(await draft.owner.get(draft.path))["publish_at"] is not None, "it is tried again"

    async with read() as db:
        await db.run("UPDATE hub.jobs SET attempts = max_attempts - 1 WHERE dedupe = $1", dedupe)
    fault = Unavailable("content does not answer")
    await hub.due_now(dedupe)
    await hub.settle()
    assert done(await draft.owner.get(draft.path))["publish_at"] is not None, "an outage is waited for"

    fault = ZeroDivisionError()
    await hub.due_now(dedupe)
    await hub.settle()
    course = done(await draft.owner.get(draft.path))
    assert (course["published_revision"], course["publish_at"]) == (None, None)
    assert "publish it yourself" in course["publish_error"]


async def test_who_publishes_while_it_is_archived_is_told_that_it_is(
    hub: Hub, draft: Draft, monkeypatch: pytest.MonkeyPatch
) -> None:
    freeze = logic._freeze  # pyright: ignore[reportPrivateUsage]

    async def freeze_slowly(course_id: CourseId) -> Frozen:
        done(await draft.owner.post(f"{draft.path}/archive"))
        return await freeze(course_id)

    monkeypatch.setattr(logic, "_freeze", freeze_slowly)
    problem(await draft.owner.post(f"{draft.path}/publish"), 409, "course-archived-already")
    await hub.settle()


async def test_snapshot_tells_the_state_of_an_archived_course(hub: Hub, published: Draft) -> None:
    course = done(await published.owner.post(f"{published.path}/archive"))
    [told] = [each for each in await hub.events("course.changed") if each.subject == published.id]
    await hub.settle()

    page = await client(Snapshots, of="course").snapshot("course.changed", UUID(int=UUID(published.id).int - 1), 1)

    [envelope] = page.envelopes
    assert (envelope.payload, envelope.version, page.next) == (told.payload, told.version, UUID(published.id))
    assert envelope.payload["archived"]
    assert envelope.payload["revision"] == course["published_revision"]


async def _schedule(draft: Draft) -> None:
    at = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    done(await draft.owner.post(f"{draft.path}/schedule", {"publish_at": at}))


async def _waiting(draft: Draft) -> int:
    async with read() as db:
        return await db.value(
            "SELECT count(*) FROM hub.jobs WHERE dedupe = $1 AND state = 'queued'", PublishAt.dedupe(draft.course["id"])
        )
