"""The SQL of inboxes. Every change of one draws its number from the person's counter row, under its lock."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from api.engagement.notification.contract import Category, NotificationId, State
from cluster.base.ids import OrgId, UserId
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded
from cluster.people.notices import Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """What a person was told, in the words of then."""

    id: NotificationId
    user_id: UserId
    seq: int
    occasion_id: UUID
    notice_slug: str
    category: Category
    severity: Severity
    topic_key: str | None
    org_id: OrgId | None
    course_id: UUID | None
    title: str
    body: str
    url: str
    state: State
    hidden: bool
    expires_at: datetime | None
    created_at: datetime
    read_at: datetime | None
    withdrawn_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """How far an inbox is."""

    user_id: UserId
    seq: int = 0
    unread: int = 0


_NOTIFICATION = """id, user_id, seq, occasion_id, notice_slug, category, severity, topic_key, org_id, course_id, title, body,
    url, state, hidden, expires_at, created_at, read_at, withdrawn_at"""

FIND_NOTIFICATION = (
    "SELECT " + _NOTIFICATION + " FROM notification.notifications WHERE id = $notification_id AND withdrawn_at IS NULL"
)


async def find_notification(db: Connection, notification_id: NotificationId) -> Guarded[Notification] | None:
    found = await db.maybe(Notification, FIND_NOTIFICATION, notification_id=notification_id)
    return None if found is None else Guarded(found, owner_id=found.user_id, see="notification:read")


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxFilter:
    states: Sequence[State]
    categories: Sequence[Category] | None = None
    org_id: OrgId | None = None
    course_id: UUID | None = None
    ids: Sequence[NotificationId] | None = None


LIST_NOTIFICATIONS = (
    "SELECT "
    + _NOTIFICATION
    + """ FROM notification.notifications
    WHERE user_id = $user_id AND withdrawn_at IS NULL AND state = ANY($states::text[])
        AND ($categories::text[] IS NULL OR category = ANY($categories))
        AND ($org_id::uuid IS NULL OR org_id = $org_id) AND ($course_id::uuid IS NULL OR course_id = $course_id)
        AND ($ids::uuid[] IS NULL OR id = ANY($ids)) AND ($before::bigint IS NULL OR seq < $before)
    ORDER BY seq DESC LIMIT $limit"""
)


async def list_notifications(
    db: Connection, user_id: UserId, wanted: InboxFilter, *, before: int | None, limit: int
) -> list[Notification]:
    """List what a person was told, newest first."""
    return await db.all(Notification, LIST_NOTIFICATIONS, wanted, user_id=user_id, before=before, limit=limit)


FIND_COUNTER = "SELECT user_id, seq, unread FROM notification.people WHERE user_id = $user_id"


async def find_counter(db: Connection, user_id: UserId) -> Counter:
    return await db.maybe(Counter, FIND_COUNTER, user_id=user_id) or Counter(user_id=user_id)


LIST_COUNTERS = "SELECT user_id, seq, unread FROM notification.people WHERE user_id = ANY($user_ids::uuid[]) LIMIT 1000"


async def list_counters(db: Connection, user_ids: Sequence[UserId]) -> list[Counter]:
    return await db.all(Counter, LIST_COUNTERS, user_ids=user_ids)


INSERT_PEOPLE = """
INSERT INTO notification.people (user_id) SELECT user_id FROM unnest($user_ids::uuid[]) AS w (user_id) ORDER BY user_id
ON CONFLICT DO NOTHING
"""
LOCK_PEOPLE = """
SELECT user_id, seq, unread FROM notification.people WHERE user_id = ANY($user_ids::uuid[]) ORDER BY user_id FOR UPDATE
"""


async def lock_people(tx: Transaction, user_ids: Sequence[UserId]) -> dict[UserId, Counter]:
    """Lock the counter rows of these people, which are made when there are none, in the order of their ids."""
    await tx.run(INSERT_PEOPLE, user_ids=user_ids)
    return {each.user_id: each for each in await tx.all(Counter, LOCK_PEOPLE, user_ids=user_ids)}


UPDATE_READ_UP_TO = """
UPDATE notification.notifications SET state = 'read', read_at = $now
WHERE user_id = $user_id AND state = 'unread' AND seq <= $up_to_seq RETURNING id
"""


async def update_read_up_to(tx: Transaction, user_id: UserId, up_to_seq: int) -> list[NotificationId]:
    """Mark what is unread up to a number as read, and return what it was."""
    return [row["id"] for row in await tx.rows(UPDATE_READ_UP_TO, user_id=user_id, up_to_seq=up_to_seq)]


UPDATE_STATE = (
    """UPDATE notification.notifications
    SET state = $state, hidden = hidden AND $state = 'archived',
        read_at = CASE WHEN $state <> 'unread' THEN coalesce(read_at, $now::timestamptz) END
    WHERE id = $notification_id AND withdrawn_at IS NULL AND (state <> $state OR hidden)
    RETURNING """
    + _NOTIFICATION
    + ", old.state AS before"
)


async def update_state(
    tx: Transaction, notification_id: NotificationId, state: State
) -> tuple[Notification, State] | None:
    """Set a notification's state, and return it with the state before; None when it is so already."""
    rows = await tx.rows(UPDATE_STATE, notification_id=notification_id, state=state)
    if not rows:
        return None
    row = dict(rows[0])
    before: State = row.pop("before")
    return Notification(**row), before


