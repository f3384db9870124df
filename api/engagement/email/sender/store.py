"""The SQL of senders and their keys."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from api.engagement.email.contract import SenderId, SenderState
from api.engagement.email.sender.signing import NewKeys
from api.engagement.email.warm_up.rules import Plan, plan_of
from cluster.base.ids import OrgId
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded, Reach


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSender:
    id: SenderId
    org_id: OrgId | None
    domain: str
    mail_from: str
    name: str
    state: SenderState
    records: list[dict[str, Any]]
    generation: int
    checked_at: datetime | None
    version: int
    created_at: datetime
    plan: dict[str, Any] | None
    """How it warms up, as `Plan`."""

    @property
    def warm_up(self) -> Plan | None:
        return None if self.plan is None else plan_of(self.plan)


_SENDER = """id, org_id, domain, mail_from, name, state, records, generation, checked_at, version, created_at,
    (SELECT to_jsonb(w) - 'sender_id' FROM email.warm_ups w WHERE w.sender_id = senders.id LIMIT 1) AS plan"""
FIND_SENDER = "SELECT " + _SENDER + " FROM email.senders WHERE id = $sender_id"


async def find_sender(db: Connection, sender_id: SenderId) -> Guarded[StoredSender] | None:
    found = await db.maybe(StoredSender, FIND_SENDER, sender_id=sender_id)
    return None if found is None else Guarded(found, org_id=found.org_id)


LOCK_SENDER = FIND_SENDER + " FOR UPDATE"


async def lock_sender(tx: Transaction, sender_id: SenderId) -> StoredSender | None:
    return await tx.maybe(StoredSender, LOCK_SENDER, sender_id=sender_id)


LIST_SENDERS = (
    "SELECT "
    + _SENDER
    + """ FROM email.senders
    WHERE ($everywhere OR org_id = ANY($org_ids::uuid[])) AND ($org_id::uuid IS NULL OR org_id = $org_id)
        AND ($ids::uuid[] IS NULL OR id = ANY($ids)) AND ($before::uuid IS NULL OR id < $before)
    ORDER BY id DESC LIMIT $limit"""
)


async def list_senders(
    db: Connection,
    reach: Reach,
    *,
    org_id: OrgId | None,
    ids: list[SenderId] | None,
    before: SenderId | None,
    limit: int,
) -> list[StoredSender]:
    return await db.all(StoredSender, LIST_SENDERS, reach, org_id=org_id, ids=ids, before=before, limit=limit)


INSERT_SENDER = (
    """INSERT INTO email.senders (id, org_id, domain, mail_from, name, check_at, created_at)
    VALUES ($sender_id, $org_id, $domain, $mail_from, $name, $now, $now)
    ON CONFLICT (org_id) DO NOTHING RETURNING """
    + _SENDER
)


async def insert_sender(
    tx: Transaction, sender_id: SenderId, org_id: OrgId | None, *, domain: str, mail_from: str, name: str
) -> StoredSender | None:
    """Insert a sender; None when the organization has one."""
    return await tx.maybe(
        StoredSender, INSERT_SENDER, sender_id=sender_id, org_id=org_id, domain=domain, mail_from=mail_from, name=name
    )


INSERT_KEYS = """
INSERT INTO email.signing_keys (sender_id, generation, selector, rsa, rsa_public, ed25519, ed25519_public, created_at)
VALUES ($sender_id, $generation, $selector, $rsa, $rsa_public, $ed25519, $ed25519_public, $now)
ON CONFLICT (sender_id, generation) DO NOTHING
"""


async def insert_keys(tx: Transaction, sender_id: SenderId, generation: int, keys: NewKeys) -> None:
    await tx.run(INSERT_KEYS, keys, sender_id=sender_id, generation=generation)


@dataclass(frozen=True, slots=True)
class PublicKeys:
    generation: int
    selector: str
    rsa_public: str
    ed25519_public: str


LIST_KEYS = """
SELECT generation, selector, rsa_public, ed25519_public FROM email.signing_keys
WHERE sender_id = $sender_id AND generation >= $generation ORDER BY generation LIMIT 10
"""


async def list_keys(db: Connection, sender: StoredSender) -> list[PublicKeys]:
    """List the keys in use and those that are to replace them."""
    return await db.all(PublicKeys, LIST_KEYS, sender_id=sender.id, generation=sender.generation)


UPDATE_CHECKED = (
    """UPDATE email.senders
    SET state = $state, records = $records, generation = $generation, checked_at = $now, check_at = $check_at,
        version = version + 1
    WHERE id = $sender_id RETURNING """
    + _SENDER
)
DELETE_OLD_KEYS = "DELETE FROM email.signing_keys WHERE sender_id = $sender_id AND generation < $generation"


async def update_checked(
    tx: Transaction,
    sender_id: SenderId,
    *,
    state: SenderState,
    records: list[dict[str, Any]],
    generation: int,
    check_at: datetime,
) -> StoredSender:
    """Record what a check found, and forget keys that were replaced: what they signed is verified by DNS alone."""
    await tx.run(DELETE_OLD_KEYS, sender_id=sender_id, generation=generation)
    return await tx.one(
        StoredSender,
        UPDATE_CHECKED,
        sender_id=sender_id,
        state=state,
        records=records,
        generation=generation,
        check_at=check_at,
    )


DELETE_SENDER = "DELETE FROM email.senders WHERE id = $sender_id"


async def delete_sender(tx: Transaction, sender_id: SenderId) -> None:
    await tx.run(DELETE_SENDER, sender_id=sender_id)


TAKE_DUE = """
UPDATE email.senders SET check_at = $now::timestamptz + $hold::interval WHERE id = ANY(ARRAY(
    SELECT id FROM email.senders WHERE check_at <= $now ORDER BY check_at LIMIT $limit FOR UPDATE SKIP LOCKED))
RETURNING id
"""


async def update_taken(tx: Transaction, hold: timedelta, limit: int) -> list[SenderId]:
    """Take senders whose check is due; a worker that dies leaves them to a later one."""
    return [row["id"] for row in await tx.rows(TAKE_DUE, hold=hold, limit=limit)]


LIST_VERIFIED = """
SELECT org_id, domain FROM email.senders WHERE org_id = ANY($org_ids::uuid[]) AND state = 'verified' LIMIT 1000
"""


async def list_verified(db: Connection, org_ids: Sequence[OrgId]) -> dict[OrgId, str]:
    """Return the domains in whose name these organizations may write now."""
    return {row["org_id"]: row["domain"] for row in await db.rows(LIST_VERIFIED, org_ids=list(org_ids))}


@dataclass(frozen=True, slots=True)
class Signing:
    """A verified sender with the keys in use."""

    org_id: OrgId | None
    domain: str
    mail_from: str
    name: str
    selector: str
    rsa: bytes
    ed25519: bytes


LIST_SIGNING = """
SELECT org_id, domain, mail_from, name, selector, rsa, ed25519
FROM email.senders JOIN email.signing_keys k ON k.sender_id = senders.id AND k.generation = senders.generation
WHERE state = 'verified' AND domain = ANY($domains::text[]) LIMIT 1000
"""


async def list_signing(db: Connection, domains: Sequence[str]) -> list[Signing]:
    return await db.all(Signing, LIST_SIGNING, domains=list(domains))
