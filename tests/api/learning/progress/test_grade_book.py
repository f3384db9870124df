"""Categories and totals, and the grade book that shows them."""

import json
import os
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from api.learning.progress.grade_book import store
from cluster.base.ids import UserId, new_id
from cluster.data.named import resolve
from tests.api.learning.course.conftest import Draft
from tests.api.learning.progress.grading import Book, made, post
from tests.api.media.video_streaming.conftest import Viewer
from tests.harness import Hub, done, problem


@pytest.fixture
def book(hub: Hub, published: Draft) -> Book:
    return Book(hub, published)


async def category(book: Book, weight: float, **fields: Any) -> str:
    new = {"run_id": book.run_id, "name": "Homework", "weight": weight, **fields}
    return done(await book.owner.post("/v1/grade-categories", new), 201)["id"]


async def grades(book: Book, learner: Viewer, *, staff: bool = True) -> dict[str, Any]:
    by = book.owner if staff else learner.person
    return done(await by.get(f"/v1/progress/{learner.enrollment_id}/grades"))


async def test_totals_follow_the_scores_and_the_scheme(hub: Hub, book: Book) -> None:
    learner = await book.learner()
    homework, exam = await category(book, 1, drop_lowest=1), await category(book, 3)
    items = [await book.item(category_id=homework) for _ in range(3)]
    final = await book.item(category_id=exam, released=False)
    for item, given in zip(items, (10, 20, 4), strict=True):
        await book.enter(item, learner, given)
    await book.enter(final, learner, 10)
    fresh = await grades(book, learner)
    await hub.settle()

    staff, own = await grades(book, learner), await grades(book, learner, staff=False)
    path = f"/v1/grade-categories/{exam}"
    done(await book.owner.patch(path, {"weight": 0}, headers={"If-Match": '"1"'}))
    stale = await grades(book, learner)
    await hub.settle()
    later = await grades(book, learner)

    assert (fresh["is_stale"], fresh["percent"]) == (True, None)
    # Homework: 10 and 20 of 20 without the 4; the exam: 10 of 20, not released.
    assert (staff["percent"], staff["released_percent"], staff["is_stale"]) == (56.25, 75, False)
    assert {each["category_id"]: (each["percent"], each["released_percent"]) for each in staff["categories"]} == {
        homework: (75, 75),
        exam: (50, None),
    }
    assert (own["percent"], own["released_percent"]) == (None, 75)
    assert all(each["percent"] is None for each in own["categories"])
    assert (stale["is_stale"], stale["percent"]) == (True, 56.25)
    assert (later["is_stale"], later["percent"]) == (False, 75)


async def test_what_is_missing_counts_as_zero_once_it_is_due(hub: Hub, book: Book) -> None:
    learner, excused = await book.learner(), await book.learner()
    homework = await category(book, 1, missing_as_zero=True)
    due = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    first, second = await book.item(category_id=homework), await book.item(category_id=homework, due_at=due)
    for each in (learner, excused):
        await book.enter(first, each, 20)
    await book.enter(second, excused, None, excused=True)
    await hub.settle()
    before = await grades(book, learner)

    await book.change(second, due_at=(datetime.now(UTC) - timedelta(seconds=1)).isoformat())
    await hub.settle()

    assert before["percent"] == 100
    assert (await grades(book, learner))["percent"] == 50
    assert (await grades(book, excused))["percent"] == 100


async def test_the_totals_change_when_a_line_item_falls_due(hub: Hub, book: Book) -> None:
    learner, homework = await book.learner(), await category(book, 1, missing_as_zero=True)
    due = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    first, second = await book.item(category_id=homework), await book.item(category_id=homework, due_at=due)
    await book.enter(first, learner, 20)
    await hub.settle()
    pool = await asyncpg.connect(os.environ["HUB_POSTGRES_URL"])
    past = "UPDATE progress.line_items SET due_at = now() - interval '1 s' WHERE id = $1"
    await pool.execute(past, UUID(second["id"]))
    await pool.close()

    await hub.due_now(f"due:{book.run_id}")
    await hub.settle()

    assert (await grades(book, learner))["percent"] == 50


