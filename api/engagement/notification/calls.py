"""Answers what live asks about inboxes, and the words of its own notice."""

from typing import Any
from uuid import UUID

from api.engagement.notification.announcement import ending, text
from api.engagement.notification.announcement import store as announcements
from api.engagement.notification.contract import AnnouncementId
from api.engagement.notification.inbox import store
from cluster.base.ids import UserId
from cluster.data import read
from cluster.people.notices import NoticeSource, NoticeText, Reader, only, same_for_all
from cluster.people.topics import After, Standing, TopicMessage, TopicSource
from cluster.people.wording import worded

_STOPPED = "notification.announcement_stopped"


class Calls(TopicSource, NoticeSource):
    async def standing(self, topic: str, ids: list[UUID]) -> list[Standing]:  # noqa: ARG002
        # Everybody has an inbox, those too who were never told anything.
        people = [UserId(id) for id in ids]
        async with read() as db:
            seqs = {each.user_id: each.seq for each in await store.list_counters(db, people)}
        return [Standing(id=person, seq=seqs.get(person, 0), owner_id=person) for person in people]

    async def since(self, topic: str, after: list[After], limit: int) -> list[TopicMessage]:  # noqa: ARG002
        async with read() as db:
            found = await store.list_entries(db, [(UserId(each.id), each.seq) for each in after], limit)
        return [
            TopicMessage(
                id=each.user_id,
                seq=each.seq,
                kind=each.kind,
                at=each.at,
                data={
                    "notification_id": None if each.notification_id is None else str(each.notification_id),
                    "up_to_seq": each.up_to_seq,
                    "notification": each.notification,
                },
            )
            for each in found
        ]

    async def recipients(self, notice: str, event: dict[str, Any], after: UUID | None, limit: int) -> list[UserId]:  # noqa: ARG002
        if notice == _STOPPED:
            return only(await _deprived(AnnouncementId(UUID(event["announcement_id"]))), after)
        return only(event["user_id"] if event["hard"] else None, after)

    async def texts(self, notice: str, event: dict[str, Any], readers: list[Reader]) -> list[NoticeText]:
        if notice in (ending.COURSE, ending.ORGANIZATION):
            return await _announced(AnnouncementId(UUID(event["announcement_id"])), readers)
        if notice == _STOPPED:
            return await _stopped(AnnouncementId(UUID(event["announcement_id"])), readers)
        return worded("notification", notice, readers, url="/account")


async def _deprived(announcement_id: AnnouncementId) -> str | None:
    """Return who scheduled an announcement that was not sent because they may not announce there any more."""
    async with read() as db:
        found = await announcements.find_announcement(db, announcement_id)
    if found is None or found.stop_reason is None:
        return None
    sender = found.sent_by or found.created_by
    return None if sender is None else str(sender)


async def _stopped(announcement_id: AnnouncementId, readers: list[Reader]) -> list[NoticeText]:
    async with read() as db:
        found = await announcements.find_announcement(db, announcement_id)
    if found is None or found.stop_reason is None:
        # Somebody else has sent it since.
        return []
    return worded(
        "notification",
        _STOPPED,
        readers,
        url="/notifications",
        org_id=found.org_id,
        course_id=found.course_id,
        announcement=found.title,
    )


async def _announced(announcement_id: AnnouncementId, readers: list[Reader]) -> list[NoticeText]:
    async with read() as db:
        found = await announcements.find_announcement(db, announcement_id)
    if found is None or found.state == "withdrawn":
        return []
    url = f"/announcements/{found.id}"
    return same_for_all(
        readers, found.title, text.inbox_body(found.text), url=url, org_id=found.org_id, course_id=found.course_id
    )
