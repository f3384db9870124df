"""The SQL of announcements."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from api.engagement.notification.contract import AnnouncementId, AnnouncementState, NotificationId, StopReason
from cluster.base.ids import OrgId, UserId
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded, Reach


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """A text to the learners of a run or a course, or to the members of an organization.

    `told`: how many so far. `sent_by`: who last asked to send it, and whose right counts when it is sent; None: its author.
    """

    id: AnnouncementId
    org_id: OrgId
    course_id: UUID | None
    run_id: UUID | None
    title: str
    text: str
    state: AnnouncementState
    stop_reason: StopReason | None = None
    created_by: UserId | None = None
    sent_by: UserId | None = None
    send_at: datetime | None = None
    sent_at: datetime | None = None
    revised: bool = False
    occasion_id: UUID | None = None
    told: int = 0
    version: int = 1
    created_at: datetime
    updated_at: datetime


_COLUMNS = """id, org_id, course_id, run_id, title, text, state, stop_reason, created_by, sent_by, send_at, sent_at, revised,
    occasion_id, told, version, created_at, updated_at"""
_ANNOUNCEMENT = """SELECT a.id, a.org_id, a.course_id, a.run_id, a.title, a.text, a.state, a.stop_reason, a.created_by, a.sent_by,
    a.send_at, a.sent_at, a.revised, a.occasion_id,
    greatest(a.told, coalesce(o.told, 0)) AS told, a.version, a.created_at, a.updated_at
FROM notification.announcements a LEFT JOIN notification.occasions o ON o.id = a.occasion_id """

FIND_ANNOUNCEMENT = _ANNOUNCEMENT + "WHERE a.id = $announcement_id"


async def find_announcement(db: Connection, announcement_id: AnnouncementId) -> Announcement | None:
    return await db.maybe(Announcement, FIND_ANNOUNCEMENT, announcement_id=announcement_id)


def guarded(found: Announcement) -> Guarded[Announcement]:
    see = "staff-announcement:read" if found.course_id else "staff-announcement:read-organization"
    return Guarded(found, org_id=found.org_id, course_id=found.course_id, run_id=found.run_id, see=see)


LIST_ANNOUNCEMENTS = (
    _ANNOUNCEMENT
    + """WHERE ((a.course_id IS NULL AND ($everywhere OR a.org_id = ANY($admin_org_ids::uuid[])))
        OR (a.course_id IS NOT NULL AND ($course_everywhere OR a.org_id = ANY($org_ids::uuid[])
            OR a.course_id = ANY($course_ids::uuid[]) OR a.run_id = ANY($run_ids::uuid[]))))
    AND ($org_id::uuid IS NULL OR a.org_id = $org_id) AND ($course_id::uuid IS NULL OR a.course_id = $course_id)
    AND ($run_id::uuid IS NULL OR a.run_id = $run_id) AND ($states::text[] IS NULL OR a.state = ANY($states))
    AND ($ids::uuid[] IS NULL OR a.id = ANY($ids)) AND ($before::uuid IS NULL OR a.id < $before)
    ORDER BY a.id DESC LIMIT $limit"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnouncementFilter:
    org_id: OrgId | None = None
    course_id: UUID | None = None
    run_id: UUID | None = None
    states: Sequence[AnnouncementState] | None = None
    ids: Sequence[AnnouncementId] | None = None


async def list_announcements(
    db: Connection,
    wanted: AnnouncementFilter,
    *,
    of_courses: Reach,
    of_organizations: Reach,
    before: AnnouncementId | None,
    limit: int,
) -> list[Announcement]:
    """List what the caller may see, newest first."""
    return await db.all(
        Announcement,
        LIST_ANNOUNCEMENTS,
        wanted,
        everywhere=of_organizations.everywhere,
        admin_org_ids=of_organizations.org_ids,
        course_everywhere=of_courses.everywhere,
        org_ids=of_courses.org_ids,
        course_ids=of_courses.course_ids,
        run_ids=of_courses.run_ids,
        before=before,
        limit=limit,
    )


