"""Staff enter, correct, excuse and withdraw scores; learners see what is released of their own."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from cluster.base.ids import UserId, new_id
from cluster.base.principal import PLATFORM
from cluster.data import read, write
from tests.api.learning.course.conftest import Draft
from tests.api.learning.progress.grading import Book, own
from tests.harness import Hub, done, problem


@pytest.fixture
def book(hub: Hub, published: Draft) -> Book:
    return Book(hub, published)


async def test_a_score_is_corrected_and_the_newest_counts(hub: Hub, book: Book) -> None:
    learner, item = await book.learner(), await book.item()

    first = await book.enter(item, learner, 12.34565, comment="Good")
    second = await book.enter(item, learner, 9, score_maximum=10)

    assert (first["cause"], first["score_given"], first["result_score"], first["comment"]) == (
        "entered",
        12.3457,
        12.3457,
        "Good",
    )
    assert (second["cause"], second["result_score"], second["result_maximum"], second["is_current"]) == (
        "corrected",
        18,
        20,
        True,
    )
    assert await own(learner, book.run_id) == [("Essay", 18)]
    history = await book.owner.all(f"/v1/line-items/{item['id']}/scores", limit=1)
    assert [(each["id"], each["is_current"], each["posted_by"]) for each in history] == [
        (second["id"], True, str(book.owner.id)),
        (first["id"], False, str(book.owner.id)),
    ]
    problem(await learner.person.get(f"/v1/scores/{first['id']}"), 404, "score-not-found")
    assert done(await learner.person.get(f"/v1/scores/{second['id']}"))["result_score"] == 18
    await hub.settle()


async def test_scores_are_written_by_staff_and_read_by_their_learner(hub: Hub, book: Book) -> None:
    learner, other, item = await book.learner(), await book.learner(), await book.item()
    assistant, rival = await book.assistant(), (await hub.school()).owner
    new = {"line_item_id": item["id"], "enrollment_id": learner.enrollment_id, "score_given": 5}

    score = done(await assistant.post("/v1/scores", new), 201)

    for outsider in (learner.person, other.person, rival):
        problem(await outsider.post("/v1/scores", new), 404, "line-item-not-found")
        problem(await outsider.get(f"/v1/line-items/{item['id']}/scores"), 404, "line-item-not-found")
    for outsider in (other.person, rival):
        problem(await outsider.get(f"/v1/scores/{score['id']}"), 404, "score-not-found")
        problem(await outsider.get(f"/v1/scores/{score['id']}/explain"), 404, "score-not-found")
        problem(await outsider.post(f"/v1/scores/{score['id']}/withdraw", {}), 404, "score-not-found")
        assert await own(other, book.run_id) == []
    problem(await learner.person.post(f"/v1/scores/{score['id']}/withdraw", {}), 403)
    problem(await hub.guest.get(f"/v1/scores/{score['id']}"), 401)
    told = done(await learner.person.get(f"/v1/scores/{score['id']}/explain"))
    known = done(await book.owner.get(f"/v1/scores/{score['id']}/explain"))
    assert [row["posted_by"] for row in told["rows"]] == [None]
    assert [row["posted_by"] for row in known["rows"]] == [str(assistant.id)]
    await hub.settle()


@pytest.mark.parametrize("given", [-1, 21, "NaN", "Infinity", "x", None, 99_999_999])
async def test_a_score_that_is_none_is_refused_with_its_field(book: Book, given: object) -> None:
    learner, item = await book.learner(), await book.item()
    new = {"line_item_id": item["id"], "enrollment_id": learner.enrollment_id, "score_given": given}

    refused = problem(await book.owner.post("/v1/scores", new), 422)

    assert [each["pointer"] for each in refused["errors"]] == ["/score_given"]
    assert await own(learner, book.run_id) == []


async def test_extra_credit_alone_passes_the_maximum(hub: Hub, book: Book) -> None:
    learner, item = await book.learner(), await book.item(extra_credit=True)

    score = await book.enter(item, learner, 25)

    assert score["result_score"] == 25
    await hub.settle()


async def test_only_who_learns_in_the_run_gets_a_score(hub: Hub, book: Book) -> None:
    learner, item = await book.learner(), await book.item()
    done(await learner.person.post(f"/v1/enrollments/{learner.enrollment_id}/cancel"))
    await hub.settle()
    elsewhere = done(await book.owner.post("/v1/runs", {"course_id": book.course.id, "title": "Other"}), 201)
    await hub.settle()
    other = done(await learner.person.post("/v1/enrollments", {"run_id": elsewhere["id"]}), 201)

    for enrollment_id in (learner.enrollment_id, other["id"], str(new_id())):
        new = {"line_item_id": item["id"], "enrollment_id": enrollment_id, "score_given": 5}
        refused = problem(await book.owner.post("/v1/scores", new), 422, "learner-unknown")
        assert [each["pointer"] for each in refused["errors"]] == ["/enrollment_id"]
    await hub.settle()


async def test_who_is_excused_has_no_score_and_a_withdrawn_one_is_gone(hub: Hub, book: Book) -> None:
    learner, item = await book.learner(), await book.item()
    first = await book.enter(item, learner, 5)
    path = f"/v1/scores/{first['id']}/withdraw"

    withdrawn = done(await book.owner.post(path, {"comment": "Mixed up"}))
    after_withdrawal = await own(learner, book.run_id)
    problem(await book.owner.post(path, {}), 409, "score-is-not-current")
    excused = await book.enter(item, learner, None, excused=True)

    assert (withdrawn["cause"], withdrawn["is_current"], after_withdrawal) == ("withdrawn", True, [])
    assert (excused["cause"], excused["score_given"]) == ("excused", None)
    assert await own(learner, book.run_id) == [("Essay", None)]
    both = {"line_item_id": item["id"], "enrollment_id": learner.enrollment_id, "score_given": 1, "excused": True}
    problem(await book.owner.post("/v1/scores", both), 422, "score-invalid")
    events = await hub.events("score.posted", "score.released", "score.withdrawn")
    types = [each.type for each in events if each.payload["line_item_id"] == item["id"]]
    assert sorted(types) == [*["score.posted"] * 2, *["score.released"] * 2, "score.withdrawn"]
    await hub.settle()


async def test_a_line_item_with_scores_is_deleted_after_they_are_withdrawn(hub: Hub, book: Book) -> None:
    learner, item = await book.learner(), await book.item()
    score = await book.enter(item, learner, 5)
    path = f"/v1/line-items/{item['id']}"

    problem(await book.owner.delete(path), 409, "line-item-has-scores")
    done(await book.owner.post(f"/v1/scores/{score['id']}/withdraw", {}))
    deleted = await book.owner.delete(path)

    assert deleted.status_code == 204
    problem(await book.owner.get(f"/v1/scores/{score['id']}"), 404, "score-not-found")
    await hub.settle()


async def test_a_deleted_line_item_is_gone_for_good_after_30_days(hub: Hub, book: Book) -> None:
    learner, item = await book.learner(), await book.item()
    score = await book.enter(item, learner, 5)
    done(await book.owner.post(f"/v1/scores/{score['id']}/withdraw", {}))
    assert (await book.owner.delete(f"/v1/line-items/{item['id']}")).status_code == 204
    kept: list[int] = []

    for days in (29, 31):
        async with write(PLATFORM) as tx:
            when = "UPDATE progress.line_items SET deleted_at = $1 WHERE id = $2"
            await tx.run(when, datetime.now(UTC) - timedelta(days=days), UUID(item["id"]))
        await hub.run_cron("progress.purge")
        async with read() as db:
            left = """SELECT (SELECT count(*) FROM progress.scores WHERE line_item_id = $1)
                + (SELECT count(*) FROM progress.results WHERE line_item_id = $1)
                + (SELECT count(*) FROM progress.line_items WHERE id = $1)"""
            kept.append(await db.value(left, UUID(item["id"])))

    assert kept == [4, 0]
    await hub.settle()


async def test_graders_at_once_leave_every_score_and_one_that_counts(hub: Hub, book: Book) -> None:
    learner, item = await book.learner(), await book.item()
    new = {"line_item_id": item["id"], "enrollment_id": learner.enrollment_id}

    answers = await hub.at_once(*(book.owner.post("/v1/scores", new | {"score_given": n}) for n in range(5)))

    assert [answer.status_code for answer in answers] == [201] * 5
    history = await book.owner.all(f"/v1/line-items/{item['id']}/scores")
    assert (len(history), sum(each["is_current"] for each in history)) == (5, 1)
    await hub.settle()


async def test_a_repeated_request_enters_one_score(hub: Hub, book: Book) -> None:
    learner, item = await book.learner(), await book.item()
    new = {"line_item_id": item["id"], "enrollment_id": learner.enrollment_id, "score_given": 5}
    key = {"Idempotency-Key": str(new_id())}

    first, again = [done(await book.owner.post("/v1/scores", new, headers=key), 201) for _ in range(2)]

    assert first == again
    assert len(await book.owner.all(f"/v1/line-items/{item['id']}/scores")) == 1
    await hub.settle()


async def test_a_learners_scores_are_exported_and_erased(hub: Hub, book: Book) -> None:
    learner, item = await book.learner(), await book.item()
    await book.enter(item, learner, 5, comment="Nice")
    user_id = UserId(learner.person.id)

    before = await hub.exported(user_id, "progress")
    part = await hub.erased(user_id, "progress")
    after = await hub.exported(user_id, "progress")

    assert [row["comment"] for row in before.rows["progress.scores"]] == ["Nice"]
    assert (part.outcome, after.rows["progress.scores"], after.rows["progress.results"]) == ("done", [], [])
    await hub.settle()


async def test_a_grader_who_leaves_is_forgotten_and_the_score_stays(hub: Hub, book: Book) -> None:
    learner, item, assistant = await book.learner(), await book.item(), await book.assistant()
    new = {"line_item_id": item["id"], "enrollment_id": learner.enrollment_id, "score_given": 5}
    score = done(await assistant.post("/v1/scores", new), 201)

    await hub.erased(UserId(assistant.id), "progress")

    explained = done(await book.owner.get(f"/v1/scores/{score['id']}/explain"))
    assert [(row["posted_by"], row["score_given"]) for row in explained["rows"]] == [(None, 5)]
    await hub.settle()
