"""Send what is due: claim it in one transaction, send it, note in another what came of it.

Between the two nothing is locked. Who dies there leaves a batch that the next one sends again under the same id: the same letter,
or a message that replaces the one before. What was held is decided anew: it may have been read, expired or switched off meanwhile.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from api.core.user.contract import UserCalls
from api.engagement.notification.batch import store as sent_store
from api.engagement.notification.contract import (
    AWAY_CHANNELS,
    AwayChannel,
    DeliveryId,
    NotificationDelivered,
    NotificationFailed,
    NotificationId,
    Reason,
    delivering,
)
from api.engagement.notification.delivery import mail, push, rules, store, texts
from api.engagement.notification.delivery.outgoing import Item, Outcome, Outgoing
from api.engagement.notification.delivery.rules import Hold, Send, Skip, Told
from api.engagement.notification.delivery.store import Move, Waiting
from api.engagement.notification.device import store as devices
from api.engagement.notification.inbox.logic import withdraw
from api.engagement.notification.offers import DEFAULTS, LETTERS_PER_HOUR
from api.engagement.notification.preference import store as preferences
from api.engagement.notification.preference.rules import pace_of
from api.engagement.notification.spreading import notices
from api.engagement.notification.spreading.logic import wishes_of
from api.engagement.notification.spreading.notices import offered
from api.learning.course.contract import CourseCalls
from cluster.base.ids import UserId, new_id
from cluster.base.principal import Principal
from cluster.data import Transaction, read, write
from cluster.events import emit
from cluster.jobs import JobRun, enqueue
from cluster.people.calls import client
from cluster.people.notices import NoticeText, Reader
from cluster.people.org_settings import setting

_ROWS = 500
"""Due rows of which people are taken at once."""
_SENDERS = {"push": push.send, "mail": mail.send, "sms": texts.send}


async def deliver(run: JobRun, channel: AwayChannel, shard: int, clock: Callable[[], datetime]) -> None:
    """Send what is due of a shard until nothing is, and have somebody come back when something will be."""
    while await _deliver_some(run, channel, shard, clock()):
        await run.extend()
    async with write(run.principal) as tx:
        next_due = await store.find_next_due(tx, channel, shard)
        if next_due is not None:
            job = delivering(channel, shard)
            enqueue(tx, job, at=max(next_due, tx.now), dedupe=job.dedupe)


async def enqueue_all(platform: Principal) -> None:
    """Have every shard looked after for which something waits."""
    async with write(platform) as tx:
        for channel in AWAY_CHANNELS:
            for shard in range(rules.SHARDS):
                next_due = await store.find_next_due(tx, channel, shard)
                if next_due is not None:
                    job = delivering(channel, shard)
                    enqueue(tx, job, at=max(next_due, tx.now), dedupe=job.dedupe)


async def _deliver_some(run: JobRun, channel: AwayChannel, shard: int, now: datetime) -> bool:
    """Send what is due for some people of a shard; return whether there was anything."""
    async with write(run.principal) as tx:
        broken_off = await sent_store.update_broken_off(tx, channel, shard, at=now, until=now + rules.CLAIM, limit=100)
    async with read() as db:
        again = await store.list_of_batches(db, broken_off) if broken_off else []
        people = await store.list_due_people(db, channel, shard, at=now, limit=_ROWS)
        waiting = await store.list_waiting(db, people, channel) if people else []
    if not people and not broken_off:
        return False
    plan = await _plan(channel, waiting, now)
    words = await _words([*plan.sends, *again])
    texts = words.texts
    gone = [each for each in (*plan.sends, *again) if each.id not in texts]
    resent = [
        words.outgoing(batch_id, items)
        for batch_id in broken_off
        if (items := [Item(each, texts[each.id]) for each in again if each.batch_id == batch_id and each.id in texts])
    ]
    batches = _batches(channel, [each for each in plan.sends if each.id in texts], words)
    claimed = await _claim(run, channel, shard, now, plan, batches, gone)
    outgoing = [*resent, *claimed]
    outcomes = await _SENDERS[channel](outgoing, now) if outgoing else []
    empty = set(broken_off) - {each.batch_id for each in resent}
    await _record(run, now, outcomes, empty)
    return True


@dataclass(slots=True)
class _Plan:
    sends: list[Waiting] = field(default_factory=list[Waiting])
    moves: list[Move] = field(default_factory=list[Move])


async def _plan(channel: AwayChannel, waiting: list[Waiting], now: datetime) -> _Plan:
    """Decide about everything that waits for these people."""
    plan = _Plan()
    if not waiting:
        return plan
    people = list(dict.fromkeys(each.user_id for each in waiting))
    zones = {each.id: each.time_zone for each in await client(UserCalls).profiles(people)}
    defaults = {org_id: await setting(DEFAULTS, org_id) for org_id in {each.org_id for each in waiting}}
    match channel:
        case "mail":
            limit, window = await setting(LETTERS_PER_HOUR, None), rules.LETTER_WINDOW
        case "sms":
            limit, window = rules.TEXTS, rules.TEXT_WINDOW
        case "push":
            limit, window = rules.PUSHES, rules.PUSH_WINDOW
    courses = list({each.course_id for each in waiting if each.course_id is not None})
    async with read() as db:
        chosen = await preferences.list_preferences(db, people)
        muted = await preferences.list_mutes(db, people, courses) if courses else set()
        sent = await sent_store.list_sent(db, people, channel, now - window)
    for user_id in people:
        if user_id not in zones:
            # The account is gone; what is left of it is erased.
            plan.moves += [_skip(each, "withdrawn") for each in waiting if each.user_id == user_id]
            continue
        ready: list[Waiting] = []
        soon: list[Waiting] = []
        for each in (each for each in waiting if each.user_id == user_id):
            pace = pace_of(
                each.category,
                channel,
                each.severity,
                chosen=chosen[user_id].channels,
                defaults=defaults[each.org_id],
            )
            is_muted = each.course_id is not None and (user_id, each.course_id) in muted
            wishes = wishes_of(chosen[user_id], pace, zone_name=zones[user_id], muted=is_muted)
            told = Told(
                severity=each.severity,
                created_at=each.created_at,
                expires_at=each.expires_at,
                read=each.read_at is not None,
            )
            match rules.decide(now, channel, told, wishes):
                case Send():
                    ready.append(each)
                case Hold(until, reason):
                    if reason is None:
                        soon.append(each)
                    plan.moves += _hold(each, until, reason)
                case Skip(reason):
                    plan.moves.append(_skip(each, reason))
        if channel == "mail" and not chosen[user_id].mail_works:
            plan.moves += [_skip(each, "bounced") for each in ready]
            continue
        before = sent.get(user_id)
        if before is not None and before.count >= limit:
            calm = [each for each in ready if each.severity != "security"]
            plan.moves += [move for each in calm for move in _hold(each, before.first_at + window, "rate")]
            ready = [each for each in ready if each.severity == "security"]
        if channel == "mail" and any(each.severity != "security" for each in ready):
            # One letter says it all: what came a little later is not a letter of its own.
            held = {each.id for each in soon}
            plan.moves = [move for move in plan.moves if move.id not in held]
            ready += soon
        plan.sends += ready
    return plan


def _hold(each: Waiting, until: datetime, reason: Reason | None) -> list[Move]:
    """Return the move that holds a delivery, none when it is held so already."""
    state = "planned" if reason is None else "held"
    if (each.state, each.reason, each.due_at) == (state, reason, until):
        return []
    return [Move(id=each.id, state=state, reason=reason, due_at=until, logged=reason is not None)]


def _skip(each: Waiting, reason: Reason) -> Move:
    return Move(id=each.id, state="skipped", reason=reason, due_at=each.due_at)


@dataclass(frozen=True, slots=True)
class _Words:
    """The words as they are now, in the language of each person."""

    texts: dict[DeliveryId, NoticeText]
    readers: dict[UserId, Reader]
    courses: dict[UUID, str]

    def outgoing(self, batch_id: UUID, items: list[Item]) -> Outgoing:
        return Outgoing(batch_id, self.readers[items[0].waiting.user_id], items, self.courses)


async def _words(waiting: list[Waiting]) -> _Words:
    """Ask the sources for the words as they are now; what is gone there has none."""
    if not waiting:
        return _Words({}, {}, {})
    people = list(dict.fromkeys(each.user_id for each in waiting))
    readers = {
        each.id: Reader(user_id=each.id, locale=each.locale, time_zone=each.time_zone)
        for start in range(0, len(people), 1000)
        for each in await client(UserCalls).profiles(people[start : start + 1000])
    }
    async with read() as db:
        payloads = await store.list_payloads(db, list({each.occasion_id for each in waiting}))
    told: dict[UUID, dict[UserId, None]] = {}
    for each in waiting:
        told.setdefault(each.occasion_id, {})[each.user_id] = None
    found: dict[tuple[UUID, UserId], NoticeText] = {}
    for occasion_id, payload in payloads.items():
        of = offered().get(payload.notice_slug)
        if of is not None:
            present = [readers[id] for id in told[occasion_id] if id in readers]
            texts = await notices.texts(of, payload.payload, present)
            found |= {(occasion_id, user_id): text for user_id, text in texts.items()}
    keys = {each.id: (each.occasion_id, each.user_id) for each in waiting}
    ids = list({text.course_id for text in found.values() if text.course_id is not None})
    courses = {
        id: title
        for start in range(0, len(ids), 1000)
        for id, title in (await client(CourseCalls).titles_of(ids[start : start + 1000])).items()
    }
    return _Words({id: found[key] for id, key in keys.items() if key in found}, readers, courses)


def _batches(channel: AwayChannel, sends: list[Waiting], words: _Words) -> list[Outgoing]:
    """Decide what goes together: what concerns security goes alone, the rest of a letter or text message is one."""
    by_person: dict[UserId, list[Item]] = {}
    batches: list[Outgoing] = []
    for each in sends:
        item = Item(each, words.texts[each.id])
        if each.severity == "security":
            batches.append(words.outgoing(new_id(), [item]))
        else:
            by_person.setdefault(each.user_id, []).append(item)
    for items in by_person.values():
        if channel != "push" or len(items) > rules.ONE_BY_ONE:
            batches.append(words.outgoing(new_id(), items))
        else:
            batches += [words.outgoing(new_id(), [item]) for item in items]
    return batches


async def _claim(
    run: JobRun,
    channel: AwayChannel,
    shard: int,
    now: datetime,
    plan: _Plan,
    batches: list[Outgoing],
    gone: list[Waiting],
) -> list[Outgoing]:
    """Note what was decided, and take what is to be sent; return what is ours of it."""
    async with write(run.principal) as tx:
        await run.still_mine(tx)
        if gone:
            ids: list[NotificationId] = [each.notification_id for each in gone]
            await withdraw(tx, ids, list(dict.fromkeys(each.user_id for each in gone)))
            await store.update_moved(tx, [_skip(each, "withdrawn") for each in gone], "sending")
        await store.update_moved(tx, plan.moves, "planned", "held")
        ours = await store.update_claimed(
            tx, {item.waiting.id: batch.batch_id for batch in batches for item in batch.items}
        )
        claimed = [
            replace(batch, items=items)
            for batch in batches
            if (items := [item for item in batch.items if item.waiting.id in ours])
        ]
        await sent_store.insert_batches(
            tx,
            {batch.batch_id: batch.user_id for batch in claimed},
            channel,
            shard,
            created_at=now,
            claimed_until=now + rules.CLAIM,
        )
    return claimed


async def _record(run: JobRun, now: datetime, outcomes: list[Outcome], empty: set[UUID]) -> None:
    """Note what came of it, and tell it."""
    async with write(run.principal) as tx:
        await store.insert_attempts(tx, [attempt for outcome in outcomes for attempt in outcome.attempts])
        moves = [move for outcome in outcomes for move in _moves_of(outcome, now)]
        for moved in await store.update_moved(tx, moves, "sending"):
            _tell(tx, moved)
        unsent = {outcome.outgoing.batch_id for outcome in outcomes if outcome.state != "delivered"}
        await sent_store.delete_batches(tx, list(unsent | empty))
        await sent_store.update_batches_done(
            tx, [outcome.outgoing.batch_id for outcome in outcomes if outcome.state == "delivered"]
        )
        await devices.update_ended(tx, {id: why for outcome in outcomes for id, why in outcome.ended_devices.items()})
        await devices.update_delivered(tx, [id for outcome in outcomes for id in outcome.reached_devices])


def _moves_of(outcome: Outcome, now: datetime) -> list[Move]:
    moves: list[Move] = []
    for item in outcome.outgoing.items:
        # The attempt that is noted now was counted when it was claimed.
        attempts = item.waiting.attempts + 1
        state, reason, due_at = outcome.state, outcome.reason, now
        age = now - item.waiting.created_at
        uncounted = not outcome.counts and age <= rules.GIVE_UP_AFTER
        if state == "planned" and uncounted:
            # Who was not even asked is asked as soon as the breaker lets somebody through.
            waited = age if reason == "retried" else timedelta()
            due_at = rules.defer_until(now, waited, outcome.retry_after_s)
        elif state == "planned":
            due_at = rules.retry_at(now, attempts, outcome.retry_after_s)
            if attempts >= rules.MAX_ATTEMPTS:
                state, reason, due_at = "failed", "unreachable", now
        moves.append(Move(id=item.waiting.id, state=state, reason=reason, due_at=due_at, uncounted=uncounted))
    return moves


def _tell(tx: Transaction, moved: store.Moved) -> None:
    if moved.channel == "sms":
        # Another release reads no such channel in these events; `GET .../deliveries` tells it.
        return
    ids: dict[str, Any] = {
        "delivery_id": moved.id,
        "notification_id": moved.notification_id,
        "user_id": moved.user_id,
        "channel": moved.channel,
    }
    if moved.state == "delivered":
        emit(tx, NotificationDelivered(**ids), version=moved.version)
    elif moved.state == "failed" and moved.reason not in (None, "no_number", "budget", "not_offered"):
        emit(tx, NotificationFailed(**ids, reason=moved.reason), version=moved.version)
