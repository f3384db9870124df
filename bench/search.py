"""How soon what changed is found, how many questions are answered in a second, and how good the answers are.

The documents are a graded set among invented ones, of a kind of their own; a job worker in this process brings them into the index.
The peer is the full text search of PostgreSQL over the same documents, with titles weighted.
"""

import asyncio
import random
import time
from bisect import bisect_right
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from math import log2
from statistics import median, quantiles
from typing import Any, cast
from uuid import UUID

import asyncpg

from actors.job_worker import JobWorker
from api.analytics.search import logic, store
from api.analytics.search.contract import IndexMarked
from api.analytics.search.engine import languages
from api.analytics.search.engine.indexes import alias_of
from api.analytics.search.engine.question import Filters
from api.analytics.search.indexing import process
from api.analytics.search.kinds import Kind, kinds
from bench.figures import Figure, hand_over, progress, quick
from bench.graded import COURSES, MISTYPED, QUESTIONS
from cluster.base.ids import new_id
from cluster.base.principal import GUEST, platform
from cluster.base.problems import Unavailable
from cluster.base.registry import load
from cluster.base.services import table
from cluster.base.settings import settings
from cluster.data import write
from cluster.data.migrations import migrate
from cluster.data.opensearch import opensearch
from cluster.host import ServiceHost
from cluster.jobs import enqueue
from cluster.people.documents import Document, Documents, SearchDocument
from cluster.signals.wake import Bell, end

_DOCUMENTS = 1_000 if quick() else 5_000
_QUESTIONS_ASKED = 100 if quick() else 500
_CHANGES = 3 if quick() else 10
_SIDE_BY_SIDE = 4
_PUBLISHED_PER_S = 200
_PUBLISHED_FOR_S = 5 if quick() else 30
_PUBLISHED_AT_ONCE = 10
_MOST_LOOKED_FOR = 5_000
_KIND = "bench"
_PLATFORM = platform("search")
_NOW = datetime(2031, 5, 4, tzinfo=UTC)
_PEER = """
SELECT id FROM search_bench, websearch_to_tsquery('english', $1) AS asked
WHERE words @@ asked ORDER BY ts_rank_cd(words, asked) DESC, id LIMIT 10
"""


@dataclass
class Source:
    """Stands for a service that offers documents."""

    offer: SearchDocument
    kept: dict[UUID, Document] = field(default_factory=dict[UUID, Document])
    ordered: list[UUID] = field(default_factory=list[UUID])

    @property
    def source(self) -> "Source":
        return self

    def put(self, title: str, text: str) -> UUID:
        id = new_id()
        self.kept[id] = Document(
            id=id,
            version=1,
            language="en",
            title=title,
            text=text,
            url=f"/{id}",
            seen_with="catalog:read",
            updated_at=_NOW,
        )
        return id

    async def documents(self, kind: str, ids: list[UUID]) -> Documents:  # noqa: ARG002
        return Documents(found=[self.kept[id] for id in ids])

    async def document_page(self, kind: str, after: UUID | None, limit: int) -> list[Document]:  # noqa: ARG002
        self.ordered = self.ordered or sorted(self.kept)
        first = 0 if after is None else bisect_right(self.ordered, after)
        return [self.kept[id] for id in self.ordered[first : first + limit]]


async def run() -> list[Figure]:
    """Measure on servers of its own."""
    await migrate()
    services = tuple(table())
    host = ServiceHost(services, wait_s=30.0)
    await host.start()
    load(services, "handlers", "jobs")
    source = Source(SearchDocument(kind=_KIND, title="Bench", permissions=("catalog:read",), events={}))
    kinds()[_KIND] = cast(Kind, source)
    bell = Bell()
    ears, worker = asyncio.create_task(bell.listen()), JobWorker(("search",), bell)
    worker.start()
    peer = await asyncpg.connect(settings().postgres_url)
    try:
        return await _measure(source, peer)
    finally:
        await peer.close()
        await worker.stop()
        await end(ears)
        await host.stop()


