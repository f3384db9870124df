"""The SQL of letters that wait because their organization is suspended.

Locks are taken in this order everywhere: destinations, letters, organizations, held letters. Nobody waits for an organization's row
while holding a lock: whoever changes it may hold several.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from api.engagement.email.contract import Lane, LetterId
from cluster.base.ids import OrgId
from cluster.data import Connection, Transaction

UPSERT_ORGANIZATION = """
INSERT INTO email.organizations AS o (org_id, suspended, version) VALUES ($org_id, $suspended, $version)
ON CONFLICT (org_id) DO UPDATE SET suspended = excluded.suspended, version = excluded.version
WHERE o.version < excluded.version
RETURNING true
"""


async def upsert_organization(tx: Transaction, org_id: OrgId, *, suspended: bool, version: int) -> bool:
    """Remember whether an organization is suspended; return False when later news came before."""
    return bool(await tx.value(UPSERT_ORGANIZATION, org_id=org_id, suspended=suspended, version=version))


FIND_SUSPENDED = "SELECT suspended FROM email.organizations WHERE org_id = $org_id"


async def find_suspended(db: Connection, org_id: OrgId) -> bool | None:
    """Find whether an organization is suspended; None: nothing was heard of it."""
    return await db.value(FIND_SUSPENDED, org_id=org_id)


@dataclass(frozen=True, slots=True)
class Suspended:
    """An organization that is suspended. `changing`: somebody is changing that just now."""

    org_id: OrgId
    changing: bool


# A row that is locked here stays as it is until COMMIT: whoever ends the suspension finds the letters that this transaction holds.
LIST_SUSPENDED = """
WITH locked AS (
    SELECT org_id FROM email.organizations WHERE org_id = ANY($org_ids::uuid[]) AND suspended FOR SHARE SKIP LOCKED
)
SELECT o.org_id, locked.org_id IS NULL AS changing FROM email.organizations o LEFT JOIN locked ON locked.org_id = o.org_id
WHERE o.org_id = ANY($org_ids::uuid[]) AND o.suspended LIMIT 10000
"""


async def list_suspended(tx: Transaction, org_ids: set[OrgId]) -> list[Suspended]:
    """List which of these organizations are suspended, and keep them so until the end of the transaction."""
    return await tx.all(Suspended, LIST_SUSPENDED, org_ids=sorted(org_ids))


UPDATE_HELD_BACK = """
WITH held AS (
    UPDATE email.letters SET state = 'held', lease = NULL, version = version + 1
    WHERE id = ANY($ids::uuid[]) AND lease = $lease AND state = 'sending' RETURNING id, org_id, expires_at
)
INSERT INTO email.held_letters (letter_id, org_id, expires_at)
SELECT id, org_id, least(expires_at, $until::timestamptz) FROM held
ON CONFLICT (letter_id) DO NOTHING
"""


async def update_held_back(tx: Transaction, ids: Sequence[LetterId], lease: UUID, until: datetime) -> None:
    """Have letters wait that were taken under a lease and not tried, until their time is over or the one given."""
    await tx.run(UPDATE_HELD_BACK, ids=list(ids), lease=lease, until=until)


FIND_HELD = "SELECT letter_id FROM email.held_letters WHERE org_id = $org_id LIMIT 1"


async def find_held(db: Connection, org_id: OrgId) -> UUID | None:
    """Find one letter of an organization that waits."""
    return await db.value(FIND_HELD, org_id=org_id)


@dataclass(frozen=True, slots=True)
class Held:
    letter_id: LetterId
    lane: Lane
    sender_domain: str
    domain: str


LIST_HELD = """
SELECT letter_id, lane, sender_domain, domain FROM email.held_letters JOIN email.letters ON letters.id = letter_id
WHERE held_letters.org_id = $org_id ORDER BY letter_id LIMIT $limit
"""


async def list_held(db: Connection, org_id: OrgId, limit: int) -> list[Held]:
    """List letters of an organization that wait, the oldest first."""
    return await db.all(Held, LIST_HELD, org_id=org_id, limit=limit)


LIST_EXPIRED = "SELECT letter_id FROM email.held_letters WHERE expires_at <= $now ORDER BY expires_at LIMIT $limit"


async def list_expired(tx: Transaction, limit: int) -> list[LetterId]:
    """List letters that wait though their time is over."""
    return [row["letter_id"] for row in await tx.rows(LIST_EXPIRED, limit=limit)]


# Without waiting for a letter: whoever stops several of them locks them in another order.
UPDATE_LET_GO = """
UPDATE email.letters SET state = CASE WHEN attempts = 0 THEN 'queued' ELSE 'deferred' END, due_at = $now, tried_since = $now,
    version = version + 1
WHERE id = ANY(ARRAY(SELECT id FROM email.letters WHERE id = ANY($ids::uuid[]) AND state = 'held' FOR UPDATE SKIP LOCKED))
"""
UPDATE_EXPIRED = """
UPDATE email.letters SET state = 'expired', ended_at = $now, version = version + 1
WHERE id = ANY(ARRAY(SELECT id FROM email.letters WHERE id = ANY($ids::uuid[]) AND state = 'held' FOR UPDATE SKIP LOCKED))
"""
DELETE_ENDED = """
DELETE FROM email.held_letters
WHERE letter_id = ANY($ids::uuid[]) AND (SELECT state FROM email.letters WHERE id = letter_id LIMIT 1) IS DISTINCT FROM 'held'
"""
DELETE_HELD = "DELETE FROM email.held_letters WHERE letter_id = ANY($ids::uuid[])"


async def update_let_go(tx: Transaction, ids: Sequence[UUID]) -> int:
    """Let letters go on that nobody else changes now, and return how many wait no more; hold their destinations first.

    They are as new: nobody tried them meanwhile.
    """
    await tx.run(UPDATE_LET_GO, ids=list(ids))
    return await tx.run(DELETE_ENDED, ids=list(ids))


async def update_expired(tx: Transaction, ids: Sequence[UUID]) -> None:
    """End letters whose time is over, but for those that somebody else changes now."""
    await tx.run(UPDATE_EXPIRED, ids=list(ids))
    await tx.run(DELETE_ENDED, ids=list(ids))


async def delete_held(tx: Transaction, ids: Sequence[UUID]) -> None:
    """Forget that letters wait which have ended otherwise."""
    await tx.run(DELETE_HELD, ids=list(ids))
