"""Marking blocks, finishing a course, and what happens when it changes."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from api.platform.moderation.contract import CaseId, Decided, DecisionId
from cluster.base.ids import new_id
from cluster.base.principal import PLATFORM
from cluster.data import write
from tests.api.learning.course.conftest import Draft, add_block, add_lesson
from tests.api.learning.progress.conftest import Cinema, Viewer, counted, learner_in, mark, progress_of, state_of
from tests.harness import Hub, done, problem


async def _run_with_texts(draft: Draft, hub: Hub, texts: int = 2) -> tuple[str, list[str]]:
    """Publish a course of so many texts (the first is there); return its run and the new texts."""
    added = [await add_lesson(draft.owner, draft.id, f"# {n}") for n in range(texts - 1)]
    done(await draft.owner.post(f"{draft.path}/publish"))
    await hub.settle()
    return draft.course["default_run_id"], added


async def _blocks(viewer: Viewer) -> list[str]:
    return [block["block_id"] for block in (await progress_of(viewer))["blocks"]]


async def test_marking_every_block_finishes_the_course_once(hub: Hub, draft: Draft) -> None:
    run_id, _ = await _run_with_texts(draft, hub)
    viewer = await learner_in(hub, run_id)
    assert counted(await progress_of(viewer)) == (0, 2, 0), "also before enrollment's event has arrived"
    first, second = await _blocks(viewer)
    marked = await mark(viewer, first)
    assert (marked["enrollment_id"], marked["block_id"], marked["block_version"]) == (viewer.enrollment_id, first, 1)
    assert await mark(viewer, first) == marked
    assert counted(await progress_of(viewer)) == (1, 2, 50)
    await mark(viewer, second)
    progress = await progress_of(viewer)
    assert counted(progress) == (2, 2, 100)
    assert progress["completed_revision"] == 1
    assert {block["state"] for block in progress["blocks"]} == {"completed"}
    [told] = await hub.events("progress.completed")
    assert (told.subject, told.payload["revision"], told.version) == (viewer.enrollment_id, 1, 1)
    assert (told.actor.kind, told.actor.id) == ("person", viewer.person.id)
    await mark(viewer, second)
    assert len(await hub.events("progress.completed")) == 1
    await hub.settle()
    assert await state_of(viewer) == "completed"


async def test_a_removed_block_finishes_who_has_all_the_others(hub: Hub, draft: Draft) -> None:
    run_id, _ = await _run_with_texts(draft, hub)
    viewer, other = await learner_in(hub, run_id), await learner_in(hub, run_id)
    first, second = await _blocks(viewer)
    await mark(viewer, first)
    await hub.settle()
    removed = Decided(
        case_id=CaseId(new_id()),
        decision_id=DecisionId(new_id()),
        org_id=draft.school.org_id,
        kind="block",
        thing_id=UUID(second),
        user_id=None,
        actions=("remove",),
        in_force=("remove",),
    )
    before = await state_of(viewer)

    await hub.old_news(removed, 1)
    await hub.settle()

    assert before == "active"
    assert (await state_of(viewer), await state_of(other)) == ("completed", "active")


async def test_the_last_completions_at_once_finish_exactly_once(hub: Hub, draft: Draft) -> None:
    run_id, _ = await _run_with_texts(draft, hub, texts=4)
    viewer = await learner_in(hub, run_id)
    blocks = await _blocks(viewer)
    await asyncio.gather(*(mark(viewer, block) for block in blocks * 3))
    told = await hub.events("progress.completed")
    assert [each.subject for each in told] == [viewer.enrollment_id]
    assert counted(await progress_of(viewer)) == (4, 4, 100)
    await hub.settle()


async def test_only_the_learner_completes_and_only_what_is_open_to_them(hub: Hub, draft: Draft) -> None:
    run_id, _ = await _run_with_texts(draft, hub)
    viewer, other = await learner_in(hub, run_id), await learner_in(hub, run_id)
    block = (await _blocks(viewer))[0]
    stranger = await hub.person("stranger")
    theirs = {"enrollment_id": viewer.enrollment_id, "block_id": block}
    problem(await other.person.post("/v1/completions", theirs), 403)
    problem(await draft.owner.post("/v1/completions", theirs), 403)
    problem(await stranger.post("/v1/completions", theirs), 404, "progress-not-found")
    problem(await hub.guest.post("/v1/completions", theirs), 401)
    mine = {"enrollment_id": str(new_id()), "block_id": block}
    problem(await viewer.person.post("/v1/completions", mine), 404, "progress-not-found")
    unknown = theirs | {"block_id": str(new_id())}
    problem(await viewer.person.post("/v1/completions", unknown), 404, "block-not-found")
    done(await viewer.person.post(f"/v1/enrollments/{viewer.enrollment_id}/cancel"))
    await hub.broadcasts_arrived()
    problem(await viewer.person.post("/v1/completions", theirs), 403)


async def test_what_is_measured_or_only_holds_others_cannot_be_claimed(hub: Hub, cinema: Cinema) -> None:
    viewer = await cinema.learner()
    new = {"enrollment_id": viewer.enrollment_id, "block_id": cinema.film}
    problem(await viewer.person.post("/v1/completions", new), 409, "completion-is-measured")
    problem(await viewer.person.post("/v1/completions", new | {"block_id": cinema.lesson}), 409, "nothing-to-complete")


async def test_a_run_is_not_finished_before_an_unreleased_block_is_completed(hub: Hub, draft: Draft) -> None:
    lesson = await add_block(draft.owner, draft.id, await add_block(draft.owner, draft.id, None, "module"), "lesson")
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    later = await add_block(draft.owner, draft.id, lesson, "text", body={"markdown": "x"}, release_at=tomorrow)
    run_id, _ = await _run_with_texts(draft, hub, texts=1)
    viewer = await learner_in(hub, run_id)
    problem(
        await viewer.person.post("/v1/completions", {"enrollment_id": viewer.enrollment_id, "block_id": later}), 403
    )
    await mark(viewer, (await _blocks(viewer))[0])
    progress = await progress_of(viewer)
    assert (counted(progress), progress["blocks_to_come"]) == ((1, 1, 100), 1)
    assert [block["state"] for block in progress["blocks"]] == ["completed", "not_released"]
    await hub.settle()
    assert (progress["completed_at"], await state_of(viewer)) == (None, "active")
    etag = (await draft.owner.get(f"/v1/blocks/{later}")).headers["etag"]
    done(await draft.owner.patch(f"/v1/blocks/{later}", {"release_at": None}, headers={"If-Match": etag}))
    done(await draft.owner.post(f"{draft.path}/publish"))
    await hub.settle()
    progress = await progress_of(viewer)
    assert (counted(progress), progress["blocks_to_come"]) == ((1, 2, 50), 0)
    await mark(viewer, later)
    await hub.settle()
    assert await state_of(viewer) == "completed"


async def test_when_it_was_done_is_told_later_but_never_from_the_future(hub: Hub, draft: Draft) -> None:
    run_id, _ = await _run_with_texts(draft, hub)
    viewer = await learner_in(hub, run_id)
    first, second = await _blocks(viewer)
    yesterday = datetime.now(UTC) - timedelta(days=1)
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    new = {"enrollment_id": viewer.enrollment_id, "block_id": first, "occurred_at": yesterday.isoformat()}
    told = done(await viewer.person.post("/v1/completions", new))
    assert datetime.fromisoformat(told["completed_at"]) == yesterday
    new = new | {"block_id": second, "occurred_at": tomorrow.isoformat()}
    told = done(await viewer.person.post("/v1/completions", new))
    assert datetime.fromisoformat(told["completed_at"]) < datetime.now(UTC)
    problem(await viewer.person.post("/v1/completions", new | {"occurred_at": "2026-01-01T00:00:00"}), 422)


async def test_the_same_idempotency_key_answers_the_same(hub: Hub, draft: Draft) -> None:
    run_id, _ = await _run_with_texts(draft, hub)
    viewer = await learner_in(hub, run_id)
    new = {"enrollment_id": viewer.enrollment_id, "block_id": (await _blocks(viewer))[0]}
    key = {"Idempotency-Key": new_id().hex}
    first = done(await viewer.person.post("/v1/completions", new, headers=key))
    again = await viewer.person.post("/v1/completions", new, headers=key)
    assert (done(again), again.headers["idempotent-replayed"]) == (first, "true")


async def test_finished_stays_and_new_learners_have_more_to_do(hub: Hub, draft: Draft) -> None:
    run_id, _ = await _run_with_texts(draft, hub, texts=1)
    early = await learner_in(hub, run_id)
    await mark(early, (await _blocks(early))[0])
    await hub.settle()
    await add_lesson(draft.owner, draft.id, "# More")
    done(await draft.owner.post(f"{draft.path}/publish"))
    await hub.settle()
    progress = await progress_of(early)
    assert counted(progress) == (1, 2, 50)
    assert (progress["revision"], progress["completed_revision"]) == (2, 1)
    assert await state_of(early) == "completed"
    late = await learner_in(hub, run_id)
    assert counted(await progress_of(late)) == (0, 2, 0)
    for block in await _blocks(early):
        await mark(early, block)
    assert await hub.events("progress.completed") == []


async def test_a_smaller_revision_finishes_who_has_all_of_it(hub: Hub, draft: Draft) -> None:
    run_id, added = await _run_with_texts(draft, hub)
    half, nothing, left = [await learner_in(hub, run_id) for _ in range(3)]
    first = next(block for block in await _blocks(half) if block not in added)
    await mark(half, first)
    await mark(left, first)
    done(await left.person.post(f"/v1/enrollments/{left.enrollment_id}/cancel"))
    await hub.settle()
    assert await state_of(half) == "active"
    done(await draft.owner.delete(f"/v1/blocks/{added[0]}"), 204)
    done(await draft.owner.post(f"{draft.path}/publish"))
    await hub.settle()
    assert [await state_of(each) for each in (half, nothing, left)] == ["completed", "active", "cancelled"]
    assert (await progress_of(half))["completed_revision"] == 2
    # Who comes back has all that is required by now.
    done(await left.person.post("/v1/enrollments", {"run_id": run_id}))
    await hub.settle()
    assert await state_of(left) == "completed"


async def test_a_run_pinned_to_a_smaller_revision_finishes_its_complete_learners(hub: Hub, draft: Draft) -> None:
    run_id, _ = await _run_with_texts(draft, hub, texts=1)
    await add_lesson(draft.owner, draft.id, "# More")
    done(await draft.owner.post(f"{draft.path}/publish"))
    await hub.settle()
    viewer = await learner_in(hub, run_id)
    await mark(viewer, (await _blocks(viewer))[0])
    await hub.settle()
    path = f"/v1/runs/{run_id}"
    etag = (await draft.owner.get(path)).headers["etag"]
    done(await draft.owner.patch(path, {"pinned_revision": 1}, headers={"If-Match": etag}))
    await hub.settle()
    assert (await progress_of(viewer))["completed_revision"] == 1
    assert await state_of(viewer) == "completed"


async def test_completing_takes_few_statements(hub: Hub, draft: Draft) -> None:
    run_id, _ = await _run_with_texts(draft, hub)
    viewer = await learner_in(hub, run_id)
    await hub.settle()
    first, second = await _blocks(viewer)
    with hub.statements() as one:
        await mark(viewer, first)
    with hub.statements() as last:
        await mark(viewer, second)
    for counter, budget in ((one, 5), (last, 7)):
        begin, commit = counter.sql.index("BEGIN"), counter.sql.index("COMMIT")
        assert len(counter.sql[begin : commit + 1]) == budget, counter.sql[begin:]


async def test_what_is_required_of_whom_is_read_by_index() -> None:
    from api.learning.progress import store

    plans: dict[str, dict[str, Any]] = {
        store.LIST_DONE: {"enrollment_ids": [new_id()]},
        store.LIST_UNFINISHED: {"run_id": new_id(), "after": None, "limit": 10},
        store.LIST_LEARNERS: {
            **{"everywhere": True, "own": None, "org_ids": [], "course_ids": [], "run_ids": []},
            **{"run_id": new_id(), "ids": None, "before": None, "limit": 21},
        },
    }
    async with write(PLATFORM) as tx:
        await tx.run("SET LOCAL enable_seqscan = off")
        for sql, named in plans.items():
            plan = "\n".join(row[0] for row in await tx.rows("EXPLAIN " + sql, **named))
            assert "Index" in plan, plan
            assert "Seq Scan" not in plan, plan
