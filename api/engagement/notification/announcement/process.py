"""What happens to announcements outside of requests: they begin at their time, and inboxes follow what they say."""

from dataclasses import replace

from api.engagement.notification.announcement import ending, logic, store, text
from api.engagement.notification.contract import AnnouncementId, AnnouncementSent, AnnouncementStopped
from api.engagement.notification.inbox import logic as inboxes
from api.engagement.notification.spreading import logic as spreading
from api.engagement.notification.spreading.notices import notices_of, offered
from cluster.base.ids import UserId
from cluster.base.principal import Principal
from cluster.data import Transaction, read, write
from cluster.events import Envelope
from cluster.jobs import JobRun

_PAGE = 500


async def announce(platform: Principal, announcement_id: AnnouncementId) -> None:
    """Send what is scheduled and due, if who scheduled it may still announce there."""
    while True:
        async with read() as db:
            found = await store.find_announcement(db, announcement_id)
        if found is None or found.state != "scheduled":
            return
        if await logic.send_if_still_permitted(platform, found):
            return


async def begin(tx: Transaction, envelope: Envelope, event: AnnouncementSent) -> None:
    """Begin to tell its people, once, unless it was stopped or withdrawn meanwhile."""
    present = await store.lock_announcement(tx, event.announcement_id)
    if present is None or present.state != "sending" or present.occasion_id is not None:
        return
    name = ending.COURSE if present.course_id else ending.ORGANIZATION
    [occasion_id] = await spreading.begin(tx, envelope, [offered()[name].notice])
    await store.update_announcement(tx, replace(present, occasion_id=occasion_id))


async def tell_of_stop(tx: Transaction, envelope: Envelope, event: AnnouncementStopped) -> None:
    """Begin to tell who scheduled it that it was not sent."""
    present = await store.find_announcement(tx, event.announcement_id)
    if present is not None and present.stop_reason is not None:
        await spreading.begin(tx, envelope, notices_of(AnnouncementStopped))


async def follow(run: JobRun, announcement_id: AnnouncementId) -> None:
    """Give those who were told the words of now, or take them out of their inboxes; page after page."""
    after: UserId | None = None
    while True:
        async with read() as db:
            present = await store.find_announcement(db, announcement_id)
            if present is None or present.occasion_id is None:
                return
            page = await store.list_told(db, present.occasion_id, after=after, limit=_PAGE)
        if page:
            ids, people = [each.notification_id for each in page], [each.user_id for each in page]
            after = people[-1]
            async with write(run.principal) as tx:
                await run.still_mine(tx)
                if present.state == "withdrawn":
                    await inboxes.withdraw(tx, ids, people)
                else:
                    body = text.inbox_body(present.text)
                    await inboxes.change_words(tx, ids, people, title=present.title, body=body)
        if len(page) < _PAGE:
            return
        await run.extend()
