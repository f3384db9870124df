"""Bring what is marked into the indexes, build indexes from nothing, and look after them.

A change marks its document; the mark goes when the document, read after the mark was made, is in every index of its kind. The
indexes are listed after the documents were read: an index that is begun later is filled from what the source says later.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from api.analytics.search import store
from api.analytics.search.contract import BuildGeneration, BuildsAlready, IndexMarked
from api.analytics.search.engine import indexes
from api.analytics.search.engine.form import FORM
from api.analytics.search.engine.indexes import IndexMissing
from api.analytics.search.kinds import Kind, kinds
from api.analytics.search.store import Generation
from cluster.base.principal import Principal, platform
from cluster.base.settings import settings
from cluster.data import Transaction, read, write
from cluster.jobs import JobRun, enqueue
from cluster.people.documents import Document, Gone

log = logging.getLogger(__name__)
_PLATFORM = platform("search")
BATCH = 200
_STALLED = timedelta(minutes=2)
_SAMPLES, _SAMPLE = 8, 25
_LOOK_AGAIN = timedelta(seconds=10)


async def index_marked(run: JobRun) -> None:
    """Bring all that is marked into the index, but for kinds that are followed: they wait for their own turn.

    A kind that fails holds up no other.

    Raises:
        ExceptionGroup: some kinds failed; their marks wait.
    """
    if not settings().opensearch_url:
        return
    errors: list[Exception] = []
    for name, kind in kinds().items():
        if kind.offer.followed:
            continue
        try:
            while await index_batch(run.principal, name, kind) == BATCH:
                await run.extend()
        except Exception as error:
            errors.append(error)
    if errors:
        raise ExceptionGroup("some documents are not in the index yet", errors)


async def index_batch(caller: Principal, name: str, kind: Kind) -> int:
    """Bring some of what is marked of a kind into the index; return how much."""
    async with read() as db:
        marks = await store.list_marked(db, name, BATCH)
    if not marks:
        return 0
    told = await kind.source.documents(name, [mark.document_id for mark in marks])
    failed = await bring(caller, name, kind, [*told.found, *told.gone])
    async with write(caller) as tx:
        await store.delete_marks(tx, name, [mark for mark in marks if mark.document_id not in failed])
        if failed:
            await store.upsert_failed(tx, name, failed)
    return len(marks)


async def bring(caller: Principal, name: str, kind: Kind, documents: Sequence[Document | Gone]) -> dict[UUID, str]:
    """Write documents, read before, into every index of their kind, and begin one that is missing.

    Returns why an index refused some of them.
    """
    async with read() as db:
        generations = await store.list_generations(db, name)
    failed: dict[UUID, str] = {}
    missing: list[Generation] = []
    for generation in generations:
        try:
            refused = await indexes.write(name, generation.number, documents, kind.offer.facets)
        except IndexMissing:
            missing.append(generation)
        else:
            failed |= refused if generation.state != "retiring" else {}
    for id, error in failed.items():
        log.error("a document cannot be indexed", extra={"kind": name, "document": str(id), "error": error})
    # Before a mark goes: it would be all that led to these documents.
    for generation in missing:
        await _lost(caller, generation)
    if not [each for each in generations if each.state in ("live", "building") and each not in missing]:
        await begin(caller, name)
    return failed


async def _lost(caller: Principal, generation: Generation) -> None:
    """Begin again with an index that is gone."""
    log.warning("an index is gone", extra={"kind": generation.kind, "number": generation.number})
    async with write(caller) as tx:
        if generation.state != "building":
            await store.update_state(tx, generation.kind, generation.number, "dropped")
        elif generation.built_to is not None:
            await store.update_restarted(tx, generation.kind, generation.number)
            _enqueue_build(tx, generation)


def _enqueue_build(tx: Transaction, generation: Generation, *, at: datetime | None = None) -> None:
    args = BuildGeneration(kind=generation.kind, number=generation.number)
    enqueue(tx, args, at=at, dedupe=BuildGeneration.dedupe(generation.kind), replace=True)


async def begin(caller: Principal, kind: str) -> Generation | None:
    """Begin to build another index of a kind; None: one is being built."""
    async with write(caller) as tx:
        generation = await store.insert_generation(tx, kind, FORM)
        if generation is not None:
            _enqueue_build(tx, generation)
    return generation


async def build(run: JobRun, args: BuildGeneration) -> None:
    """Fill an index from its source, beside the writes of what changes meanwhile, and let the kind's alias lead to it.

    It goes on where a killed worker stopped.
    """
    kind = kinds().get(args.kind)
    async with read() as db:
        generations = await store.list_generations(db, args.kind)
    generation = next((each for each in generations if each.number == args.number), None)
    if kind is None or generation is None or generation.state != "building":
        return
    after = generation.built_to
    await indexes.make(args.kind, args.number)
    while documents := await kind.source.document_page(args.kind, after, BATCH):
        try:
            failed = await indexes.write(args.kind, args.number, documents, kind.offer.facets)
        except IndexMissing:
            await _lost(run.principal, generation)
            return
        before, after = after, documents[-1].id
        async with write(run.principal) as tx:
            if failed:
                await store.upsert_failed(tx, args.kind, failed)
            if not await store.update_built(
                tx, args.kind, args.number, before=before, built_to=after, documents=len(documents)
            ):
                log.info("somebody else builds this index", extra={"kind": args.kind, "number": args.number})
                return
        await run.extend()
    if await _is_whole(run.principal, kind, replace(generation, built_to=after)):
        await _show(run.principal, generation)


async def _is_whole(caller: Principal, kind: Kind, generation: Generation) -> bool:
    """Tell whether an index has what its source has, by samples from the first document to the last.

    What is missing is marked, so that it comes; the index is looked at again then, and the one before answers meanwhile.
    """
    sampled: list[UUID] = []
    for after in _sample_points(await kind.source.document_page(generation.kind, None, 1), generation.built_to):
        page = await kind.source.document_page(generation.kind, after, _SAMPLE)
        # What came later is on its way by its event.
        sampled += [each.id for each in page if generation.built_to is not None and each.id <= generation.built_to]
    try:
        missing = await indexes.lacking(generation.kind, generation.number, sampled)
    except IndexMissing:
        await _lost(caller, generation)
        return False
    async with read() as db:
        # They are on their way, or the index refuses them.
        missing -= set(await store.list_marks_of(db, generation.kind, list(missing)))
    if not missing:
        return True
    log.error(
        "a new index lacks documents: it waits for them",
        extra={
            "kind": generation.kind,
            "number": generation.number,
            "sampled": len(sampled),
            "missing": len(missing),
            "documents": [str(id) for id in sorted(missing)[:20]],
        },
    )
    async with write(caller) as tx:
        await store.upsert_marks(tx, generation.kind, list(missing))
        enqueue(tx, IndexMarked(), dedupe=IndexMarked.dedupe())
        _enqueue_build(tx, generation, at=tx.now + _LOOK_AGAIN)
    return False


def _sample_points(first: Sequence[Document], built_to: UUID | None) -> list[UUID | None]:
    """Return after which ids samples are taken: from the beginning, and at even distances up to the end."""
    if not first or built_to is None:
        return [None]
    begin, end = first[0].id.int, built_to.int
    return [None, *(UUID(int=begin + (end - begin) * number // _SAMPLES) for number in range(1, _SAMPLES))]


async def _show(caller: Principal, generation: Generation) -> None:
    """Put an index that is full in the place of the one before."""
    try:
        await indexes.show(generation.kind, generation.number)
    except IndexMissing:
        await _lost(caller, generation)
        return
    async with write(caller) as tx:
        await store.update_retired(tx, generation.kind)
        await store.update_state(tx, generation.kind, generation.number, "live")


async def keep(run: JobRun) -> None:
    """Begin what is missing: the index of a new kind, of a new form, of one that was lost; and go on with what stands still."""
    if not settings().opensearch_url:
        return
    async with read() as db:
        known = await store.list_generations(db)
        due = await store.find_due(db)
    async with write(run.principal) as tx:
        if due:
            enqueue(tx, IndexMarked(), dedupe=IndexMarked.dedupe())
        for generation in known:
            if generation.state == "building" and generation.moved_at < tx.now - _STALLED:
                _enqueue_build(tx, generation)
    for kind in kinds():
        mine = [generation for generation in known if generation.kind == kind]
        live = next((each for each in mine if each.state == "live"), None)
        if live is not None and not await indexes.answers(*(kind, live.number)):
            if await indexes.exists(kind, live.number):
                await indexes.show(kind, live.number)
            else:
                await _lost(run.principal, live)
                live = None
        if live is None or live.mapping < FORM:
            await begin(run.principal, kind)


async def drop_retired(run: JobRun) -> None:
    """Delete indexes that were replaced a day ago."""
    if not settings().opensearch_url:
        return
    async with read() as db:
        retired = await store.list_retired(db)
    for generation in retired:
        await indexes.delete(generation.kind, generation.number)
        async with write(run.principal) as tx:
            await store.update_state(tx, generation.kind, generation.number, "dropped")


async def rebuild(caller: Principal, kind: str) -> Generation:
    """Build the index of a kind anew.

    Raises:
        BuildsAlready
    """
    generation = await begin(caller, kind)
    if generation is None:
        raise BuildsAlready("it is put in place by itself when it is full")
    return generation