async def test_who_enrols_late_has_totals_of_what_is_due(hub: Hub, book: Book) -> None:
    homework = await category(book, 1, missing_as_zero=True)
    await book.item(category_id=homework, due_at="2020-01-01T00:00:00Z")
    await hub.settle()

    learner = await book.learner()

    shown = await grades(book, learner)
    assert (shown["percent"], shown["is_stale"]) == (0, False)


async def test_a_category_of_extra_credit_adds_to_the_total(hub: Hub, book: Book) -> None:
    learner = await book.learner()
    normal, extra = await category(book, 9), await category(book, 1, extra_credit=True)
    exam, bonus = await book.item(category_id=normal), await book.item(category_id=extra)
    await book.enter(exam, learner, 20)
    await book.enter(bonus, learner, 30)
    over = {"line_item_id": exam["id"], "enrollment_id": learner.enrollment_id, "score_given": 21}
    problem(await book.owner.post("/v1/scores", over), 422, "score-invalid")
    await hub.settle()

    assert (await grades(book, learner))["percent"] == 116.6667


async def test_posted_scores_are_in_the_totals_of_all(hub: Hub, book: Book) -> None:
    learners, item = [await book.learner() for _ in range(3)], await book.service_item()
    await post(*(made(item, learner, str(n)) for n, learner in enumerate(learners)))
    await hub.settle()

    assert [(await grades(book, each))["percent"] for each in learners] == [0, 10, 20]


async def test_categories_are_made_by_teachers_and_hidden_from_others(hub: Hub, book: Book) -> None:
    learner, assistant, rival = await book.learner(), await book.assistant(), (await hub.school()).owner
    id = await category(book, 1)
    path, new = f"/v1/grade-categories/{id}", {"run_id": book.run_id, "name": "X", "weight": 1}

    for outsider in (learner.person, rival):
        problem(await outsider.get(path), 404, "category-not-found")
        problem(await outsider.post("/v1/grade-categories", new), 404, "run-unknown")
        problem(await outsider.get(f"/v1/grade-books/{book.run_id}/rows"), 404, "run-unknown")
    done(await assistant.get(path))
    problem(await assistant.delete(path), 403)
    problem(await rival.get(f"/v1/progress/{learner.enrollment_id}/grades"), 404, "progress-not-found")
    item = await book.item(category_id=id)
    problem(await book.owner.delete(path), 409, "category-in-use")
    await book.change(item, category_id=None)
    assert (await book.owner.delete(path)).status_code == 204
    foreign = {"run_id": book.run_id, "label": "X", "score_maximum": 1, "category_id": str(new_id())}
    refused = problem(await book.owner.post("/v1/line-items", foreign), 422, "category-unknown")
    assert [each["pointer"] for each in refused["errors"]] == ["/category_id"]
    await hub.settle()


async def test_a_category_deleted_and_used_at_once_does_not_dangle(hub: Hub, book: Book) -> None:
    id = await category(book, 1)
    new = {"run_id": book.run_id, "label": "X", "score_maximum": 1, "category_id": id}

    deleted, made_ = await hub.at_once(
        book.owner.delete(f"/v1/grade-categories/{id}"), book.owner.post("/v1/line-items", new)
    )

    assert (deleted.status_code, made_.status_code) in {(204, 422), (409, 201)}
    await hub.settle()


async def test_the_grade_book_shows_learners_by_a_window_of_columns(hub: Hub, book: Book) -> None:
    learners = [await book.learner() for _ in range(3)]
    items = [await book.item() for _ in range(3)]
    for learner in learners[:2]:
        for item in items:
            await book.enter(item, learner, 10)
    await hub.settle()
    path = f"/v1/grade-books/{book.run_id}/rows"

    shown = await book.owner.all(path, limit=2, line_item_id=f"{items[0]['id']},{items[2]['id']}")
    one = await book.owner.all(path, id=learners[0].enrollment_id)

    assert [(each["enrollment_id"], len(each["cells"])) for each in shown] == [
        (learners[2].enrollment_id, 0),
        (learners[1].enrollment_id, 2),
        (learners[0].enrollment_id, 2),
    ]
    assert {cell["line_item_id"] for cell in shown[1]["cells"]} == {items[0]["id"], items[2]["id"]}
    assert [(cell["state"], cell["result_score"]) for cell in one[0]["cells"]] == [("scored", 10)] * 3
    assert (one[0]["grades"]["percent"], shown[0]["grades"]["percent"]) == (50, None)


