"""What is published is found, by whoever may see it, whatever they type."""

import pytest

from api.core.rbac.contract import RbacCalls
from cluster.people.calls import client
from tests.api.analytics.search.searching import Found
from tests.api.learning.course.conftest import add_lesson, new_course
from tests.harness import Hub, School, done, problem
from tests.org_settings import change, settings_of

pytestmark = pytest.mark.timeout(300)


async def publish(found: Found, school: School, **fields: object) -> str:
    course = await new_course(school, **fields)
    await add_lesson(school.owner, course["id"], "# One")
    await found.hub.settle()
    done(await school.owner.post(f"/v1/courses/{course['id']}/publish"))
    await found.settle()
    return course["id"]


async def test_a_published_course_is_found_until_it_is_archived(hub: Hub, found: Found) -> None:
    school = await hub.school()
    course_id = await publish(
        found,
        school,
        title="Photosynthesis <for> beginners",
        summary="How plants & algae live of light.",
        tags=["plants"],
    )
    path = f"/v1/courses/{course_id}"

    answer = await found.ask(hub.guest, "photosyntesis", organization_id=str(school.org_id))

    (hit,) = answer["items"]
    assert (hit["kind"], hit["id"], hit["title"]) == ("course", course_id, "Photosynthesis <for> beginners")
    assert hit["title_html"] == "<mark>Photosynthesis</mark> &lt;for&gt; beginners"
    assert (hit["url"], hit["facets"]) == (f"/courses/{course_id}", {"category": [], "tag": ["plants"]})
    assert answer["did_you_mean"] == "photosynthesis"
    assert answer["facets"]["tag"] == [{"value": "plants", "documents": 1}]
    assert answer["next_cursor"] is None

    done(await school.owner.post(f"{path}/archive"))
    await found.settle()
    assert course_id not in await found.ids(hub.guest, "photosynthesis")

    done(await school.owner.post(f"{path}/restore"))
    await found.settle()
    assert course_id in await found.ids(hub.guest, "photosynthesis")


async def test_drafts_and_unlisted_courses_are_never_found(hub: Hub, found: Found) -> None:
    school = await hub.school()
    await new_course(school, title="Xenobiology draft")
    await publish(found, school, title="Xenobiology unlisted", visibility="unlisted")

    assert await found.ids(school.owner, "xenobiology") == []


async def test_members_find_what_is_published_for_them_alone(hub: Hub, found: Found) -> None:
    school = await hub.school()
    stranger = await hub.person()
    course_id = await publish(found, school, title="Zymurgy", visibility="organization")

    assert await found.ids(school.owner, "zymurgy") == [course_id]
    assert await found.ids(stranger, "zymurgy") == []
    assert await found.ids(hub.guest, "zymurgy") == []


async def test_words_phrases_and_facets_narrow_what_is_found(hub: Hub, found: Found) -> None:
    school = await hub.school()
    org = {"organization_id": str(school.org_id)}
    german = await publish(
        found, school, title="Wanderungen der Vögel", summary="Zugvögel", language="de", tags=["biology"]
    )
    one = await publish(found, school, title="Birds, part one", summary="Migrations of birds", tags=["biology"])
    two = await publish(found, school, title="Birds, part two", summary="Nests", tags=["biology", "nests"])
    asked = {
        "migration": [one],
        "wanderung": [german],
        "vogel": [german],
        '"part two" birds': [two],
        'birds -"part two"': [one],
        "bird -nests": [one],
        "bir": [one, two],
        "brids two": [two],
        "-birds": [german],
    }

    assert {q: sorted(await found.ids(hub.guest, q, **org)) for q in asked} == {
        q: sorted(ids) for q, ids in asked.items()
    }
    answer = await found.ask(hub.guest, "birds", facet=["tag:nests", "tag:other"], **org)
    assert [item["id"] for item in answer["items"]] == [two]
    assert answer["facets"]["tag"] == [{"value": "biology", "documents": 1}, {"value": "nests", "documents": 1}]
    assert await found.ids(hub.guest, "birds", facet=["tag:nests"], language="de", **org) == []
    marked = [
        (await found.ask(hub.guest, q, **org))["items"][0]["title_html"]
        for q in ("wanderung", "wanderunge", "brids two")
    ]
    assert marked == [
        "<mark>Wanderungen</mark> der Vögel",
        "<mark>Wanderungen</mark> der Vögel",
        "<mark>Birds</mark>, part <mark>two</mark>",
    ]
    assert (await found.ask(hub.guest, "brids two", **org))["did_you_mean"] == "birds two"
    suggested = done(await hub.guest.get("/v1/search/-/suggest", params={"q": "birds, part t", **org}))
    assert [(each["id"], each["title"]) for each in suggested["items"]] == [(two, "Birds, part two")]


