"""Push: one message to every browser and app of a person."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import aiohttp

from api.engagement.notification.contract import DeliveryState, Reason
from api.engagement.notification.delivery import digest
from api.engagement.notification.delivery.answers import AT_ONCE, Answer, Asking
from api.engagement.notification.delivery.outgoing import Outcome, Outgoing
from api.engagement.notification.delivery.store import Attempt
from api.engagement.notification.device import apns, fcm, store, webpush
from api.engagement.notification.device.message import URGENCIES, Message, Urgency, topic_of
from api.engagement.notification.device.replies import retry_after_s
from api.engagement.notification.device.store import Device
from cluster.data import read
from cluster.http.outbound import Outbound, OutboundRefused
from cluster.people.notices import Severity

LIMIT_S = 5.0
"""For one message. A push service that takes longer has a fault, and others wait for it."""
_LONGEST_TTL = timedelta(days=3)
_URGENCY: dict[Severity, Urgency] = {"low": "low", "normal": "normal", "high": "high", "security": "high"}
_TRY_AGAIN = frozenset((408, 425, 429))
_GONE = frozenset((404, 410))
_NOT_OFFERED = Answer("skipped", "no_device")
"""The operator has switched this kind off again."""


async def send(outgoing: list[Outgoing], now: datetime) -> list[Outcome]:
    """Send messages side by side, and return what came of each, in their order."""
    async with read() as db:
        devices = await store.list_of_people(db, list({each.user_id for each in outgoing}))
    async with Outbound(connections=AT_ONCE) as outbound:
        asking = Asking(LIMIT_S, replaces=True)

        async def post(device: Device, message: Message) -> Answer:
            return await asking(_host(device), lambda: _post(outbound, device, message))

        return list(await asyncio.gather(*(_send(post, each, devices.get(each.user_id, []), now) for each in outgoing)))


async def _send(
    post: Callable[[Device, Message], Awaitable[Answer]], outgoing: Outgoing, devices: list[Device], now: datetime
) -> Outcome:
    message = message_of(outgoing, now)
    answers = await asyncio.gather(*(post(device, message) for device in devices))
    attempts = [
        Attempt(
            delivery_id=item.waiting.id,
            user_id=outgoing.user_id,
            state=answer.state,
            reason=answer.reason,
            device_id=device.id,
            status=answer.status,
        )
        for item in outgoing.items
        for device, answer in zip(devices, answers, strict=True)
    ]
    state, reason = _sum_up([answer.state for answer in answers])
    asked = any(answer.asked for answer in answers if answer.state == "planned")
    if state == "planned" and not asked:
        reason = "unreachable"
    return Outcome(
        outgoing=outgoing,
        state=state,
        reason=reason,
        counts=state != "planned" or any(answer.counts for answer in answers if answer.state == "planned"),
        retry_after_s=max((answer.retry_after_s or 0.0 for answer in answers), default=0.0),
        attempts=attempts,
        ended_devices={
            device.id: answer.ends for device, answer in zip(devices, answers, strict=True) if answer.ends is not None
        },
        reached_devices=[
            device.id for device, answer in zip(devices, answers, strict=True) if answer.state == "delivered"
        ],
    )


def _sum_up(states: list[DeliveryState]) -> tuple[DeliveryState, Reason | None]:
    """Return what became of a message: who was reached on one device was reached."""
    if "delivered" in states:
        return "delivered", None
    if "planned" in states:
        return "planned", "retried"
    return ("failed", "refused") if "failed" in states else ("skipped", "no_device")


async def _post(outbound: Outbound, device: Device, message: Message) -> Answer:
    try:
        match device.kind:
            case "web_push":
                return await _post_to_browser(outbound, device, message)
            case "fcm":
                return await fcm.post(outbound, device.token, message) if fcm.is_offered() else _NOT_OFFERED
            case "apns":
                return await apns.post(device.token, device.created_at, message) if apns.is_offered() else _NOT_OFFERED
    except OutboundRefused:
        # A name that leads into our own network now may be right again later: the device stays.
        return Answer("failed", "refused")
    except (aiohttp.ClientError, TimeoutError, OSError):
        return Answer("planned", "retried")


async def _post_to_browser(outbound: Outbound, device: Device, message: Message) -> Answer:
    assert device.vapid_key is not None
    assert device.p256dh is not None
    assert device.auth_secret is not None
    try:
        headers = webpush.headers(device.endpoint, device.vapid_key, message)
    except KeyError:
        return Answer("skipped", "no_device", ends="key")
    body = webpush.encrypt(webpush.plain_of(message), device.p256dh, device.auth_secret)
    reply = await outbound.post(device.endpoint, body=body, headers=headers)
    status = reply.status
    if 200 <= status < 300:
        return Answer("delivered", status=status)
    if status in _GONE:
        return Answer("skipped", "no_device", status=status, ends="gone")
    if status in _TRY_AGAIN or status >= 500:
        return Answer("planned", "retried", status=status, retry_after_s=retry_after_s(reply))
    return Answer("failed", "refused", status=status)


def _host(device: Device) -> str:
    match device.kind:
        case "web_push":
            return urlsplit(device.endpoint).netloc
        case "fcm":
            return fcm.host()
        case "apns":
            return apns.host()


def message_of(outgoing: Outgoing, now: datetime) -> Message:
    """Make the message: of several notifications one that counts them and names the newest."""
    newest = outgoing.items[-1]
    waiting, text = newest.waiting, newest.text
    if len(outgoing.items) == 1:
        tag = f"{waiting.notice_slug} {waiting.topic_key or waiting.notification_id}"
        title, body, url = text.title, text.body[:300], text.url
    else:
        tag, title, url = "digest", digest.title_of(outgoing), "/notifications"
        body = "\n".join(item.text.title for item in outgoing.items[-3:])
    ends = [item.waiting.expires_at for item in outgoing.items if item.waiting.expires_at is not None]
    left = min([_LONGEST_TTL, *(end - now for end in ends)])
    return Message(
        title=title,
        body=body,
        url=url,
        id=str(waiting.notification_id),
        seq=max(item.waiting.seq for item in outgoing.items),
        tag=topic_of(tag),
        topic=f"{outgoing.user_id} {tag}",
        ttl_s=max(0, int(left.total_seconds())),
        urgency=URGENCIES[max(URGENCIES.index(_URGENCY[item.waiting.severity]) for item in outgoing.items)],
    )