UPDATE_WITHDRAWN = """
UPDATE notification.notifications SET withdrawn_at = $now, title = '', body = '', url = ''
WHERE id = ANY($ids::uuid[]) AND withdrawn_at IS NULL RETURNING id, user_id, state
"""


async def update_withdrawn(
    tx: Transaction, ids: Sequence[NotificationId]
) -> list[tuple[NotificationId, UserId, State]]:
    """Take notifications out of their inboxes, with their words."""
    return [tuple(row) for row in await tx.rows(UPDATE_WITHDRAWN, ids=ids)]


UPDATE_WORDS = """
UPDATE notification.notifications SET title = $title, body = $body
WHERE id = ANY($ids::uuid[]) AND withdrawn_at IS NULL AND (title <> $title OR body <> $body) RETURNING id, user_id
"""


async def update_words(
    tx: Transaction, ids: Sequence[NotificationId], *, title: str, body: str
) -> list[tuple[NotificationId, UserId]]:
    """Give notifications other words, and return those that had others."""
    return [tuple(row) for row in await tx.rows(UPDATE_WORDS, ids=ids, title=title, body=body)]


INSERT_CHANGES = """
WITH wanted AS (
    SELECT * FROM unnest($user_ids::uuid[], $kinds::text[], $notification_ids::uuid[], $ups::bigint[], $unread::int[])
        WITH ORDINALITY AS w (user_id, kind, notification_id, up_to_seq, unread, place)
), numbered AS (
    SELECT w.*, row_number() OVER (PARTITION BY user_id ORDER BY place) AS step FROM wanted w
), counted AS (
    UPDATE notification.people p SET seq = p.seq + total.steps, unread = greatest(p.unread + total.unread, 0)
    FROM (SELECT user_id, count(*) AS steps, sum(unread) AS unread FROM wanted GROUP BY user_id) AS total
    WHERE p.user_id = total.user_id
    RETURNING p.user_id, p.seq, total.steps
), inserted AS (
    INSERT INTO notification.changes (user_id, seq, kind, notification_id, up_to_seq, at)
    SELECT n.user_id, c.seq - c.steps + n.step, n.kind, n.notification_id, n.up_to_seq, $now
    FROM numbered n JOIN counted c ON c.user_id = n.user_id
)
SELECT user_id, seq FROM counted
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change of an inbox beside an arrival, and by how much it moves the count of what is unread."""

    user_id: UserId
    kind: str
    notification_id: NotificationId | None = None
    up_to_seq: int | None = None
    unread: int = 0


