"""The SQL of occasions, and of what arrives in inboxes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from api.engagement.notification.contract import NotificationId
from cluster.base.ids import OrgId, UserId
from cluster.data import Connection, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """A notice of an event, and after whom the next page begins."""

    id: UUID
    event_id: UUID
    notice_slug: str
    payload: dict[str, Any]
    org_id: OrgId | None
    state: str
    after_id: UUID | None
    happened_at: datetime
    expires_at: datetime | None


_OCCASION = "id, event_id, notice_slug, payload, org_id, state, after_id, happened_at, expires_at"

INSERT_OCCASION = """
INSERT INTO notification.occasions
    (id, event_id, notice_slug, payload, user_id, org_id, state, happened_at, expires_at, created_at)
VALUES ($id, $event_id, $notice_slug, $payload, $about, $org_id, 'spreading', $happened_at, $expires_at, $now)
ON CONFLICT DO NOTHING
"""


async def insert_occasion(tx: Transaction, occasion: Occasion, about: UUID | None) -> bool:
    """Note an occasion; False when it is known."""
    return await tx.run(INSERT_OCCASION, occasion, about=about) == 1


LOCK_SPREADING = """
SELECT 1 FROM notification.occasions
WHERE id = $id AND after_id IS NOT DISTINCT FROM $after_id AND state IN ('spreading', 'parked') FOR UPDATE
"""


async def lock_spreading(tx: Transaction, occasion: Occasion) -> bool:
    """Lock an occasion until its page is told; False when it was stopped, or somebody else was here."""
    return await tx.value(LOCK_SPREADING, id=occasion.id, after_id=occasion.after_id) == 1


FIND_OCCASION = "SELECT " + _OCCASION + " FROM notification.occasions WHERE id = $occasion_id"


async def find_occasion(db: Connection, occasion_id: UUID) -> Occasion | None:
    return await db.maybe(Occasion, FIND_OCCASION, occasion_id=occasion_id)


UPDATE_SPREAD = """
UPDATE notification.occasions
SET after_id = $after_id, told = told + $told, state = $state, error = NULL
WHERE id = $id
"""


async def update_spread(tx: Transaction, occasion: Occasion, *, after_id: UUID | None, told: int, state: str) -> None:
    """Note how far a locked occasion is spread."""
    await tx.run(UPDATE_SPREAD, id=occasion.id, after_id=after_id, told=told, state=state)


UPDATE_PARKED = (
    "UPDATE notification.occasions SET state = 'parked', error = $error WHERE id = $occasion_id AND state <> 'stopped'"
)


async def update_parked(tx: Transaction, occasion_id: UUID, error: str) -> None:
    """Put an occasion aside whose words cannot be had."""
    await tx.run(UPDATE_PARKED, occasion_id=occasion_id, error=error)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A notification that comes into somebody's inbox."""

    id: NotificationId
    user_id: UserId
    org_id: OrgId | None
    course_id: UUID | None
    title: str
    body: str
    url: str
    hidden: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What all notifications of an occasion have in common."""

    occasion_id: UUID
    notice_slug: str
    category: str
    severity: str
    topic_key: str | None
    expires_at: datetime | None


# The counter rows are locked: of two transactions that tell somebody of the same occasion the second sees what the first told.
INSERT_NOTIFICATIONS = """
WITH wanted AS (
    SELECT * FROM unnest($ids::uuid[], $user_ids::uuid[], $org_ids::uuid[], $course_ids::uuid[], $titles::text[],
        $bodies::text[], $urls::text[], $hidden::boolean[])
        AS w (id, user_id, org_id, course_id, title, body, url, hidden)
    WHERE NOT EXISTS (
        SELECT FROM notification.notifications n WHERE n.occasion_id = $occasion_id AND n.user_id = w.user_id)
), counted AS (
    UPDATE notification.people p SET seq = p.seq + 1, unread = p.unread + (NOT w.hidden)::int
    FROM wanted w WHERE p.user_id = w.user_id
    RETURNING p.user_id, p.seq
)
INSERT INTO notification.notifications (id, user_id, seq, occasion_id, notice_slug, category, severity, topic_key, org_id,
    course_id, title, body, url, state, hidden, expires_at, created_at)
SELECT w.id, w.user_id, c.seq, $occasion_id, $notice_slug, $category, $severity, $topic_key, w.org_id, w.course_id, w.title,
    w.body, w.url, CASE WHEN w.hidden THEN 'archived' ELSE 'unread' END, w.hidden, $expires_at, $now
FROM wanted w JOIN counted c ON c.user_id = w.user_id
RETURNING user_id, seq
"""


async def insert_notifications(tx: Transaction, kind: Kind, arrivals: Sequence[Arrival]) -> dict[UserId, int]:
    """Let notifications arrive, once per person; return the numbers of those that are new."""
    rows = await tx.rows(
        INSERT_NOTIFICATIONS,
        kind,
        ids=[each.id for each in arrivals],
        user_ids=[each.user_id for each in arrivals],
        org_ids=[each.org_id for each in arrivals],
        course_ids=[each.course_id for each in arrivals],
        titles=[each.title for each in arrivals],
        bodies=[each.body for each in arrivals],
        urls=[each.url for each in arrivals],
        hidden=[each.hidden for each in arrivals],
    )
    return {row["user_id"]: row["seq"] for row in rows}


DELETE_OLD_OCCASIONS = """
DELETE FROM notification.occasions WHERE id IN (
    SELECT id FROM notification.occasions WHERE created_at < $before ORDER BY created_at LIMIT $limit
    FOR UPDATE SKIP LOCKED)
"""


async def delete_old(tx: Transaction, before: datetime, limit: int) -> int:
    """Forget occasions of which nothing is told any more; return how many."""
    return await tx.run(DELETE_OLD_OCCASIONS, before=before, limit=limit)