async def _measure(source: Source, peer: Any) -> list[Figure]:
    ids = {name: source.put(*course) for name, course in COURSES.items()}
    vocabulary = _vocabulary()
    chance = random.Random(1)
    for _ in range(_DOCUMENTS - len(ids)):
        words = chance.choices(vocabulary, k=80)
        source.put(" ".join(words[:4]).capitalize(), " ".join(words[4:]))
    progress(f"{_DOCUMENTS:,} documents into the index")
    begun = time.perf_counter()
    await process.begin(_PLATFORM, _KIND)
    await _until(lambda: _ask("photosynthesis"), 240)
    per_s = _DOCUMENTS / (time.perf_counter() - begun)
    languages.forget()
    await _fill_peer(peer, source)
    progress(f"{_CHANGES} changes until each is found")
    waits = [await _change(source, source.put(f"Fresh unseen{number}", "")) for number in range(_CHANGES)]
    progress(f"{_PUBLISHED_PER_S} documents published each second, for {_PUBLISHED_FOR_S} s")
    published, reached_per_s = await _published(source)
    progress(f"{_QUESTIONS_ASKED:,} questions, {_SIDE_BY_SIDE} at a time")
    asked_per_s, p95_ms = await _load(_ask)

    async def ask_peer(question: str) -> list[UUID]:
        return [row["id"] for row in await peer.fetch(_PEER, question)]

    ours, theirs = await _ndcg(_ask, ids, QUESTIONS), await _ndcg(ask_peer, ids, QUESTIONS)
    mistyped = {question: QUESTIONS[question] for question in MISTYPED}
    recall = [ids[_best(QUESTIONS[question])] in await _ask(question) for question in mistyped]
    return [
        Figure(name="documents indexed", value=per_s, unit="/s"),
        Figure(name="from the change to being found, median", value=median(waits), unit="s", goal=2, better="less"),
        Figure(name="from the change to being found, longest", value=max(waits), unit="s", goal=2, better="less"),
        Figure(name="documents published", value=reached_per_s, unit="/s", goal=_PUBLISHED_PER_S * 0.95),
        Figure(name="from publishing to being found meanwhile, p99", value=published, unit="s", goal=2, better="less"),
        Figure(name=f"questions, {_SIDE_BY_SIDE} at a time", value=asked_per_s, unit="/s"),
        Figure(name="a question, p95", value=p95_ms, unit="ms", goal=50, better="less"),
        Figure(name="NDCG@10, against PostgreSQL full text", value=ours, unit="", peer=theirs, goal=1.2),
        Figure(name="recall@10 with typos", value=sum(recall) / len(recall), unit="", goal=0.95),
    ]


def _vocabulary() -> list[str]:
    """Return the words of the graded set and many invented ones, so that there is much that fits a little."""
    chance = random.Random(2)
    syllables = [a + b for a in "bdfgklmnprstvz" for b in "aeiou"]
    invented = ["".join(chance.choices(syllables, k=3)) for _ in range(20_000)]
    known = [word.strip(",:.").lower() for course in COURSES.values() for text in course for word in text.split()]
    return [*invented, *known]


async def _ask(question: str) -> list[UUID]:
    found = await logic.search(GUEST, question, Filters(), only=[_KIND], after=None, limit=10)
    return [hit.id for hit in found.hits]


async def _until(found: Any, limit_s: float) -> None:
    deadline = time.perf_counter() + limit_s
    while time.perf_counter() < deadline:
        # Until the first index is there the search says that it is being built.
        with suppress(Unavailable):
            if await found():
                return
        await asyncio.sleep(0.02)
    raise TimeoutError(f"not found within {limit_s} s")


async def _change(source: Source, id: UUID) -> float:
    """Mark a document as its service's event would, and wait until it is found."""
    word = source.kept[id].title.split()[1]
    source.kept[id] = replace(source.kept[id], version=2)
    begun = time.perf_counter()
    async with write(_PLATFORM) as tx:
        await store.upsert_marks(tx, _KIND, [id])
        enqueue(tx, IndexMarked(), dedupe=IndexMarked.dedupe())
    await _until(lambda: _finds(word, id), 30)
    return time.perf_counter() - begun