async def test_hostile_questions_are_text_or_refused(hub: Hub, found: Found) -> None:
    school = await hub.school()
    await publish(found, school, title="Plain course")
    hostile = [
        *(
            "*:*",
            "title:*",
            "seen_with:course",
            "_exists_:title",
            "/(a+)+$/",
            "a~9",
            "x^9999",
            "[* TO *]",
            "AND OR NOT",
        ),
        *('{"query":{"match_all":{}}}', "((((", '"' * 500, "a\0b", "\u202e" + "x" * 64, "(" + "plain OR " * 1100 + ")"),
        *("x" * 10_000, "ä" * 5_000, "plain " * 1_600, "-" + "a " * 4_000, '"plain ' * 1_000),
    ]

    for q in hostile:
        answer = await hub.guest.get("/v1/search", params={"q": q, "organization_id": str(school.org_id)})
        assert answer.status_code in (200, 422), (q[:40], answer.text)
        if answer.status_code == 422:
            problem(answer, 422, "invalid" if "\0" in q else "nothing-asked")
    assert await found.ids(hub.guest, "title:*", organization_id=str(school.org_id)) == []
    problem(await hub.guest.get("/v1/search", params={"q": "x" * 10_001}), 422)
    problem(await hub.guest.get("/v1/search", params={"q": "x", "kind": "secret"}), 422, "kind-unknown")
    problem(await hub.guest.get("/v1/search", params={"q": "x", "facet": "org_id:x"}), 422, "facet-unknown")
    problem(await hub.guest.get("/v1/search", params={"q": "x", "facet": "no colon"}), 422)


async def test_a_cursor_belongs_to_its_question(hub: Hub, found: Found) -> None:
    school = await hub.school()
    ids = {await publish(found, school, title=f"Serial {number}") for number in range(3)}
    query = {"organization_id": str(school.org_id), "limit": 2}

    first = await found.ask(hub.guest, "serial", **query)
    second = await found.ask(hub.guest, "serial", cursor=first["next_cursor"], **query)

    assert {item["id"] for item in (*first["items"], *second["items"])} == ids
    assert (len(second["items"]), second["next_cursor"]) == (1, None)
    other = {"q": "plain", "cursor": first["next_cursor"], **query}
    problem(await hub.guest.get("/v1/search", params=other), 400)


async def test_each_page_forgives_the_same_words(hub: Hub, found: Found) -> None:
    school = await hub.school()
    ids = {await publish(found, school, title=f"Xylophone {number}") for number in range(3)}
    right = await publish(found, school, title="Marimba")
    query = {"organization_id": str(school.org_id), "limit": 2}

    first = await found.ask(hub.guest, "xylofone", **query)
    second = await found.ask(hub.guest, "xylofone", cursor=first["next_cursor"], **query)

    assert {item["id"] for item in (*first["items"], *second["items"])} == ids
    assert first["did_you_mean"] == "xylophone"
    # Nothing is forgiven of a word that was found.
    await publish(found, school, title="Marimbo")
    assert await found.ids(hub.guest, "marimba", organization_id=str(school.org_id)) == [right]


async def test_an_organization_says_which_words_mean_the_same(hub: Hub, found: Found) -> None:
    school = await hub.school()
    org = {"organization_id": str(school.org_id)}
    car = await publish(found, school, title="Driving automobiles")
    vehicle = await publish(found, school, title="How a motor vehicle is built")
    assert await found.ids(hub.guest, "car", **org) == []

    same = {"search.synonyms": ["car, Automobile, motor vehicle", "unrelated, words"]}
    done(await change(school.owner, settings_of(school.org_id), same))
    await hub.broadcasts_arrived()

    answer = await found.ask(hub.guest, "cár", **org)
    assert sorted(item["id"] for item in answer["items"]) == sorted([car, vehicle])
    assert answer["did_you_mean"] is None
    assert "<mark>automobiles</mark>" in "".join(item["title_html"] for item in answer["items"])
    assert await found.ids(hub.guest, "car", organization_id=str((await hub.school()).org_id)) == []


async def test_operators_build_an_index_anew_and_others_do_not(hub: Hub, found: Found) -> None:
    operator, person = await hub.person("operator"), await hub.person()
    await client(RbacCalls).grant(operator.id, "platform_admin", "platform", None, None)
    await hub.settle()
    path = "/v1/search/course"

    (begun,) = done(await operator.post(f"{path}/rebuild"))["items"]
    assert (begun["kind"], begun["state"]) == ("course", "building")
    problem(await operator.post(f"{path}/rebuild"), 409, "builds-already")
    await found.settle()

    states = {each["number"]: each["state"] for each in done(await operator.get(f"{path}/indexes"))["items"]}
    assert states[begun["number"]] == "live"
    assert list(states.values()).count("live") == 1
    problem(await operator.post("/v1/search/secret/rebuild"), 404, "kind-not-found")
    problem(await person.post(f"{path}/rebuild"), 403)
    problem(await hub.guest.get(f"{path}/indexes"), 401)
