"""The SQL of letters as callers and administrators see them; `delivery.store` has what hands them over."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from api.engagement.email.contract import Lane, LetterId, LetterState, ReplyTo, Standing
from cluster.base.ids import OrgId, UserId
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded, Reach


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    id: LetterId
    template: str
    category: str | None
    lane: Lane
    locale: str
    user_id: UserId | None
    org_id: OrgId | None
    domain: str
    state: Standing
    reason: str | None
    attempts: int
    version: int
    created_at: datetime
    due_at: datetime
    expires_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A letter as it is inserted."""

    id: UUID
    template: str
    category: str | None
    lane: Lane
    locale: str
    user_id: UserId | None
    org_id: OrgId | None
    sender_domain: str
    domain: str
    address_hash: bytes
    sealed: bytes
    expires_at: datetime | None
    reply: ReplyTo | None


INSERT_LETTERS = """
INSERT INTO email.letters (id, template, category, lane, locale, user_id, org_id, sender_domain, domain, address_hash,
    sealed, expires_at, reply_route, reply_subject, reply_until, source_id, created_at, due_at)
SELECT *, $source_id::uuid, $now, $now FROM unnest($ids::uuid[], $templates::text[], $categories::text[], $lanes::text[],
    $locales::text[], $user_ids::uuid[], $org_ids::uuid[], $sender_domains::text[], $domains::text[], $hashes::bytea[],
    $sealed::bytea[], $expiries::timestamptz[], $routes::text[], $subjects::uuid[], $reply_untils::timestamptz[])
ON CONFLICT (id) DO NOTHING
RETURNING id
"""


async def insert_letters(tx: Transaction, letters: Sequence[Accepted], source_id: UUID | None) -> set[UUID]:
    """Insert letters; return the ids of those that were not there before."""
    rows = await tx.rows(
        INSERT_LETTERS,
        source_id=source_id,
        ids=[each.id for each in letters],
        templates=[each.template for each in letters],
        categories=[each.category for each in letters],
        lanes=[each.lane for each in letters],
        locales=[each.locale for each in letters],
        user_ids=[each.user_id for each in letters],
        org_ids=[each.org_id for each in letters],
        sender_domains=[each.sender_domain for each in letters],
        domains=[each.domain for each in letters],
        hashes=[each.address_hash for each in letters],
        sealed=[each.sealed for each in letters],
        expiries=[each.expires_at for each in letters],
        routes=[each.reply and each.reply.route for each in letters],
        subjects=[each.reply and each.reply.subject_id for each in letters],
        reply_untils=[each.reply and each.reply.until for each in letters],
    )
    return {row["id"] for row in rows}


# While a destination is held, its `due_at` is the end of the lease: whoever holds it looks for new letters itself.
UPSERT_DESTINATIONS = """
INSERT INTO email.destinations (lane, sender_domain, domain, due_at)
SELECT lane, sender_domain, domain, $now FROM unnest($lanes::text[], $sender_domains::text[], $domains::text[])
    AS waiting (lane, sender_domain, domain)
ORDER BY lane, sender_domain, domain
ON CONFLICT (lane, sender_domain, domain) DO UPDATE
SET due_at = CASE WHEN destinations.lease IS NULL THEN least(destinations.due_at, excluded.due_at)
    ELSE destinations.due_at END
"""


async def upsert_destinations(tx: Transaction, waiting: set[tuple[Lane, str, str]]) -> None:
    """Have those who hand letters over look at these lanes, senders and receiving domains."""
    rows = sorted(waiting)
    await tx.run(
        UPSERT_DESTINATIONS,
        lanes=[row[0] for row in rows],
        sender_domains=[row[1] for row in rows],
        domains=[row[2] for row in rows],
    )


LIST_STATES = """
SELECT id, CASE state WHEN 'held' THEN 'queued' ELSE state END AS state, reason FROM email.letters
WHERE id = ANY($ids::uuid[]) LIMIT 1000
"""


async def list_states(db: Connection, ids: Sequence[UUID]) -> dict[UUID, LetterState]:
    return {state.id: state for state in await db.all(LetterState, LIST_STATES, ids=list(ids))}


UPDATE_CANCELLED = """
UPDATE email.letters SET state = 'cancelled', ended_at = $now, version = version + 1
WHERE id = ANY($ids::uuid[]) AND state IN ('queued', 'deferred', 'held')
"""


