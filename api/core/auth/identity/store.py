"""The SQL of identities."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from api.core.auth.contract import IdentityId
from cluster.base.ids import UserId
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The address and the password of a person. `subject` is the address as it is compared."""

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

    @property
    def email_verified(self) -> bool:
        return self.email_verified_at is not None


_IDENTITY = "id, user_id, issuer, subject, email, email_verified_at, secret_hash, version, created_at, changed_at"

# A conflict waits until the other transaction commits, so that no row means: the address has an identity.
INSERT_IDENTITY = (
    """INSERT INTO auth.identities (id, user_id, issuer, subject, email, secret_hash, created_at, changed_at)
    VALUES ($identity_id, $user_id, 'password', $subject, $email, $secret_hash, $now, $now)
    ON CONFLICT (issuer, subject) DO NOTHING
    RETURNING """
    + _IDENTITY
)


async def insert_identity(
    tx: Transaction, identity_id: IdentityId, user_id: UserId, *, subject: str, email: str, secret_hash: str
) -> Identity | None:
    """Insert an identity; None when the address has one."""
    return await tx.maybe(
        Identity,
        INSERT_IDENTITY,
        identity_id=identity_id,
        user_id=user_id,
        subject=subject,
        email=email,
        secret_hash=secret_hash,
    )


FIND_IDENTITY_BY_SUBJECT = (
    "SELECT " + _IDENTITY + " FROM auth.identities WHERE issuer = 'password' AND subject = $subject"
)


async def find_identity_by_subject(db: Connection, subject: str) -> Identity | None:
    return await db.maybe(Identity, FIND_IDENTITY_BY_SUBJECT, subject=subject)


FIND_IDENTITY = "SELECT " + _IDENTITY + " FROM auth.identities WHERE user_id = $user_id AND issuer = 'password'"


async def find_identity(db: Connection, user_id: UserId) -> Guarded[Identity] | None:
    identity = await db.maybe(Identity, FIND_IDENTITY, user_id=user_id)
    return None if identity is None else Guarded(identity, owner_id=identity.user_id)


LOCK_IDENTITY = FIND_IDENTITY + " FOR UPDATE"


async def lock_identity(tx: Transaction, user_id: UserId) -> Identity | None:
    return await tx.maybe(Identity, LOCK_IDENTITY, user_id=user_id)


UPDATE_IDENTITY = (
    """UPDATE auth.identities
    SET subject = $subject, email = $email, email_verified_at = $email_verified_at, secret_hash = $secret_hash,
        version = version + 1, changed_at = $now
    WHERE id = $id RETURNING """
    + _IDENTITY
)


async def update_identity(tx: Transaction, identity: Identity) -> Identity:
    """Store the address and the password, and return the identity with its new version.

    Raises:
        asyncpg.UniqueViolationError: another identity has the address.
    """
    return await tx.one(Identity, UPDATE_IDENTITY, identity)


UPDATE_HASH = """
UPDATE auth.identities SET secret_hash = $renewed WHERE user_id = $user_id AND secret_hash = $present
"""


async def update_hash(db: Connection, user_id: UserId, *, present: str, renewed: str) -> None:
    """Replace the hash of a password by another of the same password, unless the password was changed meanwhile."""
    await db.run(UPDATE_HASH, user_id=user_id, present=present, renewed=renewed)


DELETE_IDENTITY = """
WITH tokens AS (DELETE FROM auth.mail_tokens WHERE user_id = $user_id),
    mails AS (DELETE FROM auth.mails WHERE user_id = $user_id)
DELETE FROM auth.identities WHERE user_id = $user_id
"""


async def delete_identity(tx: Transaction, user_id: UserId) -> None:
    """Delete the identities of a person, with the mails and links to them."""
    await tx.run(DELETE_IDENTITY, user_id=user_id)


LIST_PEOPLE = """
SELECT DISTINCT user_id FROM auth.identities
WHERE created_at < $until AND ($after::uuid IS NULL OR user_id > $after) ORDER BY user_id LIMIT $limit
"""


async def list_people(db: Connection, after: UserId | None, until: datetime, limit: int) -> list[UserId]:
    """List people whose identity was made before `until`, in the order of their ids."""
    return [row["user_id"] for row in await db.rows(LIST_PEOPLE, after=after, until=until, limit=limit)]


FIND_PEOPLE = """
SELECT subject, user_id FROM auth.identities
WHERE issuer = 'password' AND subject = ANY($subjects::text[]) AND email_verified_at IS NOT NULL LIMIT 1000
"""


async def find_people(db: Connection, subjects: Sequence[str]) -> dict[str, UserId]:
    """Return the owner of each of these verified addresses, which are given as they are compared."""
    return {row["subject"]: row["user_id"] for row in await db.rows(FIND_PEOPLE, subjects=subjects)}
