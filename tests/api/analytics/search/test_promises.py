"""What the search promises: strangers learn nothing, a re-index is not noticed, and who left finds nothing more."""

import asyncio
import random
from collections import Counter
from itertools import count
from typing import Any
from uuid import UUID

import pytest

from api.analytics.search import store
from api.analytics.search.contract import SearchCalls
from api.analytics.search.indexing import process
from cluster.base.ids import OrgId
from cluster.base.principal import Principal
from cluster.data import read
from cluster.people.calls import client
from cluster.people.documents import Document
from tests.api.analytics.search.probe import PLATFORM, Probe, offered
from tests.api.analytics.search.searching import Found
from tests.api.analytics.search.test_lessons import author, lessons, publish
from tests.harness import Hub, Person, School, done

pytestmark = pytest.mark.timeout(300)
SECRETS = ("walrus", "quokka", "okapi", "narwhal", "axolotl", "pangolin", "tapir", "caracal")
COMMON = ("common", "reader", "garden", "lesson")
COLOURS = ("red", "green", "blue")
_number = count(1)


def scatter(probe: Probe, chance: random.Random, schools: tuple[School, School]) -> None:
    """Put documents of two organizations, for their owners or for everybody; only the first one has the secret words."""
    for _ in range(60):
        at = chance.randrange(2)
        words = chance.choices((*COMMON, *SECRETS) if at == 0 else COMMON, k=3)
        # What is for everybody has no secret of the organization in it.
        public = at == 1 or not set(words) & set(SECRETS)
        probe.put(
            " ".join(words),
            " ".join(chance.choices(words, k=5)),
            seen_with="catalog:read" if public and chance.random() < 0.5 else "course:read",
            org_id=schools[at].org_id,
            language=chance.choice(("en", "de")),
            facets={"colour": tuple(chance.sample(COLOURS, 2))},
        )


def question(chance: random.Random) -> str:
    """Return a word as it is, begun, mistyped, several, a phrase, or one that is left out."""
    word, other = chance.choice((*SECRETS, *COMMON)), chance.choice((*SECRETS, *COMMON))
    place = chance.randrange(1, len(word) - 1)
    swapped = word[:place] + word[place + 1] + word[place] + word[place + 2 :]
    forms = (word, word[:3], swapped, word.upper(), f"{word} {other}", f'"{word} {other}"', f"{word} -{other}")
    return chance.choice((*forms, f"-{other}"))


async def everything(person: Person, q: str, kind: str) -> tuple[list[str], dict[str, Any]]:
    """Return all that somebody finds, page by page, and the first page."""
    params: dict[str, Any] = {"q": q, "kind": kind, "limit": 25}
    first = page = done(await person.get("/v1/search", params=params))
    items = [item["id"] for item in page["items"]]
    while page["next_cursor"] is not None:
        page = done(await person.get("/v1/search", params={**params, "cursor": page["next_cursor"]}))
        items += [item["id"] for item in page["items"]]
    return items, first


@pytest.mark.parametrize("seed", range(3))
async def test_a_stranger_learns_nothing_of_an_organization(hub: Hub, found: Found, seed: int) -> None:
    chance = random.Random(seed)
    schools = (await hub.school(), await hub.school())
    stranger, inside = schools[1].owner, schools[0].owner
    kind = f"promise{next(_number)}"
    with offered(kind, permissions=("catalog:read", "course:read"), facets=("colour",)) as probe:
        scatter(probe, chance, schools)
        await probe.mark()
        await found.settle()
        documents = {str(each.id): each for each in probe.kept.values() if isinstance(each, Document)}
        # The plain filter: what is for everybody, and what is the stranger's own.
        allowed = {
            id: each
            for id, each in documents.items()
            if each.seen_with == "catalog:read" or each.org_id == schools[1].org_id
        }
        assert 0 < len(allowed) < len(documents)

        for _ in range(25):
            q = question(chance)
            items, first = await everything(stranger, q, kind)

            assert set(items) <= allowed.keys(), q
            assert len(items) == len(set(items))
            colours = Counter(colour for id in items for colour in allowed[id].facets["colour"])
            told = {each["value"]: each["documents"] for each in first["facets"].get("colour", ())}
            assert told == colours, q
            if q in COMMON:
                assert set(items) == {id for id, each in allowed.items() if q in each.title}
            known = {word for each in allowed.values() for word in each.title.split()}
            corrected = set((first["did_you_mean"] or "").replace('"', "").replace("-", "").split())
            assert corrected <= known | set(q.lower().replace('"', " ").replace("-", " ").split()), q
            for typed in (q, q[:2], q[:4]):
                if typed.strip('" -'):
                    params = {"q": typed, "kind": kind, "limit": 20}
                    suggested = done(await stranger.get("/v1/search/-/suggest", params=params))["items"]
                    assert {each["id"] for each in suggested} <= allowed.keys(), typed
        for secret in SECRETS:
            there = {id for id, each in documents.items() if secret in each.title}
            assert set((await everything(inside, secret, kind))[0]) == there
            assert (await everything(stranger, secret, kind))[1]["facets"].get("colour", []) == []


async def test_a_thousand_questions_through_two_rebuilds_see_all(found: Found, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "BATCH", 25)
    kind = f"promise{next(_number)}"
    everybody = [await found.hub.person() for _ in range(4)]
    with offered(kind) as probe:
        for number in range(200):
            probe.put(f"Common {number}")
        await probe.mark()
        await found.settle()
        asked, during, rebuilt = Counter[str](), Counter[str](), asyncio.Event()

        async def ask(person: Person) -> None:
            while asked.total() < 1000 or not rebuilt.is_set():
                page = await found.ask(person, "common", kind=kind, limit=1)
                (language,) = page["facets"]["language"]
                asked[f"{len(page['items'])} of {language['documents']}"] += 1
                during["after" if rebuilt.is_set() else "during"] += 1

        async def rebuild() -> None:
            for _ in range(2):
                await process.begin(PLATFORM, kind)
                await found.hub.settle()
            rebuilt.set()

        await asyncio.gather(rebuild(), *(ask(person) for person in everybody))

        async with read() as db:
            states = [each.state for each in await store.list_generations(db, kind)]
    assert asked.keys() == {"1 of 200"}
    assert during["during"] > 0
    assert states == ["retiring", "retiring", "live"]


async def test_who_left_a_run_finds_no_passage_of_it_any_more(hub: Hub, found: Found) -> None:
    teacher = await author(hub)
    block = await teacher.text(await teacher.lesson(), "Of the hoopoe and its crest.")
    await publish(found, teacher)
    learner = await teacher.enrolled(hub)
    await found.settle()
    caller = Principal(kind="person", id=learner.id)

    async def passages() -> list[UUID]:
        told = await client(SearchCalls).passages(caller, "hoopoe", OrgId(teacher.school.org_id), 10)
        return [each.document.id for each in told]

    assert (await lessons(found, learner, "hoopoe"), await passages()) == ([block], [UUID(block)])
    enrolled = done(await learner.get("/v1/enrollments"))["items"][0]["id"]

    done(await learner.post(f"/v1/enrollments/{enrolled}/cancel"))

    # No event is delivered and no job runs: rights are asked at the moment of the question.
    async with asyncio.timeout(5):
        await hub.broadcasts_arrived()
        assert (await lessons(found, learner, "hoopoe"), await passages()) == ([], [])
