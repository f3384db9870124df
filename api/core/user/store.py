"""The SQL of profiles."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from api.core.user.contract import Profile
from api.core.user.rules import MODERATED_FIELDS, NAME_REMOVED
from api.media.media.contract import AssetId
from api.platform.moderation.contract import Content
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
    avatar_asset_id: AssetId | None
    version: int
    created_at: datetime
    updated_at: datetime

    @property
    def avatar_url(self) -> str | None:
        return None if self.avatar_asset_id is None else f"/v1/assets/{self.avatar_asset_id}/content"


_USER = """id, email, email_verified, name, locale, time_zone, pronouns, accessibility, avatar_asset_id, version, created_at,
    updated_at"""

FIND_USER = "SELECT " + _USER + """ FROM "user".users WHERE id = $user_id AND state = 'active'"""


async def find_user(db: Connection, user_id: UserId) -> Guarded[User] | None:
    user = await db.maybe(User, FIND_USER, user_id=user_id)
    return None if user is None else Guarded(user, owner_id=user.id)


LOCK_USER = FIND_USER + " FOR UPDATE"


async def lock_user(tx: Transaction, user_id: UserId) -> User | None:
    return await tx.maybe(User, LOCK_USER, user_id=user_id)


LIST_ACTIVE = "SELECT id FROM \"user\".users WHERE id = ANY($user_ids::uuid[]) AND state = 'active' LIMIT 1000"


async def list_active(db: Connection, user_ids: list[UserId]) -> set[UserId]:
    """Return those of these people that have a profile."""
    return {row["id"] for row in await db.rows(LIST_ACTIVE, user_ids=user_ids)}


INSERT_USER = (
    """INSERT INTO "user".users (id, email, name, locale, state, created_at, updated_at)
    VALUES ($user_id, $email, $name, $locale, 'active', $now, $now)
    ON CONFLICT (id) DO NOTHING RETURNING """
    + _USER
)


async def insert_user(tx: Transaction, user_id: UserId, *, email: str, name: str, locale: str) -> User | None:
    """Insert a profile; None when somebody else finished or took over this sign-up."""
    return await tx.maybe(User, INSERT_USER, user_id=user_id, email=email, name=name, locale=locale)


UPSERT_ABANDONED = """
INSERT INTO "user".users (id, state, created_at, updated_at) VALUES ($user_id, 'abandoned', $now, $now)
ON CONFLICT (id) DO UPDATE SET state = 'abandoned' WHERE users.state = 'abandoned'
"""


async def upsert_abandoned(tx: Transaction, user_id: UserId) -> bool:
    """Prevent a sign-up that broke off from ever becoming a profile; False when it has become one."""
    return await tx.run(UPSERT_ABANDONED, user_id=user_id) == 1


UPDATE_USER = (
    """UPDATE "user".users
    SET hidden_name = CASE WHEN name = $name THEN hidden_name END,
        hidden_pronouns = CASE WHEN name = $name THEN hidden_pronouns END, name = $name, locale = $locale,
        time_zone = $time_zone, pronouns = $pronouns, accessibility = $accessibility,
        version = version + 1, updated_at = $now
    WHERE id = $id RETURNING """
    + _USER
)


async def update_user(tx: Transaction, user: User) -> User:
    """Store what a person may change of a profile, and return it with its new version."""
    return await tx.one(User, UPDATE_USER, user)


# What a person writes anew is theirs: it is not hidden, and the old name does not come back over it.
UPDATE_HIDDEN = (
    """UPDATE "user".users SET
        hidden_name = CASE WHEN $removed THEN coalesce(hidden_name, name) END,
        hidden_pronouns = CASE WHEN $removed THEN coalesce(hidden_pronouns, pronouns) END,
        name = CASE WHEN $removed THEN $shown ELSE coalesce(hidden_name, name) END,
        pronouns = CASE WHEN $removed THEN NULL ELSE coalesce(pronouns, hidden_pronouns) END,
        moderation_version = $version, version = users.version + 1, updated_at = $now
    WHERE id = $user_id AND state = 'active' AND moderation_version < $version AND ($removed OR hidden_name IS NOT NULL)
    RETURNING """
    + _USER
)


async def update_hidden(tx: Transaction, user_id: UserId, *, removed: bool, version: int) -> User | None:
    """Hide what others read in a profile, or show it again; None when that changes nothing."""
    return await tx.maybe(User, UPDATE_HIDDEN, user_id=user_id, removed=removed, version=version, shown=NAME_REMOVED)


LIST_MODERATED = """
SELECT id, name, pronouns, locale FROM "user".users WHERE id = ANY($user_ids::uuid[]) AND state = 'active' LIMIT 100
"""


async def list_moderated(db: Connection, user_ids: list[UserId]) -> list[Content]:
    """List what others read in these profiles."""
    return [
        Content(
            id=row["id"],
            texts={f"/{field}": row[field] for field in MODERATED_FIELDS if row[field]},
            url=f"/people/{row['id']}",
            user_id=row["id"],
            language=row["locale"],
        )
        for row in await db.rows(LIST_MODERATED, user_ids=user_ids)
    ]


UPDATE_AVATAR = (
    """UPDATE "user".users SET avatar_asset_id = $asset_id, version = version + 1, updated_at = $now
    WHERE id = $user_id AND state = 'active' AND avatar_asset_id IS DISTINCT FROM $asset_id RETURNING """
    + _USER
)


async def update_avatar(tx: Transaction, user_id: UserId, asset_id: AssetId | None) -> User | None:
    """Set a person's picture; None when the profile shows it already."""
    return await tx.maybe(User, UPDATE_AVATAR, user_id=user_id, asset_id=asset_id)


UPDATE_ADDRESS = (
    """UPDATE "user".users SET email = $email, email_verified = $verified, version = version + 1, updated_at = $now
    WHERE id = $user_id AND state = 'active' AND (email IS DISTINCT FROM $email OR email_verified <> $verified)
    RETURNING """
    + _USER
)


async def update_address(tx: Transaction, user_id: UserId, *, email: str | None, verified: bool) -> User | None:
    """Copy the address that auth has; None when the profile shows it already."""
    return await tx.maybe(User, UPDATE_ADDRESS, user_id=user_id, email=email, verified=verified)


LIST_PROFILES = """
SELECT id, name, locale, time_zone FROM "user".users WHERE id = ANY($user_ids::uuid[]) AND state = 'active' LIMIT 1000
"""


async def list_profiles(db: Connection, user_ids: list[UserId]) -> list[Profile]:
    return await db.all(Profile, LIST_PROFILES, user_ids=user_ids)


LIST_USERS = (
    "SELECT "
    + _USER
    + """ FROM "user".users
    WHERE state = 'active' AND ($ids::uuid[] IS NULL OR id = ANY($ids))
        AND ($email::text IS NULL OR lower(email) = lower($email)) AND ($before::uuid IS NULL OR id < $before)
    ORDER BY id DESC LIMIT $limit"""
)


async def list_users(
    db: Connection, *, ids: list[UserId] | None, email: str | None, before: UserId | None, limit: int
) -> list[User]:
    """List people, newest first."""
    return await db.all(User, LIST_USERS, ids=ids, email=email, before=before, limit=limit)
