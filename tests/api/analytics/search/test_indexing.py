"""How documents come into the index, whatever happens meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from itertools import count
from typing import Any
from uuid import UUID

import pytest

from api.analytics.search import logic, store
from api.analytics.search.contract import BuildGeneration, IndexMarked
from api.analytics.search.engine import form, indexes
from api.analytics.search.engine.indexes import alias_of, index_of
from api.analytics.search.engine.question import Filters
from api.analytics.search.indexing import process
from api.analytics.search.store import Generation
from cluster.base.ids import new_id
from cluster.base.principal import GUEST
from cluster.base.problems import Unavailable
from cluster.base.settings import settings
from cluster.data import opensearch, read, write
from cluster.jobs import enqueue
from cluster.people.documents import Document, Gone
from cluster.servers.home import free_port
from tests.api.analytics.search.probe import PLATFORM, Probe, offered
from tests.api.analytics.search.searching import ADDRESS, Found, wipe
from tests.harness import Hub, problem

pytestmark = pytest.mark.timeout(300)
_number = count(1)


@pytest.fixture
async def probe(found: Found) -> AsyncIterator[Probe]:
    """A kind of documents that no other test uses."""
    with offered(f"probe{next(_number)}", facets=("colour",)) as made:
        yield made


async def titles(probe: Probe, q: str = "common") -> list[str]:
    await opensearch.opensearch().indices.refresh(index=alias_of(probe.offer.kind) + "*")
    answer = await logic.search(GUEST, q, Filters(), only=[probe.offer.kind], after=None, limit=100)
    return sorted(hit.title for hit in answer.hits)


async def generations(probe: Probe) -> list[Generation]:
    async with read() as db:
        return await store.list_generations(db, probe.offer.kind)


async def marked(probe: Probe) -> list[tuple[UUID, int]]:
    async with read() as db:
        rows = await db.rows("SELECT document_id, attempts FROM search.marks WHERE kind = $1", probe.offer.kind)
    return [tuple(row) for row in rows]


async def test_an_older_version_changes_nothing_however_late_it_comes(found: Found, probe: Probe) -> None:
    old = probe.put("Common first")
    deleted = probe.put("Common deleted")
    await probe.mark()
    await found.settle()
    probe.renewed(old, title="Common second")
    probe.drop(deleted)
    await probe.mark()
    await found.settle()
    assert await titles(probe) == ["Common second"]
    (live,) = await generations(probe)

    assert await indexes.write(probe.offer.kind, live.number, [old, deleted], ()) == {}

    assert await titles(probe) == ["Common second"]


async def test_a_change_while_documents_are_fetched_is_not_taken_for_done(found: Found, probe: Probe) -> None:
    document = probe.put("Common before")
    await probe.mark()
    fetch = probe.documents

    async def fetch_and_change(kind: str, ids: list[UUID]) -> Any:
        told = await fetch(kind, ids)
        if probe.kept[document.id].version == 1:
            probe.renewed(document, title="Common after")
            await probe.mark(document)
        return told

    probe.documents = fetch_and_change
    await found.settle()

    assert await titles(probe) == ["Common after"]
    assert await marked(probe) == []


async def test_a_wiped_index_is_built_again_from_the_sources(found: Found, probe: Probe) -> None:
    probe.put("Common one")
    gone = probe.put("Common two")
    await probe.mark()
    await found.settle()
    await wipe()
    with pytest.raises(Unavailable, match="being built"):
        await titles(probe)
    probe.drop(gone)

    await found.hub.run_cron("search.keep")
    await found.settle()

    assert await titles(probe) == ["Common one"]


async def test_a_write_to_a_wiped_index_begins_another(found: Found, probe: Probe) -> None:
    probe.put("Common one")
    await probe.mark()
    await found.settle()
    await wipe()
    later = probe.put("Common two")

    await probe.mark(later)
    await found.settle()

    assert await titles(probe) == ["Common one", "Common two"]


async def test_another_form_is_built_beside_the_live_index(
    found: Found, probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "BATCH", 2)
    documents = [probe.put(f"Common {number}") for number in range(5)]
    await probe.mark()
    await found.settle()
    (old,) = await generations(probe)
    probe.pause = asyncio.Event()
    monkeypatch.setattr(process, "FORM", form.FORM + 1)
    await found.hub.run_cron("search.keep")
    building = asyncio.create_task(found.hub.settle())
    while [each.documents for each in await generations(probe) if each.state == "building"] != [2]:  # noqa: ASYNC110
        await asyncio.sleep(0.02)

    changed = probe.renewed(documents[0], title="Common changed")
    probe.drop(documents[4])
    number = next(each.number for each in await generations(probe) if each.state == "building")
    for generation in (old.number, number):
        await indexes.write(probe.offer.kind, generation, [changed, probe.kept[documents[4].id]], ())
    assert await titles(probe) == ["Common 1", "Common 2", "Common 3", "Common changed"]
    probe.pause.set()
    await building

    assert await titles(probe) == ["Common 1", "Common 2", "Common 3", "Common changed"]
    assert [(each.number, each.state) for each in await generations(probe)] == [
        (old.number, "retiring"),
        (number, "live"),
    ]
    probe.put("Common 6")
    await probe.mark()
    await found.settle()
    for generation in (old.number, number):
        answer: Any = await opensearch.opensearch().count(index=index_of(probe.offer.kind, generation))
        assert answer["count"] == 5

    async with read() as db:
        await db.run("UPDATE search.generations SET moved_at = now() - interval '25 h' WHERE number = $1", old.number)
    await found.hub.run_cron("search.drop")
    assert [each.number for each in await generations(probe)] == [number]
    assert not await indexes.exists(probe.offer.kind, old.number)


async def test_an_index_that_lacks_documents_does_not_answer(
    found: Found, probe: Probe, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    documents = [probe.put(f"Common {number}") for number in range(5)]
    await probe.mark()
    await found.settle()
    (old,) = await generations(probe)
    written = indexes.write

    async def forgetful(kind: str, number: int, documents: Sequence[Document | Gone], facets: tuple[str, ...]) -> Any:
        kept = documents if number == old.number else documents[1:]
        return await written(kind, number, kept, facets)

    monkeypatch.setattr(indexes, "write", forgetful)
    begun = await process.begin(PLATFORM, probe.offer.kind)
    assert begun is not None
    await found.settle()

    assert [(each.number, each.state) for each in await generations(probe)] == [
        (old.number, "live"),
        (begun.number, "building"),
    ]
    first = min(documents, key=lambda each: each.id)
    (told,) = [each for each in caplog.records if "lacks documents" in each.message]
    assert vars(told)["documents"] == [str(first.id)]

    monkeypatch.setattr(indexes, "write", written)
    for _ in range(2):
        await found.hub.due_now(BuildGeneration.dedupe(probe.offer.kind))
        await found.settle()
    assert [each.number for each in await generations(probe) if each.state == "live"] == [begun.number]
    assert await titles(probe) == [f"Common {number}" for number in range(5)]


async def test_a_killed_builder_goes_on_where_it_stopped(
    found: Found, probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "BATCH", 2)
    documents = sorted((probe.put(f"Common {number}") for number in range(3)), key=lambda each: each.id)
    kind = probe.offer.kind
    begun = await process.begin(PLATFORM, kind)
    assert begun is not None
    await indexes.make(kind, begun.number)
    await indexes.write(kind, begun.number, documents[:2], ())
    async with write(PLATFORM) as tx:
        assert await store.update_built(tx, kind, begun.number, before=None, built_to=documents[1].id, documents=2)
        assert not await store.update_built(tx, kind, begun.number, before=None, built_to=documents[1].id, documents=2)

    await found.settle()

    assert await titles(probe) == [f"Common {number}" for number in range(3)]
    assert [(each.state, each.documents) for each in await generations(probe)] == [("live", 3)]


async def test_while_opensearch_is_away_marks_wait_and_no_attempt_counts(
    hub: Hub, found: Found, probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe.put("Common one")
    await probe.mark()
    await found.settle()
    late = probe.put("Common two")
    await opensearch.close()
    monkeypatch.setenv(ADDRESS, f"http://127.0.0.1:{free_port()}")
    settings.cache_clear()
    try:
        await probe.mark(late)
        await hub.settle()
        problem(await hub.guest.get("/v1/search", params={"q": "common"}), 503, "unavailable")
        problem(await hub.guest.get("/v1/search/-/suggest", params={"q": "com"}), 503, "unavailable")
        assert await marked(probe) == [(late.id, 0)]
        async with read() as db:
            waiting = await db.rows(
                "SELECT state, attempts FROM hub.jobs WHERE kind = 'search.index' AND state = 'queued'"
            )
        assert [tuple(row) for row in waiting] == [("queued", 0)]
    finally:
        await opensearch.close()
        monkeypatch.undo()
        settings.cache_clear()

    await hub.due_now(IndexMarked.dedupe())
    await found.settle()
    assert await titles(probe) == ["Common one", "Common two"]


async def test_without_opensearch_marks_wait_and_the_search_says_so(
    hub: Hub, found: Found, probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = probe.put("Common one")
    await opensearch.close()
    monkeypatch.setenv(ADDRESS, "")
    settings.cache_clear()
    try:
        await probe.mark(document)
        await hub.settle()
        answer = await hub.guest.get("/v1/search", params={"q": "common"})
        assert "--full" in problem(answer, 503, "unavailable")["detail"]
        assert await marked(probe) == [(document.id, 0)]
    finally:
        monkeypatch.undo()
        settings.cache_clear()

    await hub.run_cron("search.keep")
    await found.settle()
    assert await titles(probe) == ["Common one"]


async def test_what_the_index_refuses_waits_longer_and_holds_up_nothing(found: Found, probe: Probe) -> None:
    bad = probe.put("Common bad", facets={"colour": ("red",)}, language="en", url="/" + "x", id=new_id())
    broken = probe.renewed(bad, updated_at=_NoTime())
    good = probe.put("Common good")
    await probe.mark(broken, good)
    await found.settle()

    assert await titles(probe) == ["Common good"]
    assert await marked(probe) == [(bad.id, 1)]

    probe.renewed(bad, title="Common mended")
    await probe.mark(bad)
    await found.settle()
    assert await titles(probe) == ["Common good", "Common mended"]


class _NoTime:
    def isoformat(self) -> str:
        return "yesterday"


async def test_a_kind_that_fails_holds_up_no_other(found: Found, probe: Probe) -> None:
    with offered(f"aaa{probe.offer.kind}") as failing:
        failing.put("Common never")
        failing.documents = _fails
        await failing.mark()
        probe.put("Common one")
        await probe.mark()
        async with write(PLATFORM) as tx:
            enqueue(tx, IndexMarked(), dedupe=IndexMarked.dedupe())

        await found.settle()

        assert await titles(probe) == ["Common one"]
        assert [attempts for _, attempts in await marked(failing)] == [0]
    async with read() as db:
        await db.run("DELETE FROM search.marks WHERE kind = $1", failing.offer.kind)


async def _fails(kind: str, ids: list[UUID]) -> Any:
    raise ValueError("a fault of the source")
