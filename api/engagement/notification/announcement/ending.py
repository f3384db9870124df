"""The end of telling an announcement, as spreading calls it."""

from uuid import UUID

from api.engagement.notification.announcement import store
from api.engagement.notification.contract import FollowAnnouncement
from cluster.base.principal import Principal
from cluster.data import write
from cluster.jobs import enqueue

COURSE, ORGANIZATION = "notification.course_announcement", "notification.organization_announcement"


async def end(platform: Principal, notice_slug: str, occasion_id: UUID) -> None:
    """Note that everybody is told. A page that read the text before it was changed committed after: look again."""
    if notice_slug not in (COURSE, ORGANIZATION):
        return
    async with write(platform) as tx:
        revised = await store.update_ended(tx, occasion_id)
        if revised is not None:
            enqueue(tx, FollowAnnouncement(announcement_id=revised))
