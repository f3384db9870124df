"""What members ask is counted without keeping who they are, and shown when at least five of them asked."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from api.analytics.search.contract import Named
from api.analytics.search.statistic import answer, recorder, rules, store
from api.analytics.search.statistic.recorder import Question, Recorder
from api.analytics.search.statistic.rules import KEPT, asker_of, era_of, normal
from api.analytics.search.statistic.store import Asked, Clicked
from cluster.base.ids import OrgId, UserId, new_id
from cluster.data import read, write
from tests.api.analytics.search.probe import PLATFORM
from tests.api.analytics.search.searching import Found
from tests.api.analytics.search.test_finding import publish
from tests.harness import Hub, Person, School, done, problem

pytestmark = pytest.mark.timeout(300)
CLICKS, REPORT = "/v1/search/-/clicks", "/v1/search/-/report"


async def join(school: School, person: Person) -> Person:
    token = done(await school.owner.post("/v1/invitations", {"organization_id": str(school.org_id)}), 201)["token"]
    done(await person.post("/v1/invitations/-/accept", {"token": token}))
    return person


async def members(hub: Hub, school: School, count: int) -> list[Person]:
    joined = [await join(school, await hub.person()) for _ in range(count)]
    await hub.settle()
    return joined


async def report(school: School, **query: Any) -> list[dict[str, Any]]:
    """Return the whole report, read in pages of two."""
    await recorder.recorder.flush()
    items: list[dict[str, Any]] = []
    params: dict[str, Any] = {"organization_id": str(school.org_id), "limit": 2, **query}
    while True:
        page = done(await school.owner.get(REPORT, params=params))
        items += page["items"]
        if page["next_cursor"] is None:
            return items
        params["cursor"] = page["next_cursor"]


def click_of(found: dict[str, Any], position: int) -> dict[str, Any]:
    item = found["items"][position - 1]
    return {"answer_id": found["answer_id"], "kind": item["kind"], "id": item["id"], "position": position}


async def rows_of(school: School) -> list[Asked]:
    async with read() as db:
        return await store.list_asked(db, school.org_id, since=date(1970, 1, 1), after=None, limit=1000)


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("  Linear \u00a0ALGEBRA\n", "linear algebra"),
        ("\uff2c\uff49\uff4e\uff45\uff41\uff52", "linear"),
        ("STRASSE", "strasse"),
        ("straße", "strasse"),
        ("soft\u00adware", "software"),
        ("covid\u201119", "covid-19"),
        ("x" * 300, "x" * 100),
        ("algebra 2, chapter 10", "algebra 2, chapter 10"),
        ("\u200b \u0000", None),
        ("ada@school.example", None),
        ("mail to ADA \uff20 school.example please", None),
        ("ada\u200d@\u200cschool", None),
        ("x" * 300 + " ada@school.example", None),
        ("+49 (0)30 123-45 67", None),
        ("call 030/1234567", None),
        ("\u0660\u0661\u0662\u0663\u0664\u0665\u0666", None),
        ("030\u2011123\u20114567", None),
    ],
)
def test_a_question_is_counted_in_one_form_and_no_address_is(text: str, query: str | None) -> None:
    assert normal(text) == query


async def test_what_five_members_ask_is_reported_and_nothing_else(hub: Hub, found: Found) -> None:
    school, elsewhere = await hub.school(), await hub.school()
    org = {"organization_id": str(school.org_id)}
    algebra = [await publish(found, school, title=f"Algebra {number}") for number in range(2)]
    people = await members(hub, school, 5)
    stranger = elsewhere.owner

    for person in [*people, people[0]]:
        await found.ask(person, " ALGEBRA ", language="en", **org)
    for person in people:
        # Without an organization it counts in the only one that they belong to.
        await found.ask(person, "Zymurgy")
        await found.ask(person, "ada@school.example", **org)
    for person in people[1:]:
        await found.ask(person, "rare", **org)
    for person in [hub.guest, stranger, *people[1:]]:
        answered = await found.ask(person, "nearly", **org)
        assert (answered["answer_id"] is None) == (person in (hub.guest, stranger))
    first = await found.ask(people[0], "algebra", language="en", limit=1, **org)
    second = await found.ask(people[0], "algebra", language="en", limit=1, cursor=first["next_cursor"], **org)

    assert second["answer_id"] is None
    expected = {
        "algebra": {"language": "en", "people": 5, "asked": 7, "unanswered": 0},
        "zymurgy": {"language": "und", "people": 5, "asked": 5, "unanswered": 5},
    }
    none = {"clicked": 0, "click_rate": 0.0, "mean_reciprocal_position": None}
    assert await report(school) == [{"query": query, **counts, **none} for query, counts in expected.items()]
    assert [item["query"] for item in await report(school, unanswered=True)] == ["zymurgy"]
    assert [item["query"] for item in await report(school, language="en-GB")] == ["algebra"]
    assert await report(elsewhere) == []
    await found.ask(people[0], "rare", **org)
    assert [item["query"] for item in await report(school, period="week", limit=1)] == ["algebra", "rare", "zymurgy"]
    problem(await stranger.get(REPORT, params=org), 404)
    problem(await people[0].get(REPORT, params=org), 403)
    problem(await hub.guest.get(REPORT, params=org), 401)
    assert len(algebra) == 2


async def test_what_a_filter_left_out_is_not_counted(hub: Hub, found: Found) -> None:
    school = await hub.school()
    org = {"organization_id": str(school.org_id)}
    await publish(found, school, title="Botany")
    (ada,) = await members(hub, school, 1)

    filtered = [
        await found.ask(ada, "botany", kind="person", **org),
        await found.ask(ada, "botany", facet="category:zoology", **org),
    ]
    plain = await found.ask(ada, "botany", **org)
    await recorder.recorder.flush()

    assert [(each["items"], each["answer_id"]) for each in filtered] == [([], None)] * 2
    assert plain["answer_id"] is not None
    assert [(row.query, row.asked, row.unanswered) for row in await rows_of(school)] == [("botany", 1, 0)]


@pytest.mark.parametrize("language", ["", "x", "de_DE", "en-", "en-" + "x" * 9])
async def test_a_search_rejects_a_language_that_can_be_none(hub: Hub, language: str) -> None:
    refused = problem(await hub.guest.get("/v1/search", params={"q": "botany", "language": language}), 422)

    assert [each["pointer"] for each in refused["errors"]] == ["/query/language"]


async def test_a_click_counts_once_for_each_answer_at_its_best(hub: Hub, found: Found) -> None:
    school = await hub.school()
    org = {"organization_id": str(school.org_id)}
    for number in range(3):
        await publish(found, school, title=f"Geometry {number}")
    people = await members(hub, school, 5)
    answers = [await found.ask(person, "geometry", **org) for person in people]

    for position in (3, 2, 3, 2):
        done(await people[0].post(CLICKS, click_of(answers[0], position)), 204)
    await recorder.recorder.flush()
    done(await people[0].post(CLICKS, click_of(answers[0], 3)), 204)
    done(await people[1].post(CLICKS, click_of(answers[1], 1)), 204)

    (item,) = await report(school)
    assert (item["asked"], item["clicked"], item["click_rate"]) == (5, 2, 0.4)
    assert item["mean_reciprocal_position"] == pytest.approx((1 / 2 + 1) / 2)


async def test_a_click_is_refused_that_no_answer_allows(
    hub: Hub, found: Found, monkeypatch: pytest.MonkeyPatch
) -> None:
    school = await hub.school()
    org = {"organization_id": str(school.org_id)}
    for number in range(2):
        await publish(found, school, title=f"Trigonometry {number}")
    ada, grace = await members(hub, school, 2)
    answered = await found.ask(ada, "trigonometry", **org)
    click = click_of(answered, 1)
    id = answered["answer_id"]

    for forged in ("", "x", id[:-4] + "AAAA", "AAAA" + id[4:], id + "é", id[1:], "=" * 8):
        problem(await ada.post(CLICKS, {**click, "answer_id": forged}), 404, "answer-not-found")
    problem(await grace.post(CLICKS, click), 404, "answer-not-found")
    problem(await hub.guest.post(CLICKS, click), 401)
    for wrong in ({"position": 2}, {"position": 3}, {"id": str(new_id())}, {"kind": "lesson"}):
        refused = problem(await ada.post(CLICKS, {**click, **wrong}), 422, "click-unknown")
        assert refused["errors"][0]["pointer"] == "/position"
    problem(await ada.post(CLICKS, {**click, "position": 0}), 422, "invalid")
    problem(await ada.post(CLICKS, {**click, "more": 1}), 422, "invalid")
    later = datetime.now(UTC) + answer.VALID
    assert answer.decode(id, ada.id, later - timedelta(minutes=1)) is not None
    assert answer.decode(id, ada.id, later) is None
    done(await ada.post(CLICKS, click), 204)


async def test_an_erased_person_leaves_no_question_behind(hub: Hub, found: Found) -> None:
    school, other = await hub.school(), await hub.school()
    ada, grace = await members(hub, school, 2)
    await join(other, ada)
    await hub.settle()
    for person in (ada, grace):
        for q in ("calculus", "calculus", "topology"):
            await found.ask(person, q, organization_id=str(school.org_id))
    await found.ask(ada, "calculus", organization_id=str(other.org_id))
    await recorder.recorder.flush()
    before = await rows_of(school)
    assert sorted(row.asked for row in before) == [1, 1, 2, 2]
    assert len({row.asker for row in before}) == 4
    assert not {row.asker for row in before} & {row.asker for row in await rows_of(other)}

    in_school = await hub.erased(ada.id, "search", org_id=school.org_id)
    assert (in_school.outcome, in_school.rows_erased) == ("done", 2)
    assert ([row.query for row in await rows_of(school)], len(await rows_of(other))) == (["calculus", "topology"], 1)
    everywhere = await hub.erased(ada.id, "search")

    assert everywhere.rows_erased == 1
    assert await rows_of(other) == []
    # What was under way when the person was erased is not counted afterwards.
    recorder.recorder.note(asked_by(school.org_id, ada.id, "late"))
    await recorder.recorder.flush()
    assert [row.query for row in await rows_of(school)] == ["calculus", "topology"]


def asked_by(org_id: OrgId, user_id: UserId, query: str, day: date | None = None) -> Question:
    day = day or datetime.now(UTC).date()
    return Question(org_id=org_id, day=day, language="en", query=query, user_id=user_id, answered=True)


async def test_what_cannot_be_written_waits_and_is_counted_once(
    hub: Hub, found: Found, monkeypatch: pytest.MonkeyPatch
) -> None:
    school, mine = await hub.school(), Recorder()
    day = datetime.now(UTC).date()
    people = [UserId(new_id()) for _ in range(2)]
    mine.note(asked_by(school.org_id, people[0], "waits"))
    mine.note(Clicked(answer_id=uuid4(), org_id=school.org_id, day=day, language="en", query="waits", position=1))
    upsert = store.upsert_clicked

    async def die(*_: Any) -> None:
        raise OSError("the server is gone")

    monkeypatch.setattr(store, "upsert_clicked", die)
    with pytest.raises(OSError, match="gone"):
        await mine.flush()
    # Neither half is there.
    assert await rows_of(school) == []
    monkeypatch.setattr(store, "upsert_clicked", upsert)
    mine.note(asked_by(school.org_id, people[1], "waits"))

    await mine.flush()
    await mine.flush()

    assert [(row.query, row.asked) for row in await rows_of(school)] == [("waits", 1)] * 2


async def test_processes_that_count_the_same_add_up(hub: Hub, found: Found) -> None:
    school, person = await hub.school(), UserId(new_id())
    processes = [Recorder(), Recorder()]
    for process in processes:
        for query in ("b", "a", "b"):
            process.note(asked_by(school.org_id, person, query))

    await hub.at_once(*(process.flush() for process in processes))

    assert [(row.query, row.asked) for row in await rows_of(school)] == [("a", 2), ("b", 4)]


async def keep(rows: Sequence[Asked]) -> None:
    async with write(PLATFORM) as tx:
        await store.upsert_asked(tx, rows)


async def test_one_person_in_several_eras_is_one_person(hub: Hub, found: Found) -> None:
    school = await hub.school()
    today = datetime.now(UTC).date()
    person = UserId(new_id())
    days = [today - timedelta(days=30 * number) for number in range(3)]

    def asked(day: date, user_id: UserId, query: str) -> Asked:
        asker = asker_of(f"key of {era_of(day)}".encode(), school.org_id, "en", query, user_id)
        return Asked(org_id=school.org_id, day=day, language="en", query=query, asker=asker, asked=1, unanswered=0)

    await keep([asked(day, person, "often") for day in days])
    await keep([asked(day, UserId(UUID(int=number)), "two in each") for day in days for number in (1, 2)])
    await keep([asked(days[0], UserId(UUID(int=number)), "five") for number in range(5)])
    await keep([asked(days[2], person, "five")])

    (item,) = await report(school, period="quarter")

    assert (item["query"], item["people"], item["asked"]) == ("five", 5, 6)


async def test_questions_end_after_90_days_and_keys_after_their_time(hub: Hub, found: Found) -> None:
    school, person = await hub.school(), UserId(new_id())
    today = datetime.now(UTC).date()
    era = era_of(today)
    for age in (0, 89, 91, 200):
        day = today - timedelta(days=age)
        row = Asked(
            org_id=school.org_id, day=day, language="en", query=str(age), asker=bytes(16), asked=1, unanswered=0
        )
        await keep([row])
        async with write(PLATFORM) as tx:
            click = Clicked(answer_id=uuid4(), org_id=school.org_id, day=day, language="en", query="x", position=1)
            await store.upsert_clicked(tx, [click])
            if age:
                await store.insert_key(tx, era - age // 30, b"sealed under a secret that is gone")
    recorder.recorder.note(asked_by(school.org_id, person, "now"))
    await recorder.recorder.flush()

    await hub.run_cron("search.forget")
    await hub.run_cron("search.forget")

    assert [row.query for row in await rows_of(school)] == ["89", "0", "now"]
    async with read() as db:
        keys = await store.list_keys(db)
        clicked = await db.value("SELECT count(*) FROM search.clicked WHERE org_id = $1", school.org_id)
    assert (clicked, KEPT) == (2, timedelta(days=90))
    assert era in keys
    assert set(keys) <= {era, era_of(today - timedelta(days=1))}


async def test_a_question_of_an_era_whose_key_is_gone_is_not_counted(hub: Hub, found: Found) -> None:
    school, mine = await hub.school(), Recorder()
    long_ago = datetime.now(UTC).date() - 2 * rules.ERA
    mine.note(asked_by(school.org_id, UserId(new_id()), "late", long_ago))
    mine.note(asked_by(school.org_id, UserId(new_id()), "today"))

    await mine.flush()

    assert [row.query for row in await rows_of(school)] == ["today"]


def test_the_id_of_the_longest_answer_fits_into_a_click() -> None:
    now = datetime.now(UTC)
    shown = answer.shown_of([Named("course", new_id()) for _ in range(103)])
    longest = answer.Answer(
        id=uuid4(),
        org_id=OrgId(new_id()),
        day=now.date(),
        language="x" * 8,
        query="\U0001f393" * rules.MOST_CHARACTERS,
        user_id=UserId(new_id()),
        ends_at=now + answer.VALID,
        shown=shown,
    )

    text = answer.encode(longest)

    assert len(text) <= answer.MOST_CHARACTERS
    assert answer.decode(text, longest.user_id, now) == longest
