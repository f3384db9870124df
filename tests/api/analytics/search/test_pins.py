"""Administrators put documents on top of a question's answers, for those who may see them."""

from typing import Any

import pytest

from api.analytics.search.pin import logic
from cluster.base.ids import new_id
from tests.api.analytics.search.searching import Found
from tests.api.analytics.search.test_finding import publish
from tests.harness import Hub, Person, School, done, problem

pytestmark = pytest.mark.timeout(300)
PINS = "/v1/search-pins"
V1 = {"If-Match": '"1"'}


async def pin(hub: Hub, school: School, q: str, *course_ids: str, language: str | None = None) -> str:
    documents = [{"kind": "course", "id": id} for id in course_ids]
    new = {"organization_id": str(school.org_id), "q": q, "language": language, "documents": documents}
    created = done(await school.owner.post(PINS, new), 201)
    await hub.broadcasts_arrived()
    return created["id"]


async def test_pins_stand_on_top_for_those_who_may_see_them(hub: Hub, found: Found) -> None:
    school, elsewhere = await hub.school(), await hub.school()
    org = {"organization_id": str(school.org_id)}
    titles = [f"Holiday camp {number}" for number in range(4)]
    camps = [await publish(found, school, title=title) for title in titles]
    office = await publish(found, school, title="Office hours", visibility="organization")
    before = await found.ids(school.owner, "holidáy camp", **org)
    assert sorted(before) == sorted(camps)

    pin_id = await pin(hub, school, "The Holiday CAMP", office, camps[3], language="en-GB")
    read = {"language": "en", **org}

    first = await found.ask(school.owner, "holidáy camp", limit=2, **read)
    second = await found.ask(school.owner, "holidáy camp", limit=2, cursor=first["next_cursor"], **read)
    items = [*first["items"], *second["items"]]
    rest = [each for each in before if each != camps[3]]
    assert [(item["id"], item["pinned"]) for item in items] == [
        *[(office, True), (camps[3], True)],
        *[(each, False) for each in rest],
    ]
    assert "<mark>Holiday</mark> <mark>camp</mark> 3" in [item["title_html"] for item in items]
    assert (second["next_cursor"], first["did_you_mean"]) == (None, None)
    # Not for those who may not see it, not for other questions, languages and organizations.
    assert (await found.ids(hub.guest, "holiday camp", **read))[0] == camps[3]
    assert sorted(await found.ids(hub.guest, "holiday camp", **read)) == sorted(camps)
    assert await found.ids(school.owner, "holiday -camp", **read) == []
    assert await found.ids(school.owner, "holiday camp", **org) == before
    asked = await school.owner.get("/v1/search", params={"q": "holiday camp", **org}, headers={"Accept-Language": "en"})
    assert done(asked)["items"][0]["id"] == office
    assert await found.ids(school.owner, "holiday camp", organization_id=str(elsewhere.org_id)) == []
    assert office not in await found.ids(school.owner, "holiday camp", language="en")
    assert await found.ids(school.owner, "holiday camp", facet="tag:none", **read) == []

    done(await school.owner.delete(f"{PINS}/{pin_id}"), 204)
    await hub.broadcasts_arrived()
    assert await found.ids(school.owner, "holiday camp", **read) == before


async def test_a_pin_of_no_language_gives_way_to_one_of_the_reader(hub: Hub, found: Found) -> None:
    school = await hub.school()
    org = {"organization_id": str(school.org_id)}
    one = await publish(found, school, title="Ferien")
    other = await publish(found, school, title="Vacances", language="fr")

    await pin(hub, school, "calendar", one)
    await pin(hub, school, "calendar", other, language="fr")

    assert await found.ids(hub.guest, "calendar", **org) == [one]
    assert await found.ids(hub.guest, "calendar", language="fr", **org) == [other]


async def test_pins_are_refused_that_nobody_could_see(hub: Hub, found: Found, monkeypatch: pytest.MonkeyPatch) -> None:
    school, elsewhere = await hub.school(), await hub.school()
    person = await hub.person()
    mine = await publish(found, school, title="Mine")
    theirs = await publish(found, elsewhere, title="Theirs")
    new = {"organization_id": str(school.org_id), "q": "x", "documents": [{"kind": "course", "id": mine}]}
    await pin(hub, school, "taken", mine)
    bad = [{"kind": "secret", "id": mine}, {"kind": "course", "id": theirs}, {"kind": "lesson", "id": str(new_id())}]

    for document in bad:
        documents = [*new["documents"], document]
        answer = await school.owner.post(PINS, {**new, "documents": documents})
        assert problem(answer, 422, "document-unknown")["errors"][0]["pointer"] == "/documents/1"
    problem(await school.owner.post(PINS, {**new, "q": "-x"}), 422, "nothing-asked")
    problem(await school.owner.post(PINS, {**new, "q": "Táken!"}), 409, "pin-exists")
    problem(await school.owner.post(PINS, {**new, "documents": new["documents"] * 4}), 422, "invalid")
    problem(await school.owner.post(PINS, {**new, "language": "deutsch!"}), 422, "invalid")
    problem(await person.post(PINS, new), 404)
    problem(await elsewhere.owner.post(PINS, new), 404)
    problem(await elsewhere.owner.get(f"{PINS}?organization_id={school.org_id}"), 404)
    monkeypatch.setattr(logic, "MAX_PINS", 1)
    problem(await school.owner.post(PINS, new), 409, "too-many-pins")

    (kept,) = done(await school.owner.get(f"{PINS}?organization_id={school.org_id}"))["items"]
    assert (kept["query"], kept["documents"]) == ("taken", new["documents"])
    problem(await elsewhere.owner.get(f"{PINS}/{kept['id']}"), 404, "pin-not-found")
    problem(await elsewhere.owner.delete(f"{PINS}/{kept['id']}"), 404, "pin-not-found")


