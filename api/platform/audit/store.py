"""The SQL of audit: entries, the people behind pseudonyms, ends of chains and checkpoints."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from api.platform.audit.contract import shard_of
from api.platform.audit.rules import Entry, SealedEntry
from cluster.base.ids import UserId, new_id
from cluster.data import Connection, Transaction

_ENTRY = (
    """id, chain, action, actor_kind, actor, acting_for, service, target_type, target, version, payload, at, trace_id"""
)


@dataclass(frozen=True, slots=True)
class End:
    """The last entry of a chain: its number and hash."""

    chain: UUID
    seq: int
    hash: bytes


UPSERT_PSEUDONYMS = """
INSERT INTO audit.people (user_id, pseudonym) SELECT * FROM unnest($user_ids::uuid[], $pseudonyms::uuid[])
ON CONFLICT (user_id) DO UPDATE SET user_id = excluded.user_id
RETURNING user_id, pseudonym
"""


async def upsert_pseudonyms(tx: Transaction, user_ids: Collection[UUID]) -> dict[UUID, UUID]:
    """Return everybody's pseudonym, and make those that are missing."""
    # Sorted, so that two consumers lock the same people in the same order.
    ordered = sorted(user_ids)
    rows = await tx.rows(UPSERT_PSEUDONYMS, user_ids=ordered, pseudonyms=[new_id() for _ in ordered])
    return {row["user_id"]: row["pseudonym"] for row in rows}


LIST_PEOPLE = """
SELECT pseudonym, user_id FROM audit.people WHERE pseudonym = ANY($pseudonyms::uuid[]) LIMIT 10000
"""


async def list_people(db: Connection, pseudonyms: Collection[UUID]) -> dict[str, str]:
    """Return the person behind each pseudonym; erased people are missing."""
    rows = await db.rows(LIST_PEOPLE, pseudonyms=list(pseudonyms))
    return {str(row["pseudonym"]): str(row["user_id"]) for row in rows}


FIND_PSEUDONYM = "SELECT pseudonym FROM audit.people WHERE user_id = $user_id"


async def find_pseudonym(db: Connection, user_id: UserId) -> UUID | None:
    return await db.value(FIND_PSEUDONYM, user_id=user_id)


INSERT_ENTRIES = """
INSERT INTO audit.entries (id, chain, shard, action, actor_kind, actor, acting_for, service, target_type, target, version,
                           payload, at, trace_id)
SELECT * FROM unnest($ids::uuid[], $chains::uuid[], $shards::smallint[], $actions::text[], $actor_kinds::text[],
                     $actors::text[], $acting_for::text[], $services::text[], $target_types::text[], $targets::text[],
                     $versions::bigint[], $payloads::jsonb[], $times::timestamptz[], $trace_ids::text[])
ON CONFLICT (id) DO NOTHING
"""


async def insert_entries(tx: Transaction, entries: Sequence[Entry]) -> None:
    """Insert entries, unsealed. One that is there already stays as it is."""
    await tx.run(
        INSERT_ENTRIES,
        ids=[entry.id for entry in entries],
        chains=[entry.chain for entry in entries],
        shards=[shard_of(entry.chain) for entry in entries],
        actions=[entry.action for entry in entries],
        actor_kinds=[entry.actor_kind for entry in entries],
        actors=[entry.actor for entry in entries],
        acting_for=[entry.acting_for for entry in entries],
        services=[entry.service for entry in entries],
        target_types=[entry.target_type for entry in entries],
        targets=[entry.target for entry in entries],
        versions=[entry.version for entry in entries],
        payloads=[entry.payload for entry in entries],
        times=[entry.at for entry in entries],
        trace_ids=[entry.trace_id for entry in entries],
    )


LIST_ENTRIES = (
    "SELECT "
    + _ENTRY
    + """ FROM audit.entries
    WHERE chain = $chain AND ($actions::text[] IS NULL OR action = ANY($actions)) AND ($actor::text IS NULL OR actor = $actor)
        AND ($targets::text[] IS NULL OR target = ANY($targets)) AND ($before::uuid IS NULL OR id < $before)
    ORDER BY id DESC LIMIT $limit"""
)


async def list_entries(
    db: Connection,
    *,
    chain: UUID,
    actions: list[str] | None,
    actor: str | None,
    targets: list[str] | None,
    before: UUID | None,
    limit: int,
) -> list[Entry]:
    """List the entries of an organization, newest first."""
    return await db.all(
        Entry, LIST_ENTRIES, chain=chain, actions=actions, actor=actor, targets=targets, before=before, limit=limit
    )


_NOT_THE_PLATFORMS = " AND chain <> '00000000-0000-0000-0000-000000000000'"
LIST_FOUND = (
    "SELECT "
    + _ENTRY
    + " FROM audit.entries WHERE id = ANY($ids::uuid[]) AND id > $since"
    + _NOT_THE_PLATFORMS
    + " LIMIT 1000"
)
LIST_FOUND_PAGE = (
    "SELECT " + _ENTRY + " FROM audit.entries WHERE id > $after" + _NOT_THE_PLATFORMS + " ORDER BY id LIMIT $limit"
)


async def list_found(db: Connection, ids: Sequence[UUID], *, since: UUID) -> list[Entry]:
    """List those of these entries of organizations that are behind an id."""
    return await db.all(Entry, LIST_FOUND, ids=ids, since=since)


