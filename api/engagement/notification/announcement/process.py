"""What happens to announcements outside of requests: they begin at their time, and inboxes follow what they say."""

from dataclasses import replace

from api.engagement.notification.announcement import ending, logic, store, text
from api.engagement.notification.contract import AnnouncementId, AnnouncementSent
from api.engagement.notification.inbox import logic as inboxes
from api.engagement.notification.spreading import logic as spreading
from api.engagement.notification.spreading.notices import offered
from cluster.base.ids import UserId
from cluster.base.principal import Principal
from cluster.data import Transaction, read, write
from cluster.events import Envelope
from cluster.jobs import JobRun

_PAGE = 500


async def announce(platform: Principal, announcement_id: AnnouncementId) -> None:
    """Send what is scheduled and due."""
    async with write(platform) as tx:
        present = await store.lock_announcement(tx, announcement_id)
        if present is None or present.state != "scheduled" or present.send_at is None or present.send_at > tx.now:
            return
        await logic.send(tx, present)


async def begin(tx: Transaction, envelope: Envelope, event: AnnouncementSent) -> None:
    """Begin to tell its people, once, unless it was stopped or withdrawn meanwhile."""
    present = await store.lock_announcement(tx, event.announcement_id)
    if present is None or present.state != "sending" or present.occasion_id is not None:
        return
    name = ending.COURSE if present.course_id else ending.ORGANIZATION
    [occasion_id] = await spreading.begin(tx, envelope, [offered()[name].notice])
    await store.update_announcement(tx, replace(present, occasion_id=occasion_id))


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
