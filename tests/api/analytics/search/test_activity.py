"""Who may read the audit trail finds its last 30 days, and nobody else does; a burst of entries is in no document's way."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

import pytest

from api.analytics.search import store
from api.analytics.search.contract import FollowSource
from api.analytics.search.engine import indexes
from api.analytics.search.engine.indexes import alias_of
from api.analytics.search.indexing import following, process
from api.analytics.search.kinds import kinds
from api.platform.audit import store as audit
from api.platform.audit.calls import document_of
from api.platform.audit.rules import Entry
from cluster.base.ids import OrgId, new_id
from cluster.base.principal import platform
from cluster.data import opensearch, read, write
from cluster.people.documents import Document, id_at
from tests.api.analytics.search.probe import Probe, offered
from tests.api.analytics.search.searching import Found
from tests.api.analytics.search.test_finding import publish
from tests.api.analytics.search.test_indexing import titles
from tests.api.analytics.search.test_statistics import members
from tests.harness import Hub, Person, done, problem, run_due_jobs

pytestmark = pytest.mark.timeout(300)
_number = count(1)
KEPT = timedelta(days=30)


@pytest.fixture
async def probe(found: Found) -> AsyncIterator[Probe]:
    """A kind that is followed and that no other test uses, with an index."""
    with offered(f"followed{next(_number)}", followed=True, kept=KEPT) as made:
        await process.begin(platform("search"), made.offer.kind)
        await found.settle()
        yield made


async def look(found: Found) -> None:
    await found.settle()
    await found.hub.run_cron("search.look")
    await found.settle()


async def in_index(found: Found, org_id: OrgId) -> list[dict[str, Any]]:
    await found.settle()
    body = {"query": {"term": {"org_id": str(org_id)}}, "size": 1000}
    answer: Any = await opensearch.opensearch().search(index=alias_of("activity"), body=body)
    return [hit["_source"] for hit in answer["hits"]["hits"]]


async def everything(person: Person, **query: Any) -> list[str]:
    """Return all that somebody finds of this kind."""
    items: list[str] = []
    params: dict[str, Any] = {"q": "-unheardof", "kind": "activity", "limit": 100, **query}
    while True:
        page = done(await person.get("/v1/search", params=params))
        items += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            return items
        params["cursor"] = page["next_cursor"]


async def trail(person: Person, org_id: OrgId) -> list[str]:
    params = {"organization_id": str(org_id), "limit": "100"}
    return [entry["id"] for entry in done(await person.get("/v1/audit-entries", params=params))["items"]]


async def test_who_reads_the_trail_finds_its_entries_and_nobody_else(hub: Hub, found: Found) -> None:
    school, elsewhere = await hub.school(), await hub.school()
    member, _ = await members(hub, school, 2)
    course = await publish(found, school, title="Sealing wax")
    await look(found)

    mine = await everything(school.owner)
    page = await found.ask(school.owner, "course published", kind="activity", limit=5)

    assert sorted(mine) == sorted(await trail(school.owner, school.org_id))
    assert sorted(await everything(elsewhere.owner)) == sorted(await trail(elsewhere.owner, elsewhere.org_id))
    assert page["items"][0]["title"] == "Course published"
    counted = {each["value"]: each["documents"] for each in page["facets"]["action"]}
    assert counted["course.published"] == 1
    assert {item["organization_id"] for item in page["items"]} == {str(school.org_id)}
    assert course in [item["id"] for item in (await found.ask(school.owner, "sealing wax"))["items"]]
    by_target = await found.ask(school.owner, course, kind="activity", facet="action:course.published")
    assert len(by_target["items"]) == 1
    for other in (member, hub.guest):
        assert await everything(other) == []
        assert (await found.ask(other, "course published", kind="activity"))["facets"] == {}
        assert done(await other.get("/v1/search/-/suggest", params={"q": "course", "kind": "activity"}))["items"] == []
    # It stands in nobody's way: not without being asked for.
    assert "activity" not in {item["kind"] for item in (await found.ask(school.owner, "course published"))["items"]}
    suggested = done(await school.owner.get("/v1/search/-/suggest", params={"q": "course pub"}))["items"]
    assert "activity" not in {item["kind"] for item in suggested}
    assert await everything(school.owner, organization_id=str(elsewhere.org_id)) == []
    problem(await school.owner.get("/v1/search", params={"q": "x", "facet": "action:course.published"}), 422)


async def test_nobody_stands_in_the_index_of_the_trail(hub: Hub, found: Found) -> None:
    school = await hub.school()
    member, other = await members(hub, school, 2)
    await look(found)
    async with read() as db:
        pseudonyms = [await audit.find_pseudonym(db, person.id) for person in (member, other, school.owner)]

    kept = str(await in_index(found, school.org_id))

    assert "Member" in kept
    assert None not in pseudonyms
    for id in (*pseudonyms, member.id, other.id, school.owner.id):
        assert str(id) not in kept


async def test_following_the_trail_leaves_no_trace_in_it(hub: Hub, found: Found) -> None:
    school = await hub.school()
    await look(found)
    before = await trail(school.owner, school.org_id)
    async with read() as db:
        entries = await db.value("SELECT count(*) FROM audit.entries WHERE service = 'search'")

    for _ in range(3):
        await look(found)

    async with read() as db:
        assert await db.value("SELECT count(*) FROM audit.entries WHERE service = 'search'") == entries
        waiting = await db.value("SELECT count(*) FROM hub.jobs WHERE kind = 'search.follow' AND state = 'queued'")
    assert waiting == 0
    assert await trail(school.owner, school.org_id) == before


def entry_at(org_id: OrgId, at: datetime, action: str) -> Entry:
    return Entry(
        id=UUID(int=id_at(at).int | (new_id().int & (2**79 - 1))),
        chain=org_id,
        action=action,
        actor_kind="platform",
        actor=None,
        acting_for=None,
        service="test",
        target_type="test",
        target=str(new_id()),
        version=1,
        payload={},
        at=at,
        trace_id="",
    )


async def test_entries_end_after_30_days_in_the_index_alone(hub: Hub, found: Found) -> None:
    school = await hub.school()
    now = datetime.now(UTC)
    entries = [entry_at(school.org_id, now - age, "age.told") for age in (timedelta(days=29), timedelta(days=31))]
    async with write(platform("audit")) as tx:
        await audit.insert_entries(tx, entries)

    await process.begin(platform("search"), "activity")
    await look(found)

    told = await everything(school.owner, facet="action:age.told")
    assert told == [str(entries[0].id)]
    assert {str(entry.id) for entry in entries} <= {*await trail(school.owner, school.org_id)}
    # One that was brought when it was young goes with the daily sweep, the retiring index included.
    async with read() as db:
        generations = await store.list_generations(db, "activity")
    for generation in generations:
        await indexes.write("activity", generation.number, [document_of(entries[1])], ())
    await found.settle()
    assert sorted(await everything(school.owner)) == sorted(await trail(school.owner, school.org_id))

    await hub.run_cron("search.expire")
    await found.settle()

    assert str(entries[1].id) not in await everything(school.owner)
    for generation in generations:
        lacking = await indexes.lacking("activity", generation.number, [each.id for each in entries])
        assert entries[1].id in lacking


def put_at(probe: Probe, title: str, age: timedelta) -> Document:
    at = datetime.now(UTC) - age
    id = UUID(int=id_at(at).int | (new_id().int & (2**79 - 1)))
    return probe.put(title, id=id, updated_at=at)


async def test_what_comes_late_is_found_by_the_next_look_or_the_daily_one(
    found: Found, probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "BATCH", 2)
    for number in range(5):
        put_at(probe, f"Common {number}", timedelta(seconds=10 - number))
    await look(found)
    assert await titles(probe) == [f"Common {number}" for number in range(5)]
    sent: list[str] = []
    send = indexes.write

    async def counted(kind: str, number: int, documents: Any, facets: Any) -> Any:
        if kind == probe.offer.kind:
            sent.extend(each.title for each in documents)
        return await send(kind, number, documents, facets)

    monkeypatch.setattr(indexes, "write", counted)
    put_at(probe, "Common late", timedelta(minutes=3))
    put_at(probe, "Common very late", timedelta(days=1))
    put_at(probe, "Common new", timedelta())
    await look(found)
    assert await titles(probe) == [*(f"Common {number}" for number in range(5)), "Common late", "Common new"]

    await found.hub.run_cron("search.expire")
    await found.settle()

    assert (await titles(probe))[-1] == "Common very late"
    # What is there is not sent again.
    assert sorted(sent) == ["Common late", "Common new", "Common very late"]


async def test_a_burst_of_what_is_followed_delays_no_other_document(found: Found, probe: Probe) -> None:
    probe.put("Common followed")
    begun, released, page = asyncio.Event(), asyncio.Event(), probe.document_page

    async def slow(kind: str, after: UUID | None, limit: int) -> list[Document]:
        begun.set()
        await released.wait()
        return await page(kind, after, limit)

    probe.document_page = slow
    await found.hub.run_cron("search.look")
    reading = asyncio.create_task(run_due_jobs())
    async with asyncio.timeout(60):
        await begun.wait()
    with offered(f"course like {next(_number)}".replace(" ", "")) as other:
        await process.begin(platform("search"), other.offer.kind)
        changed = other.put("Common changed")
        await other.mark(changed)

        async with asyncio.timeout(60):
            while await titles_or_none(other) != ["Common changed"]:
                await run_due_jobs()

        assert not reading.done()
        assert await titles(probe) == []
    released.set()
    await reading
    await found.settle()
    assert await titles(probe) == ["Common followed"]


async def titles_or_none(probe: Probe) -> list[str]:
    async with read() as db:
        states = [each.state for each in await store.list_generations(db, probe.offer.kind)]
    return await titles(probe) if "live" in states else []


async def test_reading_that_fails_goes_on_where_it_was(
    found: Found, probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "BATCH", 2)
    for number in range(5):
        put_at(probe, f"Common {number}", timedelta(seconds=10 - number))
    send, lots = indexes.write, count(1)

    async def fails_once(kind: str, number: int, documents: Any, facets: Any) -> Any:
        if kind == probe.offer.kind and next(lots) == 2:
            raise ValueError("a fault between two lots")
        return await send(kind, number, documents, facets)

    monkeypatch.setattr(indexes, "write", fails_once)
    await found.hub.run_cron("search.look")
    await found.settle()
    assert await titles(probe) == ["Common 0", "Common 1"]

    await found.hub.due_now(FollowSource.dedupe(probe.offer.kind))
    await found.settle()

    assert await titles(probe) == [f"Common {number}" for number in range(5)]


async def test_marks_of_what_is_followed_wait_for_its_own_lane(found: Found, probe: Probe) -> None:
    document = put_at(probe, "Common marked", timedelta(days=3))
    await probe.mark(document)
    await found.settle()
    assert await titles(probe) == []

    await look(found)

    assert await titles(probe) == ["Common marked"]
    assert kinds()["activity"].offer.followed
    assert following.LATE < following.VERY_LATE < KEPT
