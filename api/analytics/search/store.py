"""The SQL of search: what is marked, and which indexes there are."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from cluster.data import Connection, Transaction

State = Literal["building", "live", "retiring", "dropped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    document_id: UUID
    mark: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """One index of a kind."""

    kind: str
    number: int
    mapping: int
    state: State
    built_to: UUID | None
    documents: int
    created_at: datetime
    moved_at: datetime


# Sorted, so that two transactions that mark the same documents wait for each other instead of deadlocking.
UPSERT_MARKS = """
INSERT INTO search.marks (kind, document_id, mark, due_at)
SELECT $kind, id, gen_random_uuid(), now() FROM unnest($ids::uuid[]) AS id ORDER BY id
ON CONFLICT (kind, document_id) DO UPDATE SET mark = excluded.mark, due_at = now(), attempts = 0
"""


async def upsert_marks(tx: Transaction, kind: str, ids: Sequence[UUID]) -> None:
    """Note that these documents changed."""
    await tx.run(UPSERT_MARKS, kind=kind, ids=list(ids))


LIST_MARKED = """
SELECT document_id, mark FROM search.marks WHERE kind = $kind AND due_at <= now() ORDER BY due_at LIMIT $limit
"""


async def list_marked(db: Connection, kind: str, limit: int) -> list[Mark]:
    """List what is to be brought into the index now, the longest waiting first."""
    return await db.all(Mark, LIST_MARKED, kind=kind, limit=limit)


LIST_MARKS_OF = """
SELECT document_id FROM search.marks WHERE kind = $kind AND document_id = ANY($ids::uuid[]) LIMIT 1000
"""


async def list_marks_of(db: Connection, kind: str, ids: Sequence[UUID]) -> list[UUID]:
    """List those of these documents that are marked."""
    return [row["document_id"] for row in await db.rows(LIST_MARKS_OF, kind=kind, ids=ids)]


FIND_DUE = "SELECT EXISTS (SELECT FROM search.marks WHERE due_at <= now())"


async def find_due(db: Connection) -> bool:
    return await db.value(FIND_DUE)


DELETE_MARKS = """
DELETE FROM search.marks USING unnest($ids::uuid[], $marks::uuid[]) AS done (document_id, mark)
WHERE marks.kind = $kind AND marks.document_id = done.document_id AND marks.mark = done.mark
"""


async def delete_marks(tx: Transaction, kind: str, marks: Sequence[Mark]) -> None:
    """Forget marks of documents that are in the index now; one that was made since stays."""
    ids, values = [each.document_id for each in marks], [each.mark for each in marks]
    await tx.run(DELETE_MARKS, kind=kind, ids=ids, marks=values)


# 4 s, 16 s, 64 s, ... at most an hour.
UPSERT_FAILED = """
INSERT INTO search.marks AS marks (kind, document_id, mark, due_at, attempts)
SELECT $kind, id, gen_random_uuid(), now() + interval '4 s', 1 FROM unnest($ids::uuid[]) AS id ORDER BY id
ON CONFLICT (kind, document_id) DO UPDATE SET attempts = marks.attempts + 1,
    due_at = now() + least(interval '1 h', interval '1 s' * 4 ^ least(marks.attempts + 1, 6))
"""


async def upsert_failed(tx: Transaction, kind: str, ids: Iterable[UUID]) -> None:
    """Let documents wait, longer each time, that the index refuses."""
    await tx.run(UPSERT_FAILED, kind=kind, ids=list(ids))


_COLUMNS = "kind, number, mapping, state, built_to, documents, created_at, moved_at"
LIST_GENERATIONS = (
    "SELECT "
    + _COLUMNS
    + """ FROM search.generations WHERE ($kind::text IS NULL OR kind = $kind) AND state <> 'dropped'
    ORDER BY kind, number LIMIT 500"""
)


async def list_generations(db: Connection, kind: str | None = None) -> list[Generation]:
    """List the indexes that are written to, of a kind or of all."""
    return await db.all(Generation, LIST_GENERATIONS, kind=kind)


INSERT_GENERATION = (
    """INSERT INTO search.generations (kind, number, mapping, state, created_at, moved_at)
    SELECT $kind, greatest(coalesce(max(number), 0) + 1, floor(extract(epoch FROM $now::timestamptz) * 1000)::bigint),
        $mapping, 'building', $now, $now
    FROM search.generations WHERE kind = $kind
    ON CONFLICT DO NOTHING RETURNING """
    + _COLUMNS
)


async def insert_generation(tx: Transaction, kind: str, mapping: int) -> Generation | None:
    """Begin another index; None: one is being built."""
    return await tx.maybe(Generation, INSERT_GENERATION, kind=kind, mapping=mapping)


UPDATE_BUILT = """
UPDATE search.generations SET built_to = $built_to, documents = documents + $documents, moved_at = $now
WHERE kind = $kind AND number = $number AND state = 'building' AND built_to IS NOT DISTINCT FROM $before
"""


async def update_built(
    tx: Transaction, kind: str, number: int, *, before: UUID | None, built_to: UUID, documents: int
) -> bool:
    """Note how far the building is; False: somebody else builds it, or it is not being built any more."""
    changed = await tx.run(
        UPDATE_BUILT, kind=kind, number=number, before=before, built_to=built_to, documents=documents
    )
    return changed == 1


UPDATE_RESTARTED = """
UPDATE search.generations SET built_to = NULL, documents = 0, moved_at = $now
WHERE kind = $kind AND number = $number AND state = 'building'
"""


async def update_restarted(tx: Transaction, kind: str, number: int) -> None:
    await tx.run(UPDATE_RESTARTED, kind=kind, number=number)


UPDATE_STATE = """
UPDATE search.generations SET state = $state, moved_at = $now WHERE kind = $kind AND number = $number AND state <> $state
"""


async def update_state(tx: Transaction, kind: str, number: int, state: State) -> None:
    await tx.run(UPDATE_STATE, kind=kind, number=number, state=state)


UPDATE_RETIRED = (
    "UPDATE search.generations SET state = 'retiring', moved_at = $now WHERE kind = $kind AND state = 'live'"
)


async def update_retired(tx: Transaction, kind: str) -> None:
    await tx.run(UPDATE_RETIRED, kind=kind)


LIST_RETIRED = (
    "SELECT "
    + _COLUMNS
    + """ FROM search.generations
    WHERE state = 'retiring' AND moved_at < now() - interval '24 h' ORDER BY moved_at LIMIT 100"""
)


async def list_retired(db: Connection) -> list[Generation]:
    """List the indexes that were replaced a day ago: so long they are kept, and written to, for the way back."""
    return await db.all(Generation, LIST_RETIRED)


FIND_READ_TO = "SELECT read_to FROM search.followed WHERE kind = $kind"


async def find_read_to(db: Connection, kind: str) -> UUID | None:
    """Return the last document of a followed kind that was read."""
    return await db.value(FIND_READ_TO, kind=kind)


UPSERT_READ_TO = """
INSERT INTO search.followed AS known (kind, read_to) VALUES ($kind, $read_to)
ON CONFLICT (kind) DO UPDATE SET read_to = greatest(known.read_to, excluded.read_to)
"""


async def upsert_read_to(tx: Transaction, kind: str, read_to: UUID) -> None:
    await tx.run(UPSERT_READ_TO, kind=kind, read_to=read_to)
