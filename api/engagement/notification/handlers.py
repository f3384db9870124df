"""What notification hears: every event of which a service offers a notice, sessions that end, and what becomes of letters."""

from api.core.auth.contract import EmailVerified, SessionEnded
from api.engagement.email.contract import LetterBounced, LetterUnsubscribed
from api.engagement.notification.announcement import process as announcements
from api.engagement.notification.contract import AnnouncementSent, AnnouncementStopped
from api.engagement.notification.delivery import store as deliveries
from api.engagement.notification.device import store as devices
from api.engagement.notification.preference import store as preferences
from api.engagement.notification.preference.rules import CATEGORIES
from api.engagement.notification.spreading import logic as spreading
from api.engagement.notification.spreading.notices import notices_of
from cluster.base.registry import offers
from cluster.data import Transaction
from cluster.events import Envelope, on
from cluster.people.notices import Notice


async def on_occasion(tx: Transaction, envelope: Envelope, event: object) -> None:
    """Begin to tell whom it concerns."""
    await spreading.begin(tx, envelope, notices_of(type(event)))


for _event in dict.fromkeys(notice.event for notice in offers(Notice)):
    if _event not in (AnnouncementSent, AnnouncementStopped):
        on(_event)(on_occasion)


@on(AnnouncementSent)
async def on_announcement_sent(tx: Transaction, envelope: Envelope, event: AnnouncementSent) -> None:
    """Begin to tell its people, unless it was stopped meanwhile."""
    await announcements.begin(tx, envelope, event)


@on(AnnouncementStopped)
async def on_announcement_stopped(tx: Transaction, envelope: Envelope, event: AnnouncementStopped) -> None:
    """Tell who scheduled it, when nobody stopped it."""
    await announcements.tell_of_stop(tx, envelope, event)


@on(SessionEnded)
async def on_session_ended(tx: Transaction, envelope: Envelope, event: SessionEnded) -> None:
    """Tell nothing any more in a browser in which the person signed out."""
    await devices.update_signed_out(tx, event.session_id)


@on(LetterBounced)
async def on_letter_bounced(tx: Transaction, envelope: Envelope, event: LetterBounced) -> None:
    """Mail nothing any more to an address that does not exist, until the person confirms one."""
    await deliveries.update_bounced(tx, event.letter_id)
    if event.hard and event.user_id is not None:
        await preferences.upsert_mail_works(tx, event.user_id, works=False)


@on(EmailVerified)
async def on_email_verified(tx: Transaction, envelope: Envelope, event: EmailVerified) -> None:
    """Mail again: the person reads the mail of this address."""
    await preferences.update_mail_works(tx, event.user_id)


@on(LetterUnsubscribed)
async def on_letter_unsubscribed(tx: Transaction, envelope: Envelope, event: LetterUnsubscribed) -> None:
    """Switch mail off for what the letter told of, as if the person had done it here."""
    if event.user_id is None or not event.template.startswith("notification."):
        return
    told = await deliveries.list_categories(tx, event.letter_id)
    categories = [each for each in CATEGORIES if each in told or each == event.category]
    given_up = {"category": event.category, "org_id": None if event.org_id is None else str(event.org_id)}
    await preferences.upsert_unsubscribed(
        tx,
        event.user_id,
        channels={category: {"mail": "off"} for category in categories},
        given_up={**given_up, "categories": categories},
    )