async def test_a_pin_is_changed_by_who_read_its_newest_version(hub: Hub, found: Found) -> None:
    school, elsewhere = await hub.school(), await hub.school()
    org = {"organization_id": str(school.org_id)}
    one, other = [await publish(found, school, title=title) for title in ("Ferien", "Ferien zwei")]
    taken = await pin(hub, school, "taken", one)
    pin_id = await pin(hub, school, "holidays", one, language="de")
    path = f"{PINS}/{pin_id}"
    read = await school.owner.get(path)
    assert (read.headers["ETag"], done(read)["version"]) == ('"1"', 1)
    documents = [{"kind": "course", "id": other}]

    changed = await school.owner.patch(path, {"q": "The Camps!", "language": None, "documents": documents}, headers=V1)
    same = await school.owner.patch(path, {"q": "camps"}, headers={"If-Match": '"2"'})

    expected = {"query": "camps", "language": None, "documents": documents, "version": 2}
    assert expected.items() <= done(changed).items()
    assert (changed.headers["ETag"], done(same)) == ('"2"', done(changed))
    await hub.broadcasts_arrived()
    assert (await found.ids(hub.guest, "camps", **org), await found.ids(hub.guest, "holidays", **org)) == ([other], [])
    stale = problem(await school.owner.patch(path, {"q": "late"}, headers=V1), 412, "stale")
    assert stale["current_version"] == 2
    now = {"If-Match": '"2"'}
    problem(await school.owner.patch(path, {"q": "late"}), 428)
    refused = problem(await school.owner.patch(path, {"q": "Táken"}, headers=now), 409, "pin-exists")
    assert refused["errors"][0]["pointer"] == "/q"
    problem(await school.owner.patch(path, {"q": "-x"}, headers=now), 422, "nothing-asked")
    problem(await school.owner.patch(path, {"q": None}, headers=now), 422, "invalid")
    problem(await school.owner.patch(path, {"documents": []}, headers=now), 422, "invalid")
    unknown = {"documents": [{"kind": "course", "id": str(new_id())}]}
    problem(await school.owner.patch(path, unknown, headers=now), 422, "document-unknown")
    problem(await elsewhere.owner.patch(path, {"q": "x"}, headers=now), 404, "pin-not-found")
    done(await school.owner.patch(path, {"q": "taken", "language": "fr"}, headers=now))
    done(await school.owner.delete(f"{PINS}/{taken}"), 204)


async def test_of_two_editors_one_changes_the_pin(hub: Hub, found: Found) -> None:
    school = await hub.school()
    course = await publish(found, school, title="Ferien")
    first, second = [await pin(hub, school, q, course) for q in ("one", "two")]

    def change(pin_id: str, q: str) -> Any:
        return school.owner.patch(f"{PINS}/{pin_id}", {"q": q}, headers=V1)

    same_pin = await hub.at_once(change(first, "three"), change(first, "four"))
    same_question = await hub.at_once(change(second, "five"), pin(hub, school, "six", course))
    answers = await hub.at_once(
        school.owner.patch(f"{PINS}/{second}", {"q": "seven"}, headers={"If-Match": '"2"'}),
        school.owner.patch(f"{PINS}/{same_question[1]}", {"q": "seven"}, headers=V1),
    )
    deleted = await hub.at_once(school.owner.delete(f"{PINS}/{second}"), school.owner.delete(f"{PINS}/{second}"))

    assert sorted(answer.status_code for answer in same_pin) == [200, 412]
    assert done(same_question[0])["version"] == 2
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    assert 204 in [answer.status_code for answer in deleted]
    problem(await change(second, "eight"), 404, "pin-not-found")
    kept = done(await school.owner.get(f"{PINS}?organization_id={school.org_id}"))["items"]
    assert len({each["query"] for each in kept}) == len(kept) == 2


async def test_suggestions_begin_with_what_is_pinned_for_the_question(hub: Hub, found: Found) -> None:
    school, elsewhere = await hub.school(), await hub.school()
    org = {"organization_id": str(school.org_id)}
    fits = await publish(found, school, title="Termite nests")
    office = await publish(found, school, title="Office hours", visibility="organization")
    dates, german = [await publish(found, school, title=title) for title in ("Calendar", "Kalender")]
    await pin(hub, school, "The term dates", office, dates)
    await pin(hub, school, "term", dates, language="fr")
    await pin(hub, school, "term dates", german, language="de-AT")

    async def suggested(person: Person, q: str, language: str = "en", **query: Any) -> list[tuple[str, bool]]:
        headers = {"Accept-Language": language}
        answer = await person.get("/v1/search/-/suggest", params={"q": q, **org, **query}, headers=headers)
        return [(item["id"], item["pinned"]) for item in done(answer)["items"]]

    assert await suggested(school.owner, "tér") == [(office, True), (dates, True), (fits, False)]
    assert await suggested(school.owner, "the Term d", limit=1) == [(office, True)]
    assert await suggested(hub.guest, "ter") == [(dates, True), (fits, False)]
    assert await suggested(hub.guest, "ter", "de") == [(german, True), (fits, False)]
    assert await suggested(hub.guest, "ter", "fr") == [(dates, True), (fits, False)]
    assert await suggested(hub.guest, "termi") == [(fits, False)]
    assert await suggested(hub.guest, "term dates 2031") == []
    assert await suggested(hub.guest, "term", kind="person") == []
    assert await suggested(hub.guest, "term", organization_id=str(elsewhere.org_id)) == []
