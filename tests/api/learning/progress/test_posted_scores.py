"""Services post scores in batches, and learners are told of what they see."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from api.learning.progress.calls import Calls
from api.learning.progress.contract import ScoreInvalid
from cluster.base.ids import UserId, new_id
from cluster.people.notices import Reader
from tests.api.learning.course.conftest import Draft
from tests.api.learning.progress.grading import Book, made, own, post
from tests.harness import Hub, done


@pytest.fixture
def book(hub: Hub, published: Draft) -> Book:
    return Book(hub, published)


async def told(hub: Hub, line_item_id: object) -> list[tuple[str, str | None]]:
    """Return which events of results of a line item wait."""
    events = await hub.events("score.posted", "score.released", "score.withdrawn")
    mine = [each for each in events if each.payload["line_item_id"] == str(line_item_id)]
    return sorted((each.type, each.payload["score_given"]) for each in mine)


async def test_each_row_of_a_batch_says_what_became_of_it(hub: Hub, book: Book) -> None:
    learner, item, foreign = (
        await book.learner(),
        await book.service_item(),
        await book.service_item(service="assignment"),
    )
    good = made(item, learner, "7.25")
    stranger = await hub.person("stranger")

    outcomes = await post(
        good,
        good,
        made(item, learner, "3", user_id=UserId(stranger.id)),
        made(item, learner, "3", line_item_id=new_id()),
        made(foreign, learner, "3"),
    )
    again = await post(good)

    first = outcomes[0].score_id
    assert [(each.outcome, each.score_id) for each in outcomes] == [
        ("posted", first),
        ("repeated", first),
        ("unknown_learner", None),
        ("no_line_item", None),
        ("no_line_item", None),
    ]
    assert [(each.outcome, each.score_id) for each in again] == [("repeated", first)]
    assert await own(learner, book.run_id) == [("Quiz", 7.25)]
    assert await told(hub, item.id) == [("score.posted", "7.2500"), ("score.released", "7.2500")]
    await hub.settle()


async def test_an_older_score_is_kept_and_does_not_count(hub: Hub, book: Book) -> None:
    learner, item = await book.learner(), await book.service_item()
    now = datetime.now(UTC)
    newer, older = made(item, learner, "9", scored_at=now), made(item, learner, "2", scored_at=now - timedelta(hours=1))

    outcomes = [*await post(newer), *await post(older)]

    assert [each.outcome for each in outcomes] == ["posted", "stale"]
    assert await own(learner, book.run_id) == [("Quiz", 9)]
    assert await told(hub, item.id) == [("score.posted", "9.0000"), ("score.released", "9.0000")]
    explained = done(await book.owner.get(f"/v1/scores/{outcomes[0].score_id}/explain"))
    assert [(row["score_given"], row["is_current"]) for row in explained["rows"]] == [(2, False), (9, True)]
    await hub.settle()


async def test_scores_count_alike_in_whatever_order_they_come(hub: Hub, book: Book) -> None:
    item = await book.service_item()
    now = datetime.now(UTC)
    orders = [(0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1)]
    learners = [await book.learner() for _ in orders]

    for learner, order in zip(learners[:2], orders[:2], strict=True):
        await post(*(made(item, learner, str(n), scored_at=now - timedelta(minutes=9 - n)) for n in order))
    for learner, order in zip(learners[2:], orders[2:], strict=True):
        for n in order:
            await post(made(item, learner, str(n), scored_at=now - timedelta(minutes=9 - n)))

    assert [await own(learner, book.run_id) for learner in learners] == [[("Quiz", 2)]] * 4
    await hub.settle()


async def test_a_time_in_the_future_does_not_outlast_a_correction(hub: Hub, book: Book) -> None:
    learner, item = await book.learner(), await book.service_item()
    await post(made(item, learner, "9", scored_at=datetime.now(UTC) + timedelta(days=300)))

    new = {"line_item_id": str(item.id), "enrollment_id": learner.enrollment_id, "score_given": 4}
    done(await book.owner.post("/v1/scores", new), 201)

    assert await own(learner, book.run_id) == [("Quiz", 4)]
    await hub.settle()


@pytest.mark.parametrize("given", ["NaN", "-0.5", "10.0001", "Infinity", "99999999"])
async def test_a_batch_with_a_wrong_number_names_the_row(book: Book, given: str) -> None:
    learner, item = await book.learner(), await book.service_item()

    with pytest.raises(ScoreInvalid) as refused:
        await post(made(item, learner, "5"), made(item, learner, given))

    assert [each.pointer for each in refused.value.errors] == ["/scores/1/score_given"]
    assert await own(learner, book.run_id) == []


async def test_what_is_not_fully_graded_does_not_count(hub: Hub, book: Book) -> None:
    learner, item = await book.learner(), await book.service_item()

    [pending] = await post(made(item, learner, "5", grading_progress="PendingManual"))

    assert (pending.outcome, await own(learner, book.run_id)) == ("posted", [])
    assert await told(hub, item.id) == [("score.posted", "5.0000")]
    await hub.settle()


async def test_a_batch_takes_as_many_statements_as_one_score(hub: Hub, book: Book) -> None:
    item = await book.service_item()
    learners = [await book.learner() for _ in range(4)]
    counts: list[int] = []

    for some in (learners[:1], learners):
        with hub.statements() as counted:
            await post(*(made(item, learner, "5") for learner in some))
        counts.append(len([sql for sql in counted.sql if " progress." in sql]))

    assert counts == [7, 7]
    await hub.settle()


async def test_the_same_batch_at_once_makes_one_score_each(hub: Hub, book: Book) -> None:
    item = await book.service_item()
    scores = [made(item, await book.learner(), "5") for _ in range(3)]

    outcomes = await asyncio.gather(post(*scores), post(*reversed(scores)), post(*scores))

    flat = [each for batch in outcomes for each in batch]
    assert sorted(each.outcome for each in flat) == [*["posted"] * 3, *["repeated"] * 6]
    assert len({each.score_id for each in flat}) == 3
    await hub.settle()


async def test_releasing_tells_each_learner_once(hub: Hub, book: Book) -> None:
    learners, item = [await book.learner() for _ in range(2)], await book.item(released=False)
    await book.enter(item, learners[0], 5)
    await book.enter(item, learners[1], None, excused=True)
    before = [await own(learner, book.run_id) for learner in learners]
    await hub.settle()

    for released in (True, False, True):
        await book.change(item, released=released)
        await hub.settle()

    assert before == [[], []]
    assert await own(learners[0], book.run_id) == [("Essay", 5)]
    for learner in learners:
        titles = [each["title"] for each in await learner.person.all("/v1/notifications")]
        assert [title for title in titles if "Essay" in title] == ["Your score for Essay is available"]


async def test_the_notice_speaks_german_and_ends_with_the_score(hub: Hub, book: Book) -> None:
    learner, item = await book.learner(), await book.item()
    score = await book.enter(item, learner, 5)
    [event] = [each for each in await hub.events("score.released") if each.payload["score_id"] == score["id"]]
    reader = Reader(user_id=UserId(learner.person.id), locale="de-AT")
    foreign = Reader(user_id=UserId(new_id()), locale="en")

    async def said() -> list[Any]:
        texts = await Calls().texts("score.released", event.payload, [reader, foreign])
        return [(each.user_id, each.title.partition(" ")[2]) for each in texts]

    visible = await said()
    await book.change(item, released=False)
    hidden = await said()
    await book.change(item, released=True)
    done(await book.owner.post(f"/v1/scores/{score['id']}/withdraw", {}))
    withdrawn = await said()

    assert visible == [(reader.user_id, "Bewertung für Essay ist da")]
    assert (hidden, withdrawn) == ([], [])
    assert await Calls().recipients("score.released", event.payload, None, 10) == [reader.user_id]
    await hub.settle()


async def test_another_maximum_scales_what_was_given(hub: Hub, book: Book) -> None:
    learner, item = await book.learner(), await book.service_item()
    await post(made(item, learner, "2", score_maximum=Decimal(3)))

    before = await own(learner, book.run_id)
    await book.change({"id": str(item.id)}, score_maximum=30)
    after = await own(learner, book.run_id)

    assert (before, after) == ([("Quiz", 6.6667)], [("Quiz", 20)])
    await hub.settle()
