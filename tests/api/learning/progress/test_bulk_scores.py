"""Many scores go in by one request or file, and come out as a table."""

import base64
import csv
import io
from typing import Any

import pytest

from cluster.base.ids import new_id
from tests.api.learning.course.conftest import Draft
from tests.api.learning.progress.grading import Book, own
from tests.harness import Hub, done, problem


@pytest.fixture
def book(hub: Hub, published: Draft) -> Book:
    return Book(hub, published)


async def send(book: Book, items: list[dict[str, Any]] | None, **fields: Any) -> dict[str, Any]:
    """Send a bulk and return its operation when it is over."""
    body = {"run_id": book.run_id, **({} if items is None else {"items": items}), **fields}
    operation = done(await book.owner.post("/v1/scores/-/bulk", body), 202)
    await book.hub.settle()
    return done(await book.owner.get(f"/v1/operations/{operation['id']}"))


async def report(book: Book, operation: dict[str, Any]) -> list[tuple[str, str | None]]:
    lines = await book.owner.all(f"/v1/operations/{operation['id']}/rows", limit=100)
    problems = [line["problem"] and line["problem"]["type"].removeprefix("/problems/") for line in lines]
    return list(zip([line["state"] for line in lines], problems, strict=True))


async def upload(book: Book, content: bytes, purpose: str = "scores") -> str:
    def encoded(text: str) -> str:
        return base64.b64encode(text.encode()).decode()

    names = {
        "filename": "scores.csv",
        "filetype": "text/csv",
        "purpose": purpose,
        "target": f"course:{book.course.id}",
    }
    headers = {
        "Tus-Resumable": "1.0.0",
        "Upload-Length": str(len(content)),
        "Upload-Metadata": ",".join(f"{key} {encoded(value)}" for key, value in names.items()),
    }
    created = await book.owner.client.post("/v1/uploads", headers=headers)
    assert created.status_code == 201, created.text
    sending = {"Tus-Resumable": "1.0.0", "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    sent = await book.owner.client.patch(created.headers["location"], content=content, headers=sending)
    assert sent.status_code == 204, sent.text
    await book.hub.settle()
    return created.headers["location"].rpartition("/")[2]


async def test_each_row_is_entered_or_says_why_not(book: Book) -> None:
    learner, other, item = await book.learner(), await book.learner(), await book.item()
    await book.enter(item, other, 7)
    row = {"line_item_id": item["id"], "enrollment_id": learner.enrollment_id}
    items = [
        row | {"score_given": 5},
        {"line_item_id": item["id"], "enrollment_id": other.enrollment_id, "score_given": 7},
        row | {"score_given": 6},
        row | {"line_item_id": str(new_id()), "score_given": 1},
        row | {"enrollment_id": str(new_id()), "score_given": 1},
        {
            "line_item_id": (await book.item(score_maximum=2))["id"],
            "enrollment_id": learner.enrollment_id,
            "score_given": 3,
        },
    ]

    operation = await send(book, items)

    assert operation["counts"] == {"created": 1, "unchanged": 1, "failed": 4}
    assert await report(book, operation) == [
        ("created", None),
        ("unchanged", None),
        ("failed", "invalid"),
        ("failed", "line-item-not-found"),
        ("failed", "learner-unknown"),
        ("failed", "score-invalid"),
    ]
    assert (await own(learner, book.run_id), await own(other, book.run_id)) == ([("Essay", 5)], [("Essay", 7)])


async def test_a_dry_run_and_a_failed_whole_enter_nothing(book: Book) -> None:
    learner, item = await book.learner(), await book.item()
    row = {"line_item_id": item["id"], "enrollment_id": learner.enrollment_id, "score_given": 5}

    dry = await send(book, [row], dry_run=True)
    whole = await send(book, [row, row | {"enrollment_id": str(new_id())}], mode="all_or_nothing")

    assert (dry["state"], dry["counts"]) == ("succeeded", {"created": 1})
    assert (whole["state"], whole["problem"]["type"]) == ("failed", "/problems/rows-refused")
    assert await own(learner, book.run_id) == []


async def test_an_undo_lets_count_what_counted_before(book: Book) -> None:
    learners, item = [await book.learner() for _ in range(4)], await book.item()
    await book.enter(item, learners[0], 3)
    await book.enter(item, learners[1], None, excused=True)
    rows = [{"line_item_id": item["id"], "enrollment_id": each.enrollment_id, "score_given": 9} for each in learners]
    operation = await send(book, rows)
    during = [await own(each, book.run_id) for each in learners]
    await book.enter(item, learners[3], 1)

    done(await book.owner.post(f"/v1/operations/{operation['id']}/undo"))
    await book.hub.settle()

    assert during == [[("Essay", 9)]] * 4
    assert [await own(each, book.run_id) for each in learners] == [
        [("Essay", 3)],
        [("Essay", None)],
        [],
        [("Essay", 1)],
    ]


async def test_the_table_that_comes_out_goes_in_again(book: Book) -> None:
    learner, item = await book.learner(), await book.item(label="=1+1", score_maximum=20)
    second = await book.item(label="Talk")
    await book.enter(item, learner, 7.5)

    answer = await book.owner.get(f"/v1/grade-books/{book.run_id}/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    text = answer.text.replace("7.5", "8.5").replace(",Talk,", ",Talk;changed,")
    unchanged = await send(book, None, asset_id=await upload(book, answer.content))
    changed = await send(book, None, asset_id=await upload(book, text.encode()))

    assert [(row["label"], row["enrollment_id"], row["score_given"]) for row in rows] == [
        ("'=1+1", learner.enrollment_id, "7.5"),
        ("Talk", learner.enrollment_id, ""),
    ]
    assert (unchanged["counts"], changed["counts"]) == ({"unchanged": 2}, {"changed": 1, "unchanged": 1})
    assert await own(learner, book.run_id) == [("=1+1", 8.5)]
    assert second["id"] == rows[1]["line_item_id"]


async def test_the_table_is_taken_out_and_put_in_by_staff_alone(hub: Hub, book: Book) -> None:
    learner, item, rival = await book.learner(), await book.item(), (await hub.school()).owner
    row = {"line_item_id": item["id"], "enrollment_id": learner.enrollment_id, "score_given": 5}

    for outsider in (learner.person, rival):
        problem(await outsider.get(f"/v1/grade-books/{book.run_id}/csv"), 404, "run-unknown")
        refused = await outsider.post("/v1/scores/-/bulk", {"run_id": book.run_id, "items": [row]})
        problem(refused, 404, "run-unknown")
    problem(await hub.guest.get(f"/v1/grade-books/{book.run_id}/csv"), 401)
    neither = await book.owner.post("/v1/scores/-/bulk", {"run_id": book.run_id})
    problem(neither, 422)
    await hub.settle()


async def test_a_file_of_others_or_for_something_else_is_none(hub: Hub, book: Book) -> None:
    elsewhere = await hub.school()
    course = {"organization_id": str(elsewhere.org_id), "title": "Theirs", "language": "en"}
    theirs = Draft(elsewhere, done(await elsewhere.owner.post("/v1/courses", course), 201))
    await hub.settle()
    files = [
        await upload(book, b"line_item_id,enrollment_id\n", purpose="roster"),
        await upload(Book(hub, theirs), b"line_item_id,enrollment_id\n"),
        str(new_id()),
    ]

    for asset_id in files:
        refused = await book.owner.post("/v1/scores/-/bulk", {"run_id": book.run_id, "asset_id": asset_id})
        problem(refused, 404, "asset-not-found")
    await hub.settle()