async def update_cancelled(tx: Transaction, ids: Sequence[UUID]) -> int:
    """Stop letters that nobody is handing over; return how many."""
    return await tx.run(UPDATE_CANCELLED, ids=list(ids))


_LETTER = """id, template, category, lane, locale, user_id, org_id, domain, state, reason, attempts, version, created_at,
    due_at, expires_at, ended_at"""
FIND_LETTER = "SELECT " + _LETTER + " FROM email.letters WHERE id = $letter_id"


async def find_letter(db: Connection, letter_id: LetterId) -> Guarded[Letter] | None:
    found = await db.maybe(Letter, FIND_LETTER, letter_id=letter_id)
    return None if found is None else Guarded(found, org_id=found.org_id)


LIST_LETTERS = (
    "SELECT "
    + _LETTER
    + """ FROM email.letters
    WHERE ($everywhere OR org_id = ANY($org_ids::uuid[])) AND ($org_id::uuid IS NULL OR org_id = $org_id)
        AND ($ids::uuid[] IS NULL OR id = ANY($ids)) AND ($states::text[] IS NULL OR state = ANY($states))
        AND ($before::uuid IS NULL OR id < $before)
    ORDER BY id DESC LIMIT $limit"""
)


async def list_letters(
    db: Connection,
    reach: Reach,
    *,
    org_id: OrgId | None,
    ids: list[LetterId] | None,
    states: list[Standing] | None,
    before: LetterId | None,
    limit: int,
) -> list[Letter]:
    """List letters within reach, newest first."""
    return await db.all(Letter, LIST_LETTERS, reach, org_id=org_id, ids=ids, states=states, before=before, limit=limit)


@dataclass(frozen=True, slots=True)
class Attempt:
    number: int
    outcome: str
    code: int | None
    status: str | None
    reply: str
    carrier: str | None
    made_at: datetime


LIST_ATTEMPTS = """
SELECT number, outcome, code, status, reply, carrier, made_at FROM email.attempts
WHERE letter_id = $letter_id ORDER BY number LIMIT 100
"""


async def list_attempts(db: Connection, letter_id: LetterId) -> list[Attempt]:
    return await db.all(Attempt, LIST_ATTEMPTS, letter_id=letter_id)


@dataclass(frozen=True, slots=True)
class Mailed:
    id: UUID
    template: str
    locale: str
    category: str | None
    org_id: OrgId | None
    source_id: UUID | None
    state: Standing
    sealed: bytes
    created_at: datetime


LIST_MAILED = """
SELECT id, template, locale, category, org_id, source_id, state, sealed, created_at FROM email.letters
WHERE sealed IS NOT NULL AND ($before::uuid IS NULL OR id < $before) ORDER BY id DESC LIMIT $limit
"""


async def list_mailed(db: Connection, before: UUID | None, limit: int) -> list[Mailed]:
    """List letters of everybody whose content is kept, newest first."""
    return await db.all(Mailed, LIST_MAILED, before=before, limit=limit)


DELETE_CONTENT = """
UPDATE email.letters SET sealed = NULL WHERE id = ANY(ARRAY(
    SELECT id FROM email.letters WHERE sealed IS NOT NULL AND ended_at < $before ORDER BY ended_at LIMIT $limit))
"""


async def delete_content(tx: Transaction, before: datetime, limit: int) -> int:
    """Delete addresses and words of up to `limit` letters that ended before; return how many."""
    return await tx.run(DELETE_CONTENT, before=before, limit=limit)


DELETE_LETTERS = """
DELETE FROM email.letters WHERE id = ANY(ARRAY(
    SELECT id FROM email.letters WHERE ended_at < $before ORDER BY ended_at LIMIT $limit))
"""


async def delete_letters(tx: Transaction, before: datetime, limit: int) -> int:
    return await tx.run(DELETE_LETTERS, before=before, limit=limit)


DELETE_OF_ADDRESSES = """
DELETE FROM email.letters WHERE id = ANY(ARRAY(
    SELECT id FROM email.letters
    WHERE address_hash = ANY($hashes::bytea[]) AND ($org_id::uuid IS NULL OR org_id = $org_id) LIMIT $limit))
"""


async def delete_of_addresses(tx: Transaction, hashes: list[bytes], org_id: OrgId | None, limit: int) -> int:
    """Delete letters to these addresses, waiting or not; return how many."""
    return await tx.run(DELETE_OF_ADDRESSES, hashes=hashes, org_id=org_id, limit=limit)
