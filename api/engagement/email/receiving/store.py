"""The SQL of received mail."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from api.engagement.email.contract import LetterId, ReceivedId, State
from api.engagement.email.delivery.store import Recorded
from cluster.base.ids import OrgId, UserId
from cluster.data import Connection, Transaction


@dataclass(frozen=True, slots=True)
class Answerable:
    """A letter to a person that may be answered by mail."""

    id: LetterId
    reply_route: str
    reply_subject: UUID
    reply_until: datetime | None
    user_id: UserId
    org_id: OrgId | None
    address_hash: bytes
    locale: str


FIND_ANSWERABLE = """
SELECT id, reply_route, reply_subject, reply_until, user_id, org_id, address_hash, locale FROM email.letters
WHERE id = $letter_id AND reply_route = $route AND user_id IS NOT NULL
"""


async def find_answerable(db: Connection, letter_id: UUID, route: str) -> Answerable | None:
    return await db.maybe(Answerable, FIND_ANSWERABLE, letter_id=letter_id, route=route)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewReceived:
    id: ReceivedId
    digest: bytes
    message_key: bytes | None
    letter_id: LetterId
    route: str
    subject_id: UUID
    user_id: UserId
    org_id: OrgId | None
    state: str
    reason: str | None
    sealed: bytes | None


INSERT_RECEIVED = """
INSERT INTO email.received (
    id, digest, message_key, letter_id, route, subject_id, user_id, org_id, state, reason, sealed, received_at)
VALUES ($id, $digest, $message_key, $letter_id, $route, $subject_id, $user_id, $org_id, $state, $reason, $sealed, $now)
ON CONFLICT DO NOTHING
"""


async def insert_received(tx: Transaction, received: NewReceived) -> bool:
    """Insert a message; False when it came before."""
    return await tx.run(INSERT_RECEIVED, received) == 1


COUNT_HELD = """
SELECT count(*) FROM (
    SELECT 1 FROM email.received WHERE user_id = $user_id AND letter_id = $letter_id AND state = 'held' LIMIT 100) AS held
"""


async def count_held(db: Connection, user_id: UserId, letter_id: LetterId) -> int:
    """Count the answers to a letter that were not proven."""
    return await db.value(COUNT_HELD, user_id=user_id, letter_id=letter_id)


@dataclass(frozen=True, slots=True)
class Received:
    id: ReceivedId
    route: str
    subject_id: UUID
    user_id: UserId
    org_id: OrgId | None
    sealed: bytes
    received_at: datetime


FIND_RECEIVED = """
SELECT id, route, subject_id, user_id, org_id, sealed, received_at FROM email.received
WHERE id = $received_id AND state = 'accepted' AND sealed IS NOT NULL
"""


async def find_received(db: Connection, received_id: ReceivedId) -> Received | None:
    return await db.maybe(Received, FIND_RECEIVED, received_id=received_id)


LOCK_LETTER = "SELECT state FROM email.letters WHERE id = $letter_id FOR UPDATE"


async def lock_letter(tx: Transaction, letter_id: UUID) -> State | None:
    """Return where a letter stands, after whoever changes it now has committed; None: there is none."""
    return await tx.value(LOCK_LETTER, letter_id=letter_id)


# What is `deferred` may have been taken by a server whose answer was lost.
_TOLD = "id, template, org_id, user_id, address_hash, state, soft, version"
UPDATE_BOUNCED = (
    """UPDATE email.letters SET state = 'bounced', soft = $soft, reason = $reason, version = version + 1, ended_at = $now
    WHERE id = $letter_id AND state IN ('sent', 'delivered', 'deferred')
    RETURNING """
    + _TOLD
    + ", $status::text AS status"
)


async def update_bounced(tx: Transaction, letter_id: UUID, *, soft: bool, status: str, reason: str) -> Recorded | None:
    """Record that a letter came back; None when that is known, or it was never handed over."""
    return await tx.maybe(Recorded, UPDATE_BOUNCED, letter_id=letter_id, soft=soft, status=status, reason=reason)


UPDATE_COMPLAINED = (
    """UPDATE email.letters SET state = 'complained', version = version + 1, ended_at = coalesce(ended_at, $now)
    WHERE id = $letter_id AND state IN ('sent', 'delivered', 'deferred')
    RETURNING """
    + _TOLD
    + ", NULL::text AS status"
)


async def update_complained(tx: Transaction, letter_id: UUID) -> Recorded | None:
    """Record that a letter's reader called it spam; None when that is known."""
    return await tx.maybe(Recorded, UPDATE_COMPLAINED, letter_id=letter_id)


UPDATE_DELIVERED = """
UPDATE email.letters SET state = 'delivered', version = version + 1, ended_at = coalesce(ended_at, $now)
WHERE id = $letter_id AND state IN ('sent', 'deferred')
"""


async def update_delivered(tx: Transaction, letter_id: UUID) -> None:
    await tx.run(UPDATE_DELIVERED, letter_id=letter_id)


DELETE_WORDS = """
UPDATE email.received SET sealed = NULL WHERE id = ANY(ARRAY(
    SELECT id FROM email.received WHERE sealed IS NOT NULL AND received_at < $before ORDER BY received_at LIMIT $limit))
"""


async def delete_words(tx: Transaction, before: datetime, limit: int) -> int:
    """Delete the words of messages that came before; return how many."""
    return await tx.run(DELETE_WORDS, before=before, limit=limit)


DELETE_RECEIVED = """
DELETE FROM email.received WHERE id = ANY(ARRAY(
    SELECT id FROM email.received WHERE received_at < $before ORDER BY received_at LIMIT $limit))
"""


async def delete_received(tx: Transaction, before: datetime, limit: int) -> int:
    return await tx.run(DELETE_RECEIVED, before=before, limit=limit)
