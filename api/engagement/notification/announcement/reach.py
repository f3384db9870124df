"""How many people an announcement would reach, by channel, as they choose now."""

from dataclasses import dataclass
from uuid import UUID

from api.core.user.contract import UserCalls
from api.engagement.notification.announcement import ending
from api.engagement.notification.announcement.store import Announcement
from api.engagement.notification.device import store as devices
from api.engagement.notification.offers import DEFAULTS, Defaults
from api.engagement.notification.preference import store as preferences
from api.engagement.notification.preference.rules import pace_of
from api.engagement.notification.spreading import notices
from api.engagement.notification.spreading.notices import offered
from cluster.base.ids import UserId
from cluster.data import read
from cluster.people.calls import client
from cluster.people.org_settings import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """How many people are told, and by which channels. Of mail: who would be mailed if they did not read it before."""

    people: int = 0
    inbox: int = 0
    push: int = 0
    mail: int = 0


async def count(of: Announcement) -> Reached:
    """Count the people of an announcement, in pages."""
    offer = offered()[ending.COURSE if of.course_id else ending.ORGANIZATION]
    payload = {"org_id": str(of.org_id), "course_id": _text(of.course_id), "run_id": _text(of.run_id)}
    defaults = await setting(DEFAULTS, of.org_id)
    total = Reached()
    after: UUID | None = None
    while True:
        page = await notices.recipients(offer, payload, after)
        active = [each.id for each in await client(UserCalls).profiles(list(page))] if page else []
        if active:
            total = await _add(total, active, of.course_id, defaults)
        if len(page) < notices.PAGE:
            return total
        after = max(page)


async def _add(total: Reached, people: list[UserId], course_id: UUID | None, defaults: Defaults) -> Reached:
    async with read() as db:
        chosen = await preferences.list_preferences(db, people)
        with_device = await devices.list_people(db, people)
        muted = await preferences.list_mutes(db, people, [course_id]) if course_id else set[tuple[UserId, UUID]]()
    inbox = push = mail = 0
    for user_id in people:
        if course_id is not None and (user_id, course_id) in muted:
            continue
        paces = {
            channel: pace_of("announcement", channel, "normal", chosen=chosen[user_id].channels, defaults=defaults)
            for channel in ("inbox", "push", "mail")
        }
        inbox += paces["inbox"] != "off"
        push += paces["push"] != "off" and user_id in with_device
        mail += paces["mail"] != "off" and chosen[user_id].mail_works
    return Reached(
        people=total.people + len(people),
        inbox=total.inbox + inbox,
        push=total.push + push,
        mail=total.mail + mail,
    )


def _text(id: UUID | None) -> str | None:
    return None if id is None else str(id)
