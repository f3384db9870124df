"""The SQL of preferences and muted courses."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from api.engagement.notification.contract import Pace
from cluster.base.ids import UserId
from cluster.data import Connection, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """How a person wants to be told. Version 0: they have chosen nothing."""

    user_id: UserId
    channels: dict[str, dict[str, Pace]] = field(default_factory=dict[str, dict[str, Pace]])
    quiet_hours: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    do_not_disturb_until: datetime | None = None
    digest_hour: int = 8
    digest_weekday: int = 1
    mail_works: bool = True
    unsubscribed: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """What email was told by a click in a letter: the category there, the organization, and what it switched off here."""
    version: int = 0


_PREFERENCE = """user_id, channels, quiet_hours, do_not_disturb_until, digest_hour, digest_weekday, mail_works,
    unsubscribed, version"""

LIST_PREFERENCES = (
    "SELECT " + _PREFERENCE + " FROM notification.preferences WHERE user_id = ANY($user_ids::uuid[]) LIMIT 1000"
)


async def list_preferences(db: Connection, user_ids: Sequence[UserId]) -> dict[UserId, Preference]:
    """Return what these people have chosen; at most 1,000 people. Whoever has chosen nothing has the defaults."""
    found = {each.user_id: each for each in await db.all(Preference, LIST_PREFERENCES, user_ids=user_ids)}
    return {user_id: found.get(user_id) or Preference(user_id=user_id) for user_id in user_ids}


LOCK_PREFERENCE = "SELECT " + _PREFERENCE + " FROM notification.preferences WHERE user_id = $user_id FOR UPDATE"


async def lock_preference(tx: Transaction, user_id: UserId) -> Preference:
    found = await tx.maybe(Preference, LOCK_PREFERENCE, user_id=user_id)
    return found or Preference(user_id=user_id)


UPSERT_PREFERENCE = (
    """INSERT INTO notification.preferences AS p
        (user_id, channels, quiet_hours, do_not_disturb_until, digest_hour, digest_weekday, mail_works, unsubscribed,
        updated_at)
    VALUES ($user_id, $channels, $quiet_hours, $do_not_disturb_until, $digest_hour, $digest_weekday, $mail_works,
        $unsubscribed, $now)
    ON CONFLICT (user_id) DO UPDATE SET
        channels = excluded.channels, quiet_hours = excluded.quiet_hours,
        do_not_disturb_until = excluded.do_not_disturb_until, digest_hour = excluded.digest_hour,
        digest_weekday = excluded.digest_weekday, mail_works = excluded.mail_works,
        unsubscribed = excluded.unsubscribed, version = p.version + 1,
        updated_at = excluded.updated_at
    WHERE p.version = $version
    RETURNING """
    + _PREFERENCE
)


async def upsert_preference(tx: Transaction, preference: Preference) -> Preference | None:
    """Store the choices over those of this version; None when there is another version by now."""
    return await tx.maybe(Preference, UPSERT_PREFERENCE, preference)


LIST_MUTES = """
SELECT user_id, course_id FROM notification.mutes
WHERE user_id = ANY($user_ids::uuid[]) AND course_id = ANY($course_ids::uuid[]) LIMIT 10000
"""


async def list_mutes(
    db: Connection, user_ids: Sequence[UserId], course_ids: Sequence[UUID]
) -> set[tuple[UserId, UUID]]:
    """Return who of these people has muted which of these courses."""
    rows = await db.rows(LIST_MUTES, user_ids=user_ids, course_ids=course_ids)
    return {(row["user_id"], row["course_id"]) for row in rows}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mute:
    course_id: UUID
    created_at: datetime


LIST_MUTED = """
SELECT course_id, created_at FROM notification.mutes
WHERE user_id = $user_id AND ($after::uuid IS NULL OR course_id > $after)
    AND ($ids::uuid[] IS NULL OR course_id = ANY($ids))
ORDER BY course_id LIMIT $limit
"""


async def list_muted(
    db: Connection, user_id: UserId, *, ids: Sequence[UUID] | None, after: UUID | None, limit: int
) -> list[Mute]:
    """List the courses that a person has muted, by id."""
    return await db.all(Mute, LIST_MUTED, user_id=user_id, ids=ids, after=after, limit=limit)


COUNT_MUTES = "SELECT count(*) FROM notification.mutes WHERE user_id = $user_id"


async def count_mutes(tx: Transaction, user_id: UserId) -> int:
    return await tx.value(COUNT_MUTES, user_id=user_id)


INSERT_MUTE = """
INSERT INTO notification.mutes AS m (user_id, course_id, created_at) VALUES ($user_id, $course_id, $now)
ON CONFLICT (user_id, course_id) DO UPDATE SET created_at = m.created_at
RETURNING course_id, created_at
"""


async def insert_mute(tx: Transaction, user_id: UserId, course_id: UUID) -> Mute:
    """Mute a course, and return the mute that stands."""
    return await tx.one(Mute, INSERT_MUTE, user_id=user_id, course_id=course_id)


DELETE_MUTE = "DELETE FROM notification.mutes WHERE user_id = $user_id AND course_id = $course_id"


async def delete_mute(tx: Transaction, user_id: UserId, course_id: UUID) -> None:
    await tx.run(DELETE_MUTE, user_id=user_id, course_id=course_id)


UPSERT_MAIL_WORKS = """
INSERT INTO notification.preferences AS p (user_id, mail_works, updated_at) VALUES ($user_id, $works, $now)
ON CONFLICT (user_id) DO UPDATE SET mail_works = excluded.mail_works, version = p.version + 1, updated_at = $now
WHERE p.mail_works <> excluded.mail_works
"""


async def upsert_mail_works(tx: Transaction, user_id: UserId, *, works: bool) -> None:
    """Note whether letters reach a person."""
    await tx.run(UPSERT_MAIL_WORKS, user_id=user_id, works=works)


UPDATE_MAIL_WORKS = """
UPDATE notification.preferences SET mail_works = true, version = version + 1, updated_at = $now
WHERE user_id = $user_id AND NOT mail_works
"""


async def update_mail_works(tx: Transaction, user_id: UserId) -> None:
    """Note that letters reach a person again."""
    await tx.run(UPDATE_MAIL_WORKS, user_id=user_id)


UPSERT_UNSUBSCRIBED = """
INSERT INTO notification.preferences AS p (user_id, channels, unsubscribed, updated_at)
VALUES ($user_id, $channels::jsonb, jsonb_build_array($given_up::jsonb), $now)
ON CONFLICT (user_id) DO UPDATE SET
    channels = p.channels || (
        SELECT coalesce(jsonb_object_agg(key, coalesce(p.channels -> key, '{}') || value), '{}')
        FROM jsonb_each(excluded.channels)),
    unsubscribed = p.unsubscribed || excluded.unsubscribed, version = p.version + 1, updated_at = $now
"""


async def upsert_unsubscribed(
    tx: Transaction, user_id: UserId, *, channels: dict[str, Any], given_up: dict[str, Any]
) -> None:
    """Merge these choices into a person's, and note what email was told."""
    await tx.run(UPSERT_UNSUBSCRIBED, user_id=user_id, channels=channels, given_up=given_up)
