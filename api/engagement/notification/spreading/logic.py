"""From an event to the inboxes of the people whom it concerns: in pages, each in a transaction that says where the next begins."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from api.core.user.contract import Profile, UserCalls
from api.engagement.notification.announcement import ending
from api.engagement.notification.contract import (
    AWAY_CHANNELS,
    AwayChannel,
    Category,
    DeliveryId,
    NotificationId,
    Pace,
    Spread,
    delivering,
)
from api.engagement.notification.delivery import rules
from api.engagement.notification.delivery import store as deliveries
from api.engagement.notification.delivery.rules import Decision, Hold, Send, Skip, Told, Wishes
from api.engagement.notification.delivery.store import NewDelivery
from api.engagement.notification.device import store as devices
from api.engagement.notification.inbox import live
from api.engagement.notification.inbox import store as inboxes
from api.engagement.notification.offers import DEFAULTS, Defaults
from api.engagement.notification.preference import store as preferences
from api.engagement.notification.preference.rules import pace_of, windows_of, zone_of
from api.engagement.notification.preference.store import Preference
from api.engagement.notification.spreading import notices, store
from api.engagement.notification.spreading.notices import MAX_BODY, MAX_TITLE, Offered, offered
from api.engagement.notification.spreading.store import Arrival, Kind, Occasion
from api.engagement.notification.texting import providers
from api.engagement.notification.texting import store as phones
from cluster.base.ids import OrgId, UserId, new_id
from cluster.data import Transaction, read, write
from cluster.events import Envelope
from cluster.events.handling import describe
from cluster.jobs import JobRun, enqueue
from cluster.people.calls import client
from cluster.people.notices import Channel, Notice, NoticeText, Reader
from cluster.people.org_settings import setting

log = logging.getLogger(__name__)


async def begin(tx: Transaction, envelope: Envelope, told: Sequence[Notice]) -> list[UUID]:
    """Note these notices of an event, each with a job of its own: one that cannot be told holds up no other."""
    about = envelope.payload.get("user_id")
    ids: list[UUID] = []
    for notice in told:
        expires_at = None if notice.expires_after is None else envelope.time + notice.expires_after
        occasion = Occasion(
            id=uuid5(NAMESPACE_URL, f"notice:{notice.name}:{envelope.id}"),
            event_id=envelope.id,
            notice_slug=notice.name,
            payload=envelope.payload,
            org_id=envelope.org_id,
            state="spreading",
            after_id=None,
            happened_at=envelope.time,
            expires_at=expires_at,
        )
        if await store.insert_occasion(tx, occasion, None if about is None else UUID(str(about))):
            enqueue(tx, Spread(occasion_id=occasion.id), dedupe=str(occasion.id))
        ids.append(occasion.id)
    return ids


async def spread(run: JobRun, occasion_id: UUID) -> None:
    """Tell page after page of people, from where the last transaction ended. The next page is read while one is written."""
    occasion = await _find(occasion_id)
    ahead: asyncio.Task[_Page] | None = None
    try:
        while occasion is not None and occasion.state in ("spreading", "parked"):
            page = await (ahead or _read_page(occasion, occasion.after_id))
            ahead = asyncio.create_task(_read_page(occasion, page.last_id)) if page.more else None
            if await _write_page(run, occasion, page):
                state = "spreading" if page.more else "done"
                occasion = replace(occasion, after_id=page.last_id, state=state)
            else:
                # It was stopped, or somebody else was here: what was read ahead may be told already.
                ahead = _drop(ahead)
                occasion = await _find(occasion_id)
            if page.more:
                await run.extend()
    except Exception as error:
        _drop(ahead)
        if run.is_final(error):
            async with write(run.principal) as tx:
                await store.update_parked(tx, occasion_id, describe(error))
        raise
    except asyncio.CancelledError:
        _drop(ahead)
        raise
    if occasion is not None:
        await ending.end(run.principal, occasion.notice_slug, occasion_id)


async def _find(occasion_id: UUID) -> Occasion | None:
    async with read() as db:
        return await store.find_occasion(db, occasion_id)


def _drop(ahead: "asyncio.Task[_Page] | None") -> None:
    if ahead is not None:
        ahead.cancel()


async def _write_page(run: JobRun, occasion: Occasion, page: "_Page") -> bool:
    """Tell one page of people; False when the occasion does not stand before it any more, and nobody was told."""
    async with write(run.principal) as tx:
        await run.still_mine(tx)
        if not await store.lock_spreading(tx, occasion):
            return False
        told = await _arrive(tx, page)
        state = "spreading" if page.more else "done"
        await store.update_spread(tx, occasion, after_id=page.last_id, told=told, state=state)
    return True


class _Page:
    """A page of people with what decides how each is told."""

    def __init__(self, of: Offered | None, occasion: Occasion, last_id: UUID | None) -> None:
        self.of = of
        self.occasion = occasion
        self.last_id = last_id
        self.more = False
        self.texts: dict[UserId, NoticeText] = {}
        self.profiles: dict[UserId, Profile] = {}
        self.chosen: dict[UserId, Preference] = {}
        self.muted: set[tuple[UserId, UUID]] = set()
        self.with_device: set[UserId] = set()
        self.texting = False
        self.with_phone: set[UserId] = set()
        self.defaults: dict[OrgId | None, Defaults] = {}
        self.decisions: dict[tuple[object, ...], Decision] = {}
        """Of people who have chosen nothing: many are told alike."""


async def _read_page(occasion: Occasion, after: UUID | None) -> _Page:
    of = offered().get(occasion.notice_slug)
    people = [] if of is None else await notices.recipients(of, occasion.payload, after)
    page = _Page(of, occasion, max(people) if people else after)
    if of is None or not people:
        return page
    page.more = len(people) >= notices.PAGE
    page.profiles = {each.id: each for each in await client(UserCalls).profiles(list(people))}
    readers = [Reader(user_id=each.id, locale=each.locale, time_zone=each.time_zone) for each in page.profiles.values()]
    page.texts = await notices.texts(of, occasion.payload, readers)
    page.defaults = {org_id: await setting(DEFAULTS, org_id) for org_id in {t.org_id for t in page.texts.values()}}
    told = list(page.texts)
    page.texting = providers.provider() is not None
    courses = {text.course_id for text in page.texts.values() if text.course_id is not None}
    async with read() as db:
        page.chosen = await preferences.list_preferences(db, told)
        page.with_device = await devices.list_people(db, told)
        page.with_phone = set(await phones.list_numbers(db, told)) if page.texting else set()
        if courses:
            page.muted = await preferences.list_mutes(db, told, list(courses))
    return page


async def _arrive(tx: Transaction, page: _Page) -> int:
    """Put the notifications into the inboxes, and plan the other channels; return how many are new."""
    if page.of is None or not page.texts:
        return 0
    notice, occasion = page.of.notice, page.occasion
    await inboxes.lock_people(tx, list(page.texts))
    arrivals = {
        user_id: Arrival(
            id=NotificationId(new_id()),
            user_id=user_id,
            org_id=text.org_id,
            course_id=text.course_id,
            title=text.title[:MAX_TITLE],
            body=text.body[:MAX_BODY],
            url=text.url if text.url.startswith("/") else "/",
            hidden=_pace(page, notice, user_id, "inbox") == "off" or _is_muted(page, notice, user_id),
        )
        for user_id, text in page.texts.items()
    }
    kind = Kind(
        occasion_id=occasion.id,
        notice_slug=notice.name,
        category=notice.category,
        severity=notice.severity,
        topic_key=_topic_key(notice.topic, occasion.payload),
        expires_at=occasion.expires_at,
    )
    new = await store.insert_notifications(tx, kind, list(arrivals.values()))
    for user_id, seq in new.items():
        live.tell_inbox(tx, user_id, seq)
    channels: list[AwayChannel] = [
        each for each in AWAY_CHANNELS if each in notice.channels and (each != "sms" or page.texting)
    ]
    planned = [
        made
        for user_id in new
        for channel in channels
        # Hardly anybody wants text messages: what is off there has no row.
        if (made := _plan(page, notice, arrivals[user_id], channel, tx.now)).reason != "off" or channel != "sms"
    ]
    if planned:
        await deliveries.insert_deliveries(tx, planned)
        enqueue_deliveries(tx, planned)
    return len(new)


def enqueue_deliveries(tx: Transaction, planned: Sequence[NewDelivery]) -> None:
    """Have somebody look after each shard when the first of it is due."""
    due: dict[tuple[AwayChannel, int], datetime] = {}
    for each in planned:
        if each.state in ("planned", "held"):
            key = (each.channel, each.shard)
            due[key] = min(due.get(key, each.due_at), each.due_at)
    for (channel, shard), at in due.items():
        job = delivering(channel, shard)
        # None: at once by the clock of the database.
        enqueue(tx, job, at=None if at <= tx.now else at, dedupe=job.dedupe)


def _topic_key(topic: str | None, payload: dict[str, Any]) -> str | None:
    return None if topic is None else str(payload.get(topic, ""))


def _pace(page: _Page, notice: Notice, user_id: UserId, channel: Channel) -> Pace:
    category: Category = notice.category
    return pace_of(
        category,
        channel,
        notice.severity,
        chosen=page.chosen[user_id].channels,
        defaults=page.defaults[page.texts[user_id].org_id],
    )


def _is_muted(page: _Page, notice: Notice, user_id: UserId) -> bool:
    if not page.muted or notice.severity == "security":
        return False
    course_id = page.texts[user_id].course_id
    return course_id is not None and (user_id, course_id) in page.muted


def _decide(page: _Page, notice: Notice, user_id: UserId, channel: AwayChannel, now: datetime) -> Decision:
    """Decide how somebody is told by a channel; once for all who have chosen nothing and are told alike."""
    chosen, zone_name = page.chosen[user_id], page.profiles[user_id].time_zone
    muted = _is_muted(page, notice, user_id)
    reached = user_id in page.with_device if channel == "push" else channel == "mail" or user_id in page.with_phone
    alike = (channel, zone_name, muted, reached, page.texts[user_id].org_id) if chosen.version == 0 else None
    if alike is not None and (known := page.decisions.get(alike)) is not None:
        return known
    told = Told(severity=notice.severity, created_at=now, expires_at=page.occasion.expires_at)
    pace = _pace(page, notice, user_id, channel)
    decision = rules.decide(now, channel, told, wishes_of(chosen, pace, zone_name=zone_name, muted=muted))
    if not reached and not isinstance(decision, Skip):
        decision = Skip("no_device" if channel == "push" else "no_number")
    if alike is not None:
        page.decisions[alike] = decision
    return decision


def _plan(page: _Page, notice: Notice, arrival: Arrival, channel: AwayChannel, now: datetime) -> NewDelivery:
    user_id = arrival.user_id
    match _decide(page, notice, user_id, channel, now):
        case Send():
            state, reason, due_at = "planned", None, now
        case Hold(until, None):
            state, reason, due_at = "planned", None, until
        case Hold(until, reason):
            state, due_at = "held", until
        case Skip(reason):
            state, due_at = "skipped", now
    return NewDelivery(
        id=DeliveryId(new_id()),
        notification_id=arrival.id,
        user_id=user_id,
        channel=channel,
        shard=rules.shard_of(user_id),
        state=state,
        reason=reason,
        due_at=due_at,
    )


def wishes_of(preference: Preference, pace: Pace, *, zone_name: str, muted: bool) -> Wishes:
    """Return how a person wants to be told by a channel, of what they choose and where they are."""
    return Wishes(
        pace=pace,
        muted=muted,
        zone=zone_of(zone_name),
        windows=windows_of(preference.quiet_hours),
        do_not_disturb_until=preference.do_not_disturb_until,
        digest_hour=preference.digest_hour,
        digest_weekday=preference.digest_weekday,
    )
