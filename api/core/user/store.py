"""One function per statement on the schema user."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from api.core.user.contract import Profile, SignUpTakenOver
from cluster.base.ids import UserId
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    id: UserId
    email: str | None
    email_verified: bool
    name: str
    locale: str
    time_zone: str
    pronouns: str | None
    accessibility: dict[str, Any]
    version: int
    created_at: datetime
    updated_at: datetime


FIND_USER = """
SELECT id, email, email_verified, name, locale, time_zone, pronouns, accessibility, version, created_at, updated_at
FROM "user".users WHERE id = $1 AND state = 'active'
"""


async def find_user(db: Connection, user_id: UserId) -> Guarded[User] | None:
    user = await db.maybe(User, FIND_USER, user_id)
    return None if user is None else Guarded(user, owner_id=user.id)


LOCK_USER = """
SELECT id, email, email_verified, name, locale, time_zone, pronouns, accessibility, version, created_at, updated_at
FROM "user".users WHERE id = $1 AND state = 'active' FOR UPDATE
"""


async def lock_user(tx: Transaction, user_id: UserId) -> User | None:
    return await tx.maybe(User, LOCK_USER, user_id)


EXISTS = "SELECT EXISTS (SELECT FROM \"user\".users WHERE id = $1 AND state = 'active')"


async def exists(db: Connection, user_id: UserId) -> bool:
    return await db.value(EXISTS, user_id)


ACTIVE = "SELECT id FROM \"user\".users WHERE id = ANY($1::uuid[]) AND state = 'active' LIMIT 1000"


async def list_active(db: Connection, ids: list[UserId]) -> set[UserId]:
    """Return which of these people have a profile."""
    return {row["id"] for row in await db.rows(ACTIVE, ids)}


INSERT_USER = """
INSERT INTO "user".users (id, email, name, locale, state, created_at, updated_at) VALUES ($1, $2, $3, $4, 'active', $5, $5)
RETURNING id, email, email_verified, name, locale, time_zone, pronouns, accessibility, version, created_at, updated_at
"""


async def insert_user(tx: Transaction, id: UserId, *, email: str, name: str, locale: str) -> User:
    """Store a profile.

    Raises:
        SignUpTakenOver: somebody else finished or took over this sign-up.
    """
    try:
        return await tx.one(User, INSERT_USER, id, email, name, locale, tx.now)
    except asyncpg.UniqueViolationError:
        raise SignUpTakenOver("sign in, or have a link to a new password mailed to you", pointer="/email") from None


ABANDON = """
INSERT INTO "user".users (id, state, created_at, updated_at) VALUES ($1, 'abandoned', $2, $2)
ON CONFLICT (id) DO UPDATE SET state = 'abandoned' WHERE users.state = 'abandoned'
"""


async def abandon(tx: Transaction, id: UserId) -> bool:
    """Keep a sign-up that broke off from ever becoming a profile; False when it has become one."""
    return await tx.run(ABANDON, id, tx.now) == 1


UPDATE_USER = """
UPDATE "user".users
SET name = $2, locale = $3, time_zone = $4, pronouns = $5, accessibility = $6, version = version + 1, updated_at = $7
WHERE id = $1
RETURNING id, email, email_verified, name, locale, time_zone, pronouns, accessibility, version, created_at, updated_at
"""


async def update_user(
    tx: Transaction,
    id: UserId,
    *,
    name: str,
    locale: str,
    time_zone: str,
    pronouns: str | None,
    accessibility: dict[str, Any],
) -> User:
    return await tx.one(User, UPDATE_USER, id, name, locale, time_zone, pronouns, accessibility, tx.now)


UPDATE_ADDRESS = """
UPDATE "user".users SET email = $2, email_verified = $3, version = version + 1, updated_at = $4
WHERE id = $1 AND state = 'active' AND (email IS DISTINCT FROM $2 OR email_verified <> $3)
RETURNING id, email, email_verified, name, locale, time_zone, pronouns, accessibility, version, created_at, updated_at
"""


async def update_address(tx: Transaction, id: UserId, *, email: str | None, verified: bool) -> User | None:
    """Copy what auth holds; None when it is what stands here."""
    return await tx.maybe(User, UPDATE_ADDRESS, id, email, verified, tx.now)


PROFILES = """
SELECT id, name, locale, time_zone FROM "user".users WHERE id = ANY($1::uuid[]) AND state = 'active' LIMIT 1000
"""


async def list_profiles(db: Connection, ids: list[UserId]) -> list[Profile]:
    return await db.all(Profile, PROFILES, ids)


LIST_USERS = """
SELECT id, email, email_verified, name, locale, time_zone, pronouns, accessibility, version, created_at, updated_at
FROM "user".users
WHERE state = 'active' AND ($1::uuid[] IS NULL OR id = ANY($1)) AND ($2::text IS NULL OR lower(email) = lower($2))
    AND ($3::uuid IS NULL OR id < $3)
ORDER BY id DESC LIMIT $4
"""


async def list_users(
    db: Connection, *, ids: list[UUID] | None, email: str | None, after: UUID | None, limit: int
) -> list[User]:
    return await db.all(User, LIST_USERS, ids, email, after, limit)
