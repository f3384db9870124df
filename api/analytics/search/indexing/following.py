"""Bring documents into the indexes of which no event tells, in great numbers and in nobody's way, and take old ones out.

A source is read by id from where the last reading ended, and a little before: ids are made when something happens, and what
happened may reach the source later. What the index has already is not sent again.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from api.analytics.search import store
from api.analytics.search.contract import FollowSource
from api.analytics.search.engine import indexes
from api.analytics.search.engine.indexes import IndexMissing
from api.analytics.search.indexing import process
from api.analytics.search.kinds import kinds
from cluster.base.settings import settings
from cluster.data import read, write
from cluster.jobs import JobRun, enqueue
from cluster.people.documents import Document, id_at

LATE = timedelta(minutes=5)
"""After which an event reaches nearly always who hears it."""
VERY_LATE = timedelta(days=2)
"""So far back is looked once a day: for what an outage held up."""
_DELETED_AT_ONCE = 10_000


async def look(run: JobRun) -> None:
    """Have each source read of which no event tells."""
    await _look(run, LATE)


async def _look(run: JobRun, back: timedelta) -> None:
    if not settings().opensearch_url:
        return
    async with write(run.principal) as tx:
        for name, kind in kinds().items():
            if kind.offer.followed:
                # One that waits for longer ago stays: it reads what this one would.
                args = FollowSource(kind=name, back_s=int(back.total_seconds()))
                enqueue(tx, args, dedupe=FollowSource.dedupe(name), replace=back > LATE)


async def follow(run: JobRun, args: FollowSource) -> None:
    """Read a source to its end."""
    kind = kinds().get(args.kind)
    if not settings().opensearch_url or kind is None or not kind.offer.followed:
        return
    while await process.index_batch(run.principal, args.kind, kind) == process.BATCH:
        await run.extend()
    async with read() as db:
        read_to = await store.find_read_to(db, args.kind)
    begin = id_at(datetime.now(UTC) - timedelta(seconds=args.back_s))
    after = begin if read_to is None else min(begin, read_to)
    while documents := await kind.source.document_page(args.kind, after, process.BATCH):
        after = documents[-1].id
        again = [each for each in documents if read_to is not None and each.id <= read_to]
        new = documents[len(again) :]
        failed = await process.bring(run.principal, args.kind, kind, [*await _lacking(args.kind, again), *new])
        async with write(run.principal) as tx:
            if failed:
                await store.upsert_failed(tx, args.kind, failed)
            await store.upsert_read_to(tx, args.kind, after)
        await run.extend()


async def _lacking(kind: str, documents: Sequence[Document]) -> list[Document]:
    """Return those of these documents that some index lacks."""
    async with read() as db:
        generations = await store.list_generations(db, kind)
    missing = set[object]()
    for generation in generations:
        if generation.state != "retiring":
            try:
                missing |= await indexes.lacking(kind, generation.number, [each.id for each in documents])
            except IndexMissing:
                # It is begun again, and filled from the source.
                continue
    return [each for each in documents if each.id in missing]


async def expire(run: JobRun) -> None:
    """Delete documents that are older than their kind is kept, in every index, and look for what came late."""
    if not settings().opensearch_url:
        return
    async with read() as db:
        generations = await store.list_generations(db)
    for generation in generations:
        kind = kinds().get(generation.kind)
        if kind is not None and kind.offer.kept is not None:
            before = datetime.now(UTC) - kind.offer.kept
            while await _delete(generation.kind, generation.number, before) == _DELETED_AT_ONCE:
                await run.extend()
    await _look(run, VERY_LATE)


async def _delete(kind: str, number: int, before: datetime) -> int:
    try:
        return await indexes.delete_older(kind, number, before, _DELETED_AT_ONCE)
    except IndexMissing:
        return 0
