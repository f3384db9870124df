"""The SQL of audit."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from api.platform.audit.contract import shard_of
from api.platform.audit.rules import Entry, SealedEntry
from cluster.base.ids import new_id
from cluster.data import Connection, Transaction

_ENTRY = (
    """id, chain, action, actor_kind, actor, acting_for, service, target_type, target, version, payload, at, trace_id"""
)


async def pseudonyms_of(tx: Transaction, people: set[UUID]) -> dict[UUID, UUID]:
    """Return everybody's pseudonym, making those that are missing."""
    # Sorted, so that two consumers lock the same people in the same order.
    ordered = sorted(people)
    rows = await tx.rows(
        """INSERT INTO audit.people (user_id, pseudonym)
           SELECT * FROM unnest($1::uuid[], $2::uuid[])
           ON CONFLICT (user_id) DO UPDATE SET user_id = excluded.user_id
           RETURNING user_id, pseudonym""",
        ordered,
        [new_id() for _ in ordered],
    )
    return {row["user_id"]: row["pseudonym"] for row in rows}


async def people_behind(db: Connection, pseudonyms: set[UUID]) -> dict[str, str]:
    """Return who the pseudonyms are; erased people are missing."""
    rows = await db.rows(
        "SELECT pseudonym, user_id FROM audit.people WHERE pseudonym = ANY($1::uuid[])", list(pseudonyms)
    )
    return {str(row["pseudonym"]): str(row["user_id"]) for row in rows}


async def find_pseudonym(db: Connection, user_id: UUID) -> UUID | None:
    return await db.value("SELECT pseudonym FROM audit.people WHERE user_id = $1", user_id)


async def insert_entries(tx: Transaction, entries: Sequence[Entry]) -> None:
    await tx.run(
        """INSERT INTO audit.entries (id, chain, shard, action, actor_kind, actor, acting_for, service, target_type, target,
                                      version, payload, at, trace_id)
           SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::smallint[], $4::text[], $5::text[], $6::text[], $7::text[],
                                $8::text[], $9::text[], $10::text[], $11::bigint[], $12::jsonb[], $13::timestamptz[],
                                $14::text[])
           ON CONFLICT (id) DO NOTHING""",
        [entry.id for entry in entries],
        [entry.chain for entry in entries],
        [shard_of(entry.chain) for entry in entries],
        [entry.action for entry in entries],
        [entry.actor_kind for entry in entries],
        [entry.actor for entry in entries],
        [entry.acting_for for entry in entries],
        [entry.service for entry in entries],
        [entry.target_type for entry in entries],
        [entry.target for entry in entries],
        [entry.version for entry in entries],
        [entry.payload for entry in entries],
        [entry.at for entry in entries],
        [entry.trace_id for entry in entries],
    )