async def insert_changes(tx: Transaction, changes: Sequence[Change]) -> dict[UserId, int]:
    """Number the changes of locked people, and return how far each inbox is now."""
    rows = await tx.rows(
        INSERT_CHANGES,
        user_ids=[each.user_id for each in changes],
        kinds=[each.kind for each in changes],
        notification_ids=[each.notification_id for each in changes],
        ups=[each.up_to_seq for each in changes],
        unread=[each.unread for each in changes],
    )
    return {row["user_id"]: row["seq"] for row in rows}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of the log of an inbox: an arrival or another change."""

    user_id: UserId
    seq: int
    kind: str
    at: datetime
    notification: dict[str, Any] | None
    notification_id: NotificationId | None
    up_to_seq: int | None


LIST_ENTRIES = """
SELECT e.* FROM unnest($user_ids::uuid[], $after::bigint[]) AS asked (user_id, after_seq), LATERAL (
    (SELECT n.user_id, n.seq, 'arrived' AS kind, n.created_at AS at,
            CASE WHEN n.withdrawn_at IS NULL THEN jsonb_build_object('title', n.title, 'body', n.body, 'url', n.url,
                'notice', n.notice_slug, 'category', n.category, 'severity', n.severity, 'state', n.state,
                'organization_id', n.org_id, 'course_id', n.course_id) END AS notification,
            n.id AS notification_id, NULL::bigint AS up_to_seq
        FROM notification.notifications n
        WHERE n.user_id = asked.user_id AND n.seq > asked.after_seq ORDER BY n.seq LIMIT $limit)
    UNION ALL
    (SELECT c.user_id, c.seq, c.kind, c.at, NULL, c.notification_id, c.up_to_seq
        FROM notification.changes c
        WHERE c.user_id = asked.user_id AND c.seq > asked.after_seq ORDER BY c.seq LIMIT $limit)
    ORDER BY seq LIMIT $limit
) AS e
ORDER BY e.user_id, e.seq
"""


async def list_entries(db: Connection, after: Sequence[tuple[UserId, int]], limit: int) -> list[Entry]:
    """List what came to these inboxes after these numbers, at most `limit` each."""
    return await db.all(
        Entry, LIST_ENTRIES, user_ids=[each[0] for each in after], after=[each[1] for each in after], limit=limit
    )


DELETE_OLD_NOTIFICATIONS = """
DELETE FROM notification.notifications WHERE id IN (
    SELECT id FROM notification.notifications WHERE created_at < $before ORDER BY created_at LIMIT $limit
    FOR UPDATE SKIP LOCKED) RETURNING user_id, state
"""
DELETE_OLD_CHANGES = """
DELETE FROM notification.changes WHERE (user_id, seq) IN (
    SELECT user_id, seq FROM notification.changes WHERE at < $before ORDER BY at LIMIT $limit FOR UPDATE SKIP LOCKED)
"""
UPDATE_UNREAD = """
UPDATE notification.people p SET unread = greatest(p.unread - gone.n, 0)
FROM unnest($user_ids::uuid[], $counts::int[]) AS gone (user_id, n) WHERE p.user_id = gone.user_id
"""


async def delete_old(tx: Transaction, before: datetime, limit: int) -> int:
    """Delete what is older; return how many rows."""
    gone = await tx.rows(DELETE_OLD_NOTIFICATIONS, before=before, limit=limit)
    unread: dict[UserId, int] = {}
    for row in gone:
        if row["state"] == "unread":
            unread[row["user_id"]] = unread.get(row["user_id"], 0) + 1
    if unread:
        await lock_people(tx, list(unread))
        await tx.run(UPDATE_UNREAD, user_ids=list(unread), counts=list(unread.values()))
    return len(gone) + await tx.run(DELETE_OLD_CHANGES, before=before, limit=limit)