INSERT_ANNOUNCEMENT = """
INSERT INTO notification.announcements
    (id, org_id, course_id, run_id, title, text, state, created_by, created_at, updated_at)
VALUES ($id, $org_id, $course_id, $run_id, $title, $text, $state, $created_by, $now, $now)
"""


async def insert_announcement(tx: Transaction, announcement: Announcement) -> None:
    await tx.run(INSERT_ANNOUNCEMENT, announcement)


LOCK_ANNOUNCEMENT = "SELECT " + _COLUMNS + " FROM notification.announcements WHERE id = $announcement_id FOR UPDATE"


async def lock_announcement(tx: Transaction, announcement_id: AnnouncementId) -> Announcement | None:
    return await tx.maybe(Announcement, LOCK_ANNOUNCEMENT, announcement_id=announcement_id)


UPDATE_ANNOUNCEMENT = """
UPDATE notification.announcements SET title = $title, text = $text, state = $state, stop_reason = $stop_reason,
    sent_by = $sent_by, send_at = $send_at, sent_at = $sent_at, revised = $revised,
    occasion_id = $occasion_id, version = version + 1, updated_at = $now
WHERE id = $id RETURNING version
"""


async def update_announcement(tx: Transaction, announcement: Announcement) -> int:
    """Write a locked announcement, and return its new version."""
    return await tx.value(UPDATE_ANNOUNCEMENT, announcement)


UPDATE_STOPPED_OCCASION = """
UPDATE notification.occasions SET state = 'stopped' WHERE id = $occasion_id AND state IN ('spreading', 'parked')
"""


async def update_stopped(tx: Transaction, occasion_id: UUID) -> None:
    """Have nobody told any more; a page that is under way commits before."""
    await tx.run(UPDATE_STOPPED_OCCASION, occasion_id=occasion_id)


UPDATE_ENDED = """
UPDATE notification.announcements a
SET state = CASE WHEN a.state = 'sending' THEN 'sent' ELSE a.state END, told = o.told, version = a.version + 1,
    updated_at = $now
FROM notification.occasions o
WHERE a.occasion_id = $occasion_id AND o.id = a.occasion_id AND (a.state = 'sending' OR a.told <> o.told)
RETURNING a.id, a.revised
"""


async def update_ended(tx: Transaction, occasion_id: UUID) -> AnnouncementId | None:
    """Note that everybody is told; return the announcement when its text was changed meanwhile."""
    rows = await tx.rows(UPDATE_ENDED, occasion_id=occasion_id)
    return next((row["id"] for row in rows if row["revised"]), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldPerson:
    notification_id: NotificationId
    user_id: UserId


LIST_TOLD = """
SELECT id AS notification_id, user_id FROM notification.notifications
WHERE occasion_id = $occasion_id AND withdrawn_at IS NULL AND ($after::uuid IS NULL OR user_id > $after)
ORDER BY user_id LIMIT $limit
"""


async def list_told(db: Connection, occasion_id: UUID, *, after: UserId | None, limit: int) -> list[ToldPerson]:
    """List who has it in their inbox, by id."""
    return await db.all(ToldPerson, LIST_TOLD, occasion_id=occasion_id, after=after, limit=limit)


FIND_OF_NOTIFICATION = _ANNOUNCEMENT + (
    "JOIN notification.notifications n ON n.occasion_id = a.occasion_id WHERE n.id = $notification_id"
)


async def find_of_notification(db: Connection, notification_id: NotificationId) -> Announcement | None:
    return await db.maybe(Announcement, FIND_OF_NOTIFICATION, notification_id=notification_id)


DELETE_OLD_ANNOUNCEMENTS = """
DELETE FROM notification.announcements WHERE id IN (
    SELECT id FROM notification.announcements WHERE updated_at < $before AND state IN ('sent', 'stopped', 'withdrawn')
    ORDER BY updated_at LIMIT $limit FOR UPDATE SKIP LOCKED)
"""


async def delete_old(tx: Transaction, before: datetime, limit: int) -> int:
    return await tx.run(DELETE_OLD_ANNOUNCEMENTS, before=before, limit=limit)
