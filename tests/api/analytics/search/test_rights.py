"""Whoever asks finds exactly what they may see: results, suggestions and counts equal a plain filter over everything."""

import random
from collections import Counter
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest

from api.analytics.search.kinds import kinds
from api.learning.content.contract import BlockId, ContentCalls
from api.learning.course.contract import RunId
from cluster.base.ids import OrgId, UserId
from cluster.base.principal import GUEST, Principal
from cluster.base.problems import Problem
from cluster.people.access import Guarded, permit
from cluster.people.calls import client
from cluster.people.documents import Document
from tests.api.analytics.search.probe import Probe, offered
from tests.api.analytics.search.searching import Found
from tests.api.learning.course.conftest import add_lesson, new_course
from tests.harness import Hub, Person, School, done

pytestmark = pytest.mark.timeout(300)
PERMISSIONS = (
    *("catalog:read", "catalog:read-organization", "course:read", "run:attend", "enrollment:read"),
    *("enrollment:create", "search:operate"),
)
COLOURS = ("red", "green", "blue")


@dataclass(frozen=True)
class People:
    schools: tuple[School, School]
    courses: tuple[Any, Any]
    everybody: dict[str, Person]


@pytest.fixture(scope="module")
async def people(hub: Hub, found: Found) -> People:
    """Two schools with a course each; a member, a teacher, a learner, a stranger, and a guest."""
    schools = (await hub.school(), await hub.school("other"))
    courses = (await new_course(schools[0]), await new_course(schools[1]))
    names = ("member", "teacher", "learner", "stranger")
    everybody = {name: await hub.person(name) for name in names}
    for school, course in zip(schools, courses, strict=True):
        await add_lesson(school.owner, course["id"], "# One")
        await hub.settle()
        done(await school.owner.post(f"/v1/courses/{course['id']}/publish"))
    await hub.settle()
    new = {"organization_id": str(schools[0].org_id)}
    token = done(await schools[0].owner.post("/v1/invitations", new), 201)["token"]
    done(await everybody["member"].post("/v1/invitations/-/accept", {"token": token}))
    staff = f"/v1/courses/{courses[0]['id']}/staff/{everybody['teacher'].id}"
    done(await schools[0].owner.put(staff, {"role": "instructor"}))
    done(await everybody["learner"].post("/v1/enrollments", {"run_id": courses[0]["default_run_id"]}), 201)
    await hub.settle()
    everybody |= {"owner": schools[0].owner, "other owner": schools[1].owner, "guest": hub.guest}
    return People(schools, courses, everybody)


def scatter(probe: Probe, people: People, number: int) -> None:
    """Put documents anywhere, seen with anything."""
    chance = random.Random(number)
    ids = [person.id for name, person in people.everybody.items() if name != "guest"]
    for index in range(number):
        at = chance.randrange(2)
        school, course = people.schools[at], people.courses[at]
        document = probe.put(
            f"Common title{index}",
            "A common text.",
            seen_with=chance.choice(PERMISSIONS),
            org_id=chance.choice((school.org_id, school.org_id, None)),
            course_id=chance.choice((UUID(course["id"]), None)),
            run_ids=chance.choice(((UUID(course["default_run_id"]),), ())),
            owner_id=chance.choice((None, UserId(chance.choice(ids)))),
            language=chance.choice(("en", "de", "tlh")),
            facets={"colour": tuple(chance.sample(COLOURS, chance.randrange(3)))},
        )
        if chance.random() < 0.3:
            probe.hidden.add(document.id)
        if chance.random() < 0.1:
            probe.drop(document)


async def may(principal: Principal, document: Document) -> bool:
    """Ask the kernel about one document, at each of its runs."""
    for run_id in document.run_ids or (None,):
        where = Guarded(
            document, org_id=document.org_id, course_id=document.course_id, run_id=run_id, owner_id=document.owner_id
        )
        try:
            await permit(principal, document.seen_with, where)
        except Problem:
            continue
        return True
    return False


async def allowed(probe: Probe, principal: Principal) -> dict[str, Document]:
    there = [each for each in probe.kept.values() if isinstance(each, Document)]
    if probe.offer.verified:
        there = [each for each in there if principal.id is not None and each.id not in probe.hidden]
    return {str(each.id): each for each in there if await may(principal, each)}