LIST_ENTRIES = (
    "SELECT "
    + _ENTRY
    + """ FROM audit.entries
WHERE chain = $1 AND ($2::text[] IS NULL OR action = ANY($2)) AND ($3::text IS NULL OR actor = $3)
    AND ($4::text[] IS NULL OR target = ANY($4)) AND ($5::uuid IS NULL OR id < $5)
ORDER BY id DESC LIMIT $6"""
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
    return await db.all(Entry, LIST_ENTRIES, chain, actions, actor, targets, before, limit)


async def chains_to_seal(tx: Transaction, shard: int) -> list[UUID]:
    rows = await tx.rows(
        "SELECT DISTINCT chain FROM audit.entries WHERE shard = $1 AND seq IS NULL ORDER BY chain LIMIT 100", shard
    )
    return [row["chain"] for row in rows]


async def lock_chain(tx: Transaction, chain: UUID, genesis: bytes) -> tuple[int, bytes]:
    """Lock the end of a chain, beginning it if need be, and return its last number and hash."""
    rows = await tx.rows(
        """INSERT INTO audit.chains (chain, seq, hash) VALUES ($1, 0, $2)
           ON CONFLICT (chain) DO UPDATE SET seq = chains.seq RETURNING seq, hash""",
        chain,
        genesis,
    )
    return rows[0]["seq"], rows[0]["hash"]


async def list_unsealed(tx: Transaction, shard: int, chain: UUID, limit: int) -> list[Entry]:
    return await tx.all(
        Entry,
        "SELECT "
        + _ENTRY
        + """ FROM audit.entries
           WHERE shard = $1 AND chain = $2 AND seq IS NULL ORDER BY id LIMIT $3""",
        shard,
        chain,
        limit,
    )


async def seal(tx: Transaction, chain: UUID, sealed: Sequence[tuple[UUID, int, bytes]]) -> None:
    """Write places and hashes, and move the end of the chain."""
    await tx.run(
        """UPDATE audit.entries e SET seq = s.seq, hash = s.hash
           FROM unnest($1::uuid[], $2::bigint[], $3::bytea[]) AS s (id, seq, hash) WHERE e.id = s.id""",
        [each[0] for each in sealed],
        [each[1] for each in sealed],
        [each[2] for each in sealed],
    )
    await tx.run("UPDATE audit.chains SET seq = $2, hash = $3 WHERE chain = $1", chain, sealed[-1][1], sealed[-1][2])


async def list_chains(db: Connection) -> list[UUID]:
    """Return every chain that has an end or sealed entries: one without the other is a fault to be found."""
    rows = await db.rows(
        "SELECT chain FROM audit.chains UNION SELECT chain FROM audit.entries WHERE seq IS NOT NULL ORDER BY chain"
    )
    return [row["chain"] for row in rows]


@dataclass(frozen=True, slots=True)
class End:
    """The last entry of a chain: its number and hash."""

    chain: UUID
    seq: int
    hash: bytes


async def find_end(db: Connection, chain: UUID) -> End | None:
    return await db.maybe(End, "SELECT chain, seq, hash FROM audit.chains WHERE chain = $1", chain)


async def list_unnoted(db: Connection, limit: int) -> list[End]:
    """Return ends that no checkpoint holds."""
    return await db.all(
        End, "SELECT chain, seq, hash FROM audit.chains WHERE seq > noted_seq ORDER BY chain LIMIT $1", limit
    )


async def insert_checkpoint(tx: Transaction, key: str, sha256: bytes, ends: Sequence[End]) -> None:
    """Record that a checkpoint holds these ends."""
    await tx.run("INSERT INTO audit.checkpoints (key, sha256, noted_at) VALUES ($1, $2, $3)", key, sha256, tx.now)
    await tx.run(
        """UPDATE audit.chains c SET noted_seq = greatest(c.noted_seq, n.seq)
           FROM unnest($1::uuid[], $2::bigint[]) AS n (chain, seq) WHERE c.chain = n.chain""",
        [end.chain for end in ends],
        [end.seq for end in ends],
    )


async def list_checkpoints(db: Connection) -> dict[str, bytes]:
    """Return the keys and hashes of all checkpoints; complete, because each missing one must be found."""
    return {row["key"]: row["sha256"] for row in await db.rows("SELECT key, sha256 FROM audit.checkpoints")}


async def list_sealed(db: Connection, chain: UUID, after: int, limit: int) -> list[SealedEntry]:
    return await db.all(
        SealedEntry,
        "SELECT "
        + _ENTRY
        + """, seq, hash FROM audit.entries
           WHERE chain = $1 AND seq > $2 ORDER BY seq LIMIT $3""",
        chain,
        after,
        limit,
    )


async def count_sealed(db: Connection) -> int:
    return await db.value("SELECT coalesce(sum(seq), 0)::bigint FROM audit.chains")


async def count_unsealed(db: Connection) -> int:
    return await db.value("SELECT count(*) FROM audit.entries WHERE seq IS NULL")