async def list_found_page(db: Connection, after: UUID, limit: int) -> list[Entry]:
    """List entries of organizations behind an id, in the order of their ids."""
    return await db.all(Entry, LIST_FOUND_PAGE, after=after, limit=limit)


LIST_UNSEALED_CHAINS = """
SELECT DISTINCT chain FROM audit.entries WHERE shard = $shard AND seq IS NULL ORDER BY chain LIMIT 100
"""


async def list_unsealed_chains(tx: Transaction, shard: int) -> list[UUID]:
    """List chains of a shard that have unsealed entries."""
    return [row["chain"] for row in await tx.rows(LIST_UNSEALED_CHAINS, shard=shard)]


LOCK_END = """
INSERT INTO audit.chains (chain, seq, hash) VALUES ($chain, 0, $genesis)
ON CONFLICT (chain) DO UPDATE SET seq = chains.seq RETURNING chain, seq, hash
"""


async def lock_end(tx: Transaction, chain: UUID, genesis: bytes) -> End:
    """Lock the end of a chain, which is inserted for a new chain, and return it."""
    return await tx.one(End, LOCK_END, chain=chain, genesis=genesis)


LIST_UNSEALED = (
    "SELECT "
    + _ENTRY
    + """ FROM audit.entries WHERE shard = $shard AND chain = $chain AND seq IS NULL ORDER BY id LIMIT $limit"""
)


async def list_unsealed(tx: Transaction, shard: int, chain: UUID, limit: int) -> list[Entry]:
    """List unsealed entries of a chain, oldest first."""
    return await tx.all(Entry, LIST_UNSEALED, shard=shard, chain=chain, limit=limit)


UPDATE_SEALED = """
WITH ended AS (UPDATE audit.chains SET seq = $seq, hash = $hash WHERE chain = $chain)
UPDATE audit.entries e SET seq = s.seq, hash = s.hash
FROM unnest($ids::uuid[], $seqs::bigint[], $hashes::bytea[]) AS s (id, seq, hash) WHERE e.id = s.id
"""


async def update_sealed(tx: Transaction, sealed: Sequence[tuple[UUID, End]]) -> None:
    """Write number and hash of entries of one chain, in its order, and move the end of the chain to the last."""
    await tx.run(
        UPDATE_SEALED,
        sealed[-1][1],
        ids=[entry_id for entry_id, _ in sealed],
        seqs=[end.seq for _, end in sealed],
        hashes=[end.hash for _, end in sealed],
    )


LIST_CHAINS = (
    "SELECT chain FROM audit.chains UNION SELECT chain FROM audit.entries WHERE seq IS NOT NULL ORDER BY chain"
)


async def list_chains(db: Connection) -> list[UUID]:
    """Return every chain that has an end or sealed entries: one without the other is a fault to be found."""
    return [row["chain"] for row in await db.rows(LIST_CHAINS)]


FIND_END = "SELECT chain, seq, hash FROM audit.chains WHERE chain = $chain"


async def find_end(db: Connection, chain: UUID) -> End | None:
    return await db.maybe(End, FIND_END, chain=chain)


LIST_UNNOTED_ENDS = "SELECT chain, seq, hash FROM audit.chains WHERE seq > noted_seq ORDER BY chain LIMIT $limit"


async def list_unnoted_ends(db: Connection, limit: int) -> list[End]:
    """List ends that no checkpoint holds."""
    return await db.all(End, LIST_UNNOTED_ENDS, limit=limit)


INSERT_CHECKPOINT = """
WITH checkpoint AS (INSERT INTO audit.checkpoints (key, sha256, noted_at) VALUES ($key, $sha256, $now))
UPDATE audit.chains c SET noted_seq = greatest(c.noted_seq, n.seq)
FROM unnest($chains::uuid[], $seqs::bigint[]) AS n (chain, seq) WHERE c.chain = n.chain
"""


async def insert_checkpoint(tx: Transaction, key: str, sha256: bytes, ends: Sequence[End]) -> None:
    """Record that a checkpoint holds these ends."""
    await tx.run(
        INSERT_CHECKPOINT,
        key=key,
        sha256=sha256,
        chains=[end.chain for end in ends],
        seqs=[end.seq for end in ends],
    )


LIST_CHECKPOINTS = "SELECT key, sha256 FROM audit.checkpoints"


async def list_checkpoints(db: Connection) -> dict[str, bytes]:
    """Return the keys and hashes of all checkpoints; complete, because each missing one must be found."""
    return {row["key"]: row["sha256"] for row in await db.rows(LIST_CHECKPOINTS)}


LIST_SEALED = (
    "SELECT "
    + _ENTRY
    + ", seq, hash FROM audit.entries WHERE chain = $chain AND seq > $after ORDER BY seq LIMIT $limit"
)


async def list_sealed(db: Connection, chain: UUID, after: int, limit: int) -> list[SealedEntry]:
    """List sealed entries of a chain behind the number `after`, in the chain's order."""
    return await db.all(SealedEntry, LIST_SEALED, chain=chain, after=after, limit=limit)


COUNT_SEALED = "SELECT coalesce(sum(seq), 0)::bigint FROM audit.chains"


async def count_sealed(db: Connection) -> int:
    return await db.value(COUNT_SEALED)


COUNT_UNSEALED = "SELECT count(*) FROM audit.entries WHERE seq IS NULL"


async def count_unsealed(db: Connection) -> int:
    return await db.value(COUNT_UNSEALED)
