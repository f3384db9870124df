"""The SQL of suppressions."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from api.engagement.email.contract import LetterId, SuppressionId, SuppressionReason
from cluster.base.ids import OrgId, UserId
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded, Reach


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSuppression:
    id: SuppressionId
    address_hash: bytes
    reason: SuppressionReason | Literal["manual"]
    category: str | None
    org_id: OrgId | None
    letter_id: UUID | None
    status: str | None
    caused_in: OrgId | None


INSERT_SUPPRESSION = """
INSERT INTO email.suppressions (id, address_hash, reason, category, org_id, letter_id, status, caused_in, created_at)
VALUES ($id, $address_hash, $reason, $category, $org_id, $letter_id, $status, $caused_in, $now)
ON CONFLICT (address_hash, reason, org_id, category) DO NOTHING
"""


async def insert_suppression(tx: Transaction, suppression: NewSuppression) -> bool:
    """Insert a suppression; False when the address has it."""
    return await tx.run(INSERT_SUPPRESSION, suppression) == 1


DELETE_UNSUBSCRIPTIONS = """
DELETE FROM email.suppressions
WHERE address_hash = ANY($hashes::bytea[]) AND reason = 'unsubscribed' AND category = $category
    AND org_id IS NOT DISTINCT FROM $org_id::uuid
"""


async def delete_unsubscriptions(tx: Transaction, hashes: list[bytes], org_id: OrgId | None, category: str) -> None:
    await tx.run(DELETE_UNSUBSCRIPTIONS, hashes=hashes, org_id=org_id, category=category)


@dataclass(frozen=True, slots=True)
class Unsubscribable:
    """A letter of a kind that its reader can give up."""

    id: LetterId
    template: str
    category: str
    locale: str
    user_id: UserId | None
    org_id: OrgId | None
    address_hash: bytes


FIND_UNSUBSCRIBABLE = """
SELECT id, template, category, locale, user_id, org_id, address_hash FROM email.letters
WHERE id = $letter_id AND category IS NOT NULL
"""


async def find_unsubscribable(db: Connection, letter_id: UUID) -> Unsubscribable | None:
    return await db.maybe(Unsubscribable, FIND_UNSUBSCRIBABLE, letter_id=letter_id)


UPDATE_UNSUBSCRIBED = "UPDATE email.letters SET version = version + 1 WHERE id = $letter_id RETURNING version"


async def update_unsubscribed(tx: Transaction, letter_id: LetterId) -> int | None:
    """Count a letter's change and return its version; None when it is deleted."""
    return await tx.value(UPDATE_UNSUBSCRIBED, letter_id=letter_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppression:
    id: SuppressionId
    org_id: OrgId | None
    """The organization whose letters it stops, or whose letter stopped those of all."""
    everywhere: bool
    reason: SuppressionReason | Literal["manual"]
    category: str | None
    status: str | None
    letter_id: UUID | None
    created_at: datetime


_SUPPRESSION = """id, coalesce(org_id, caused_in) AS org_id, org_id IS NULL AND category IS NULL AS everywhere, reason, category,
    status, letter_id, created_at"""
FIND_SUPPRESSION = "SELECT " + _SUPPRESSION + " FROM email.suppressions WHERE id = $suppression_id"


async def find_suppression(db: Connection, suppression_id: SuppressionId) -> Guarded[Suppression] | None:
    found = await db.maybe(Suppression, FIND_SUPPRESSION, suppression_id=suppression_id)
    return None if found is None else Guarded(found, org_id=found.org_id)


FIND_MANUAL = (
    "SELECT "
    + _SUPPRESSION
    + """ FROM email.suppressions
    WHERE address_hash = $address_hash AND reason = 'manual' AND org_id = $org_id AND category IS NULL"""
)


async def find_manual(db: Connection, address_hash: bytes, org_id: OrgId) -> Suppression | None:
    """Find that an organization's staff stopped letters to an address."""
    return await db.maybe(Suppression, FIND_MANUAL, address_hash=address_hash, org_id=org_id)


UPSERT_MANUAL = (
    """INSERT INTO email.suppressions AS s (id, address_hash, reason, org_id, created_at)
    VALUES ($id, $address_hash, $reason, $org_id, $now)
    ON CONFLICT (address_hash, reason, org_id, category) DO UPDATE SET created_at = s.created_at
    RETURNING """
    + _SUPPRESSION
)


async def upsert_manual(tx: Transaction, new: NewSuppression) -> tuple[Suppression, bool]:
    """Return what stops letters to the address now, and whether it is new."""
    stands = await tx.one(Suppression, UPSERT_MANUAL, new)
    return stands, stands.id == new.id and stands.created_at == tx.now


LIST_SUPPRESSIONS = (
    "SELECT "
    + _SUPPRESSION
    + """ FROM email.suppressions
    WHERE ($everywhere OR coalesce(org_id, caused_in) = ANY($org_ids::uuid[]))
        AND ($org_id::uuid IS NULL OR coalesce(org_id, caused_in) = $org_id)
        AND ($ids::uuid[] IS NULL OR id = ANY($ids)) AND ($hashes::bytea[] IS NULL OR address_hash = ANY($hashes))
        AND ($before::uuid IS NULL OR id < $before)
    ORDER BY id DESC LIMIT $limit"""
)


async def list_suppressions(
    db: Connection,
    reach: Reach,
    *,
    org_id: OrgId | None,
    ids: list[SuppressionId] | None,
    hashes: list[bytes] | None,
    before: SuppressionId | None,
    limit: int,
) -> list[Suppression]:
    return await db.all(
        Suppression, LIST_SUPPRESSIONS, reach, org_id=org_id, ids=ids, hashes=hashes, before=before, limit=limit
    )


DELETE_SUPPRESSION = "DELETE FROM email.suppressions WHERE id = $suppression_id"


async def delete_suppression(tx: Transaction, suppression_id: SuppressionId) -> bool:
    """Delete a suppression; False when somebody did before."""
    return await tx.run(DELETE_SUPPRESSION, suppression_id=suppression_id) == 1
