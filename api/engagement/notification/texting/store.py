"""The SQL of phones, their codes, and what text messages cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal
from uuid import UUID

from cluster.base.ids import OrgId, UserId
from cluster.data import Connection, Transaction

EndReason = Literal["stopped", "gone"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Phone:
    """A confirmed number. `ended_at`: nothing is sent there any more."""

    user_id: UserId
    number: str
    confirmed_at: datetime
    ended_at: datetime | None
    end_reason: EndReason | None


FIND_PHONE = """
SELECT user_id, number, confirmed_at, ended_at, end_reason FROM notification.phones WHERE user_id = $user_id
"""


async def find_phone(db: Connection, user_id: UserId) -> Phone | None:
    return await db.maybe(Phone, FIND_PHONE, user_id=user_id)


LIST_NUMBERS = """
SELECT user_id, number FROM notification.phones
WHERE user_id = ANY($user_ids::uuid[]) AND ended_at IS NULL LIMIT 1000
"""


async def list_numbers(db: Connection, user_ids: Sequence[UserId]) -> dict[UserId, str]:
    """Return the numbers at which these people are told; at most 1,000 people."""
    return {row["user_id"]: row["number"] for row in await db.rows(LIST_NUMBERS, user_ids=user_ids)}


UPSERT_PHONE = """
INSERT INTO notification.phones AS p (user_id, number, confirmed_at) VALUES ($user_id, $number, $now)
ON CONFLICT (user_id) DO UPDATE SET number = excluded.number, confirmed_at = excluded.confirmed_at,
    ended_at = NULL, end_reason = NULL
"""


async def upsert_phone(tx: Transaction, user_id: UserId, number: str) -> None:
    await tx.run(UPSERT_PHONE, user_id=user_id, number=number)


DELETE_PHONE = "DELETE FROM notification.phones WHERE user_id = $user_id"


async def delete_phone(tx: Transaction, user_id: UserId) -> None:
    await tx.run(DELETE_PHONE, user_id=user_id)


UPDATE_ENDED_NUMBER = """
UPDATE notification.phones SET ended_at = $now, end_reason = $reason WHERE number = $number AND ended_at IS NULL
"""


async def update_ended_number(tx: Transaction, number: str, reason: str) -> None:
    """Send nothing more to a number, whoever it belongs to."""
    await tx.run(UPDATE_ENDED_NUMBER, number=number, reason=reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class SentCodes:
    """How many codes were sent lately, and when the person got the last one."""

    of_person: int
    of_number: int
    last_at: datetime | None


COUNT_CODES = """
SELECT count(*) FILTER (WHERE user_id = $user_id) AS of_person, count(*) FILTER (WHERE number = $number) AS of_number,
    max(created_at) FILTER (WHERE user_id = $user_id) AS last_at
FROM notification.phone_codes WHERE (user_id = $user_id OR number = $number) AND created_at > $since
"""


async def count_codes(tx: Transaction, user_id: UserId, number: str, since: datetime) -> SentCodes:
    return await tx.one(SentCodes, COUNT_CODES, user_id=user_id, number=number, since=since)


UPDATE_CLOSED = "UPDATE notification.phone_codes SET closed = true WHERE user_id = $user_id AND NOT closed"


async def update_closed(tx: Transaction, user_id: UserId) -> None:
    """Let no earlier code of a person count any more."""
    await tx.run(UPDATE_CLOSED, user_id=user_id)


INSERT_CODE = """
INSERT INTO notification.phone_codes (id, user_id, number, code_mac, created_at)
VALUES ($id, $user_id, $number, $code_mac, $now)
"""


async def insert_code(tx: Transaction, id: UUID, user_id: UserId, number: str, code_mac: bytes) -> None:
    await tx.run(INSERT_CODE, id=id, user_id=user_id, number=number, code_mac=code_mac)


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    id: UUID
    number: str
    code_mac: bytes


COUNT_TRY = """
UPDATE notification.phone_codes SET tries = tries + 1
WHERE user_id = $user_id AND NOT closed AND created_at > $since AND tries < $most RETURNING id, number, code_mac
"""


async def count_try(db: Connection, user_id: UserId, since: datetime, most: int) -> Code | None:
    """Count a try at the code that is open, and return it; None: there is none, or it was tried too often."""
    return await db.maybe(Code, COUNT_TRY, user_id=user_id, since=since, most=most)


UPDATE_USED = "UPDATE notification.phone_codes SET closed = true WHERE id = $id AND NOT closed"


async def update_used(tx: Transaction, id: UUID) -> bool:
    """Use a code up; False: it does not count any more."""
    return await tx.run(UPDATE_USED, id=id) > 0


FIND_PENDING = """
SELECT number FROM notification.phone_codes
WHERE user_id = $user_id AND NOT closed AND created_at > $since ORDER BY created_at DESC LIMIT 1
"""


async def find_pending(db: Connection, user_id: UserId, since: datetime) -> str | None:
    """Return the number whose code is awaited."""
    return await db.value(FIND_PENDING, user_id=user_id, since=since)


UPSERT_SPENDING = """
INSERT INTO notification.text_spending AS s (month, org_id, segments)
SELECT $month::date, $org_id::uuid, $segments::bigint WHERE $segments::bigint <= $most::bigint
ON CONFLICT (month, org_id) DO UPDATE SET segments = s.segments + excluded.segments
WHERE s.segments + excluded.segments <= $most::bigint
"""


async def upsert_spending(tx: Transaction, org_id: OrgId | None, month: date, segments: int, most: int) -> bool:
    """Count segments for an organization; False: it may not send so many more this month."""
    return await tx.run(UPSERT_SPENDING, org_id=org_id, month=month, segments=segments, most=most) > 0


UPDATE_SPENDING = """
UPDATE notification.text_spending SET segments = segments - $segments
WHERE month = $month AND org_id IS NOT DISTINCT FROM $org_id
"""


async def update_spending(tx: Transaction, org_id: OrgId | None, month: date, segments: int) -> None:
    """Count segments no more that were not sent."""
    await tx.run(UPDATE_SPENDING, org_id=org_id, month=month, segments=segments)


DELETE_OLD_CODES = """
DELETE FROM notification.phone_codes WHERE id IN (
    SELECT id FROM notification.phone_codes WHERE created_at < $before ORDER BY created_at LIMIT $limit
    FOR UPDATE SKIP LOCKED)
"""
DELETE_ENDED_PHONES = """
DELETE FROM notification.phones WHERE user_id IN (
    SELECT user_id FROM notification.phones WHERE ended_at < $before ORDER BY ended_at LIMIT $limit
    FOR UPDATE SKIP LOCKED)
"""


async def delete_old_codes(tx: Transaction, before: datetime, limit: int) -> int:
    return await tx.run(DELETE_OLD_CODES, before=before, limit=limit)


async def delete_ended_phones(tx: Transaction, before: datetime, limit: int) -> int:
    return await tx.run(DELETE_ENDED_PHONES, before=before, limit=limit)
