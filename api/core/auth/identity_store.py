"""One function per statement on the schema auth: identities, mailed links and the letters with them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from api.core.auth.contract import EmailTaken, IdentityId
from cluster.base.ids import UserId
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded

PASSWORD = "password"  # noqa: S105 (the issuer of identities that have one)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    id: IdentityId
    user_id: UserId
    issuer: str
    subject: str
    email: str | None
    email_verified_at: datetime | None
    secret_hash: str | None
    version: int
    created_at: datetime
    changed_at: datetime


# Nothing is returned when the address has an identity: ours waits for a twin's commit before it knows.
INSERT_IDENTITY = """
INSERT INTO auth.identities (id, user_id, issuer, subject, email, secret_hash, created_at, changed_at)
VALUES ($1, $2, 'password', $3, $4, $5, $6, $6)
ON CONFLICT (issuer, subject) DO NOTHING
RETURNING id, user_id, issuer, subject, email, email_verified_at, secret_hash, version, created_at, changed_at
"""


async def insert_identity(
    tx: Transaction, id: IdentityId, user_id: UserId, *, subject: str, email: str, secret_hash: str
) -> Identity | None:
    return await tx.maybe(Identity, INSERT_IDENTITY, id, user_id, subject, email, secret_hash, tx.now)


FIND_BY_SUBJECT = """
SELECT id, user_id, issuer, subject, email, email_verified_at, secret_hash, version, created_at, changed_at
FROM auth.identities WHERE issuer = 'password' AND subject = $1
"""


async def find_by_subject(db: Connection, subject: str) -> Identity | None:
    return await db.maybe(Identity, FIND_BY_SUBJECT, subject)


FIND_OF_USER = """
SELECT id, user_id, issuer, subject, email, email_verified_at, secret_hash, version, created_at, changed_at
FROM auth.identities WHERE user_id = $1 AND issuer = 'password'
"""


async def find_of_user(db: Connection, user_id: UserId) -> Guarded[Identity] | None:
    identity = await db.maybe(Identity, FIND_OF_USER, user_id)
    return None if identity is None else Guarded(identity, owner_id=identity.user_id)


LOCK_OF_USER = """
SELECT id, user_id, issuer, subject, email, email_verified_at, secret_hash, version, created_at, changed_at
FROM auth.identities WHERE user_id = $1 AND issuer = 'password' FOR UPDATE
"""


async def lock_of_user(tx: Transaction, user_id: UserId) -> Identity | None:
    return await tx.maybe(Identity, LOCK_OF_USER, user_id)


UPDATE_IDENTITY = """
UPDATE auth.identities
SET subject = $2, email = $3, email_verified_at = $4, secret_hash = $5, version = version + 1, changed_at = $6
WHERE id = $1
RETURNING id, user_id, issuer, subject, email, email_verified_at, secret_hash, version, created_at, changed_at
"""


async def update_identity(
    tx: Transaction,
    id: IdentityId,
    *,
    subject: str,
    email: str | None,
    email_verified_at: datetime | None,
    secret_hash: str | None,
) -> Identity:
    """Store what changed.

    Raises:
        EmailTaken
    """
    try:
        return await tx.one(Identity, UPDATE_IDENTITY, id, subject, email, email_verified_at, secret_hash, tx.now)
    except asyncpg.UniqueViolationError:
        raise EmailTaken("another account has this address by now", pointer="/email") from None


DELETE_OF_USER = """
WITH tokens AS (DELETE FROM auth.mail_tokens WHERE user_id = $1), mails AS (DELETE FROM auth.mails WHERE user_id = $1)
DELETE FROM auth.identities WHERE user_id = $1
"""


async def delete_of_user(tx: Transaction, user_id: UserId) -> None:
    await tx.run(DELETE_OF_USER, user_id)


LIST_PEOPLE = """
SELECT DISTINCT user_id FROM auth.identities
WHERE created_at < $2 AND ($1::uuid IS NULL OR user_id > $1) ORDER BY user_id LIMIT $3
"""


async def list_people(db: Connection, after: UserId | None, until: datetime, limit: int) -> list[UserId]:
    return [row["user_id"] for row in await db.rows(LIST_PEOPLE, after, until, limit)]


# A new link of a kind takes the older ones' place: only the last letter works. Beyond what an hour may bring the last one stays.
# Twins may pass the count by one or two; it keeps a mailbox usable, nothing hangs on it.
INSERT_LINK = """
WITH allowed AS (
    SELECT WHERE $10::int > (
        SELECT count(*) FROM auth.mails
        WHERE user_id = $2 AND purpose = $3 AND created_at > $6::timestamptz - interval '1 hour')
), letter AS (
    INSERT INTO auth.mails (id, user_id, purpose, sealed, created_at) SELECT $8::uuid, $2::uuid, $3, $9::bytea, $6 FROM allowed
), older AS (
    DELETE FROM auth.mail_tokens WHERE user_id = $2 AND purpose = $3 AND used_at IS NULL AND EXISTS (SELECT FROM allowed)
)
INSERT INTO auth.mail_tokens (token_sha256, user_id, purpose, email, subject, created_at, expires_at)
SELECT $1::bytea, $2, $3::text, $4::text, $5::text, $6, $7::timestamptz FROM allowed
"""


async def insert_link(
    tx: Transaction,
    token_sha256: bytes,
    user_id: UserId,
    *,
    purpose: str,
    email: str,
    subject: str,
    expires_at: datetime,
    mail_id: UUID,
    sealed: bytes,
    at_most: int,
) -> bool:
    """Store a link and its letter; False when the person was sent `at_most` of the kind within the hour."""
    args = (token_sha256, user_id, purpose, email, subject, tx.now, expires_at, mail_id, sealed, at_most)
    return await tx.run(INSERT_LINK, *args) == 1


DELETE_LINKS = "DELETE FROM auth.mail_tokens WHERE user_id = $1 AND purpose = $2 AND used_at IS NULL"


async def delete_links(tx: Transaction, user_id: UserId, purpose: str) -> None:
    """Let no mailed link of this kind work any more."""
    await tx.run(DELETE_LINKS, user_id, purpose)


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    token_sha256: bytes
    user_id: UserId
    purpose: str
    email: str
    subject: str
    expires_at: datetime
    used_at: datetime | None


FIND_LINK = """
SELECT token_sha256, user_id, purpose, email, subject, expires_at, used_at FROM auth.mail_tokens WHERE token_sha256 = $1
"""


async def find_link(db: Connection, token_sha256: bytes) -> Link | None:
    return await db.maybe(Link, FIND_LINK, token_sha256)


LOCK_LINK = """
SELECT token_sha256, user_id, purpose, email, subject, expires_at, used_at
FROM auth.mail_tokens WHERE token_sha256 = $1 FOR UPDATE
"""


async def lock_link(tx: Transaction, token_sha256: bytes) -> Link | None:
    return await tx.maybe(Link, LOCK_LINK, token_sha256)


USE_LINK = "UPDATE auth.mail_tokens SET used_at = $2 WHERE token_sha256 = $1"


async def use_link(tx: Transaction, token_sha256: bytes) -> None:
    await tx.run(USE_LINK, token_sha256, tx.now)


@dataclass(frozen=True, slots=True)
class StoredMail:
    id: UUID
    sealed: bytes
    created_at: datetime


LIST_MAILS = """
SELECT id, sealed, created_at FROM auth.mails WHERE $1::uuid IS NULL OR id < $1 ORDER BY id DESC LIMIT $2
"""


async def list_mails(db: Connection, after: UUID | None, limit: int) -> list[StoredMail]:
    return await db.all(StoredMail, LIST_MAILS, after, limit)


FIND_PEOPLE = """
SELECT subject, user_id FROM auth.identities
WHERE issuer = 'password' AND subject = ANY($keys::text[]) AND email_verified_at IS NOT NULL
"""


async def find_people(db: Connection, keys: Sequence[str]) -> dict[str, UserId]:
    """Return who owns each of these verified addresses, by the text that addresses are compared by."""
    return {row["subject"]: row["user_id"] for row in await db.rows(FIND_PEOPLE, keys=keys)}