async def _published(source: Source) -> tuple[float, float]:
    """Publish at a steady rate; return the 99th percentile of the times until a search finds each, and the rate reached."""
    waiting: dict[UUID, float] = {}
    waits: list[float] = []
    total = _PUBLISHED_PER_S * _PUBLISHED_FOR_S
    begun = time.perf_counter()
    done_after_s = 0.0

    async def publish() -> None:
        nonlocal done_after_s
        for number in range(0, total, _PUBLISHED_AT_ONCE):
            await asyncio.sleep(max(0.0, begun + number / _PUBLISHED_PER_S - time.perf_counter()))
            ids = [source.put(f"Published {number}", "soon to be found") for _ in range(_PUBLISHED_AT_ONCE)]
            waiting.update(dict.fromkeys(ids, time.perf_counter()))
            async with write(_PLATFORM) as tx:
                await store.upsert_marks(tx, _KIND, ids)
                enqueue(tx, IndexMarked(), dedupe=IndexMarked.dedupe())
        done_after_s = time.perf_counter() - begun

    async def look() -> None:
        while len(waits) < total:
            ids = [str(id) for id in list(waiting)[:_MOST_LOOKED_FOR]]
            body = {"query": {"terms": {"id": ids}}, "size": len(ids), "_source": ["id"]}
            answer: Any = await opensearch().search(index=alias_of(_KIND), body=body) if ids else None
            now = time.perf_counter()
            hits = answer["hits"]["hits"] if answer else ()
            waits.extend(now - waiting.pop(UUID(hit["_source"]["id"])) for hit in hits)
            await asyncio.sleep(0.05)

    async with asyncio.timeout(_PUBLISHED_FOR_S * 10 + 60):
        await asyncio.gather(publish(), look())
    return quantiles(waits, n=100)[-1], total / done_after_s


async def _finds(word: str, id: UUID) -> bool:
    return id in await _ask(f'"{word}"')


async def _load(ask: Any) -> tuple[float, float]:
    questions = [random.Random(number).choice(list(QUESTIONS)) for number in range(_QUESTIONS_ASKED)]
    times: list[float] = []

    async def work() -> None:
        while questions:
            begun = time.perf_counter()
            await ask(questions.pop())
            times.append(time.perf_counter() - begun)

    begun = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(_SIDE_BY_SIDE)))
    return len(times) / (time.perf_counter() - begun), quantiles(times, n=20)[-1] * 1000


async def _ndcg(ask: Any, ids: dict[str, UUID], questions: dict[str, dict[str, int]]) -> float:
    """Return the mean normalized discounted cumulative gain of the first ten answers (gain 2^grade - 1)."""
    total = 0.0
    for question, grades in questions.items():
        graded = {ids[name]: grade for name, grade in grades.items()}
        gain = _dcg([graded.get(id, 0) for id in await ask(question)])
        total += gain / _dcg(sorted(graded.values(), reverse=True))
    return total / len(questions)


def _dcg(grades: list[int]) -> float:
    return sum((2**grade - 1) / log2(place + 2) for place, grade in enumerate(grades[:10]))


def _best(grades: dict[str, int]) -> str:
    return max(grades, key=lambda name: grades[name])


async def _fill_peer(peer: Any, source: Source) -> None:
    await peer.execute(
        """CREATE TABLE search_bench (id uuid PRIMARY KEY, title text, text text, words tsvector GENERATED ALWAYS AS (
            setweight(to_tsvector('english', title), 'A') || setweight(to_tsvector('english', text), 'B')) STORED)"""
    )
    rows = [(each.id, each.title, each.text) for each in source.kept.values()]
    await peer.copy_records_to_table("search_bench", records=rows, columns=("id", "title", "text"))
    await peer.execute("CREATE INDEX ON search_bench USING gin (words)")


if __name__ == "__main__":
    hand_over(asyncio.run(run()))