@pytest.mark.parametrize("verified", [False, True])
async def test_everybody_finds_what_a_plain_filter_lets_through(found: Found, people: People, verified: bool) -> None:
    kind = "checked" if verified else "open"
    with offered(kind, permissions=PERMISSIONS, facets=("colour",), verified=verified) as probe:
        scatter(probe, people, 120)
        await probe.mark()
        await found.settle()
        seen: set[int] = set()
        for name, person in people.everybody.items():
            principal = GUEST if name == "guest" else Principal(kind="person", id=person.id)
            expected = await allowed(probe, principal)

            first = await found.ask(person, "common", kind=kind, limit=7)
            items, cursor = first["items"], first["next_cursor"]
            while cursor is not None:
                page = await found.ask(person, "common", kind=kind, limit=7, cursor=cursor)
                assert (page["facets"], page["did_you_mean"]) == ({}, None)
                items, cursor = items + page["items"], page["next_cursor"]

            assert sorted(item["id"] for item in items) == sorted(expected), name
            colours = Counter(colour for each in expected.values() for colour in each.facets["colour"])
            languages = Counter(each.language for each in expected.values())
            counts = {
                facet: {each["value"]: each["documents"] for each in told} for facet, told in first["facets"].items()
            }
            assert counts.get("colour", {}) == ({} if verified else colours), name
            assert counts.get("language", {}) == ({} if verified else languages), name
            seen.add(len(expected))
            for document in random.Random(1).sample(sorted(probe.kept), 12):
                told = probe.kept[document]
                if isinstance(told, Document):
                    query = {"q": told.title, "kind": kind}
                    suggested = done(await person.get("/v1/search/-/suggest", params=query))["items"]
                    assert (str(told.id) in [each["id"] for each in suggested]) == (str(told.id) in expected)
        assert len(seen) > 3


async def may_open(person: Person, document: Document) -> bool:
    for run_id in document.run_ids:
        try:
            await client(ContentCalls).may_open(person.id, RunId(run_id), BlockId(document.id))
        except Problem:
            continue
        return True
    return False


@pytest.mark.parametrize("kind", ["course", "lesson", "person"])
async def test_what_services_offer_is_found_as_a_plain_filter_says(found: Found, people: People, kind: str) -> None:
    await found.settle()
    documents = await kinds()[kind].source.document_page(kind, None, 1000)
    seen: set[int] = set()
    for name, person in people.everybody.items():
        principal = GUEST if name == "guest" else Principal(kind="person", id=person.id)
        expected = [
            str(each.id)
            for each in documents
            if await may(principal, each) and (kind != "lesson" or (name != "guest" and await may_open(person, each)))
        ]

        page = await found.ask(person, "-unheardof", kind=kind, limit=3)
        items = [item["id"] for item in page["items"]]
        while page["next_cursor"] is not None:
            page = await found.ask(person, "-unheardof", kind=kind, limit=3, cursor=page["next_cursor"])
            items += [item["id"] for item in page["items"]]

        assert sorted(items) == sorted(expected), name
        seen.add(len(expected))
    assert seen != {0}


async def test_a_session_of_an_organization_finds_nothing_of_others(found: Found, people: People) -> None:
    from api.analytics.search import logic
    from api.analytics.search.engine.question import Filters

    with offered("bound", permissions=PERMISSIONS) as probe:
        mine = probe.put("Common mine", seen_with="course:read", org_id=people.schools[0].org_id)
        probe.put("Common theirs", seen_with="course:read", org_id=people.schools[1].org_id)
        await probe.mark()
        await found.settle()
        owner = people.schools[0].owner.id

        async def ids(org_id: OrgId, scopes: frozenset[str] | None = None) -> list[Any]:
            asks = Principal(kind="person", id=owner, bound_org=org_id, scopes=scopes)
            answer = await logic.search(asks, "common", Filters(), only=["bound"], after=None, limit=10)
            return [hit.id for hit in answer.hits]

        assert await ids(people.schools[0].org_id) == [mine.id]
        assert await ids(people.schools[1].org_id) == []
        assert await ids(people.schools[0].org_id, frozenset({"user:read"})) == []