async def test_a_page_of_the_book_costs_the_same_for_one_and_for_many(hub: Hub, book: Book) -> None:
    learners, item = [await book.learner() for _ in range(3)], await book.item()
    for learner in learners:
        await book.enter(item, learner, 10)
    await hub.settle()
    counts: list[int] = []

    for limit in (1, 3):
        with hub.statements() as counted:
            done(await book.owner.get(f"/v1/grade-books/{book.run_id}/rows", params={"limit": limit}))
        counts.append(len([sql for sql in counted.sql if " progress." in sql]))

    assert counts == [6, 6]


async def test_totals_are_exported_and_erased(hub: Hub, book: Book) -> None:
    learner, item = await book.learner(), await book.item()
    await book.enter(item, learner, 5)
    await hub.settle()
    user_id = UserId(learner.person.id)

    before = await hub.exported(user_id, "progress")
    await hub.erased(user_id, "progress")
    after = await hub.exported(user_id, "progress")

    assert [row["percent"] for row in before.rows["progress.totals"]] == [25]
    assert after.rows["progress.totals"] == []
    await hub.settle()


_FILL = """
INSERT INTO progress.learners (enrollment_id, org_id, course_id, run_id, user_id, learns, enrollment_version)
    SELECT gen_random_uuid(), $1, $1, $1, gen_random_uuid(), true, 1 FROM generate_series(1, 10000);
INSERT INTO progress.line_items (id, org_id, course_id, run_id, label, score_maximum, extra_credit, released, created_at,
                                 updated_at)
    SELECT gen_random_uuid(), $1, $1, $1, 'x', 10, false, true, now(), now() FROM generate_series(1, 50);
INSERT INTO progress.results (id, line_item_id, enrollment_id, org_id, course_id, run_id, user_id, score_id, state,
                              score_given, score_maximum, scored_at)
    SELECT gen_random_uuid(), i.id, l.enrollment_id, $1, $1, $1, l.user_id, gen_random_uuid(), 'scored', 5, 10, now()
    FROM progress.learners l JOIN progress.line_items i ON i.run_id = l.run_id WHERE l.run_id = $1
"""


@pytest.mark.timeout(300)
async def test_a_page_of_a_large_book_reads_its_own_rows_alone(hub: Hub) -> None:
    run_id = new_id()
    admin = await asyncpg.connect(os.environ["HUB_POSTGRES_URL"])
    transaction = admin.transaction()
    await transaction.start()
    try:
        for statement in _FILL.split(";"):
            await admin.execute(statement.replace("$1", f"'{run_id}'::uuid"))
        await admin.execute("ANALYZE progress.learners, progress.line_items, progress.results")
        middle = "SELECT enrollment_id FROM progress.learners WHERE run_id = $1 ORDER BY 1 OFFSET 5000 LIMIT 1"
        before = await admin.fetchval(middle, run_id)
        rows = await admin.fetch(resolve(store.LIST_ROWS)[0], run_id, None, before, 51)
        columns = await admin.fetch(resolve(store.LIST_COLUMNS)[0], run_id, None, 20)
        people, window = [row["enrollment_id"] for row in rows], [row["id"] for row in columns]

        plans = [
            await _analyzed(admin, store.LIST_ROWS, run_id, None, before, 51),
            await _analyzed(admin, store.LIST_CELLS, people, window),
        ]
    finally:
        await transaction.rollback()
        await admin.close()

    assert (len(people), len(window)) == (51, 20)
    for plan, shown in zip(plans, (51, 1020), strict=True):
        read = [node for node in _nodes(plan) if "Relation Name" in node]
        assert all(node["Node Type"] != "Seq Scan" for node in read), plan
        touched = sum(
            (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"] for node in read
        )
        assert touched == shown, plan


async def _analyzed(admin: Any, sql: str, *arguments: object) -> dict[str, Any]:
    [row] = await admin.fetch("EXPLAIN (ANALYZE, FORMAT JSON) " + resolve(sql)[0], *arguments)
    return json.loads(row[0])[0]["Plan"]


def _nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for child in plan.get("Plans", ()) for node in _nodes(child))]
