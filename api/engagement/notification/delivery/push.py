"""Push: one message to every browser of a person."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import aiohttp
import orjson

from api.engagement.notification.contract import DeliveryState, Reason
from api.engagement.notification.delivery import digest
from api.engagement.notification.delivery.answers import AT_ONCE, Answer, Asking
from api.engagement.notification.delivery.outgoing import Outcome, Outgoing
from api.engagement.notification.delivery.store import Attempt
from api.engagement.notification.device import store, webpush
from api.engagement.notification.device.store import Device
from api.engagement.notification.device.webpush import Message
from cluster.data import read
from cluster.http.outbound import Outbound, OutboundRefused

LIMIT_S = 5.0
"""For one message. A push service that takes longer has a fault, and others wait for it."""
_LONGEST_TTL = timedelta(days=3)
_URGENCY = {"low": "low", "normal": "normal", "high": "high", "security": "high"}
_TRY_AGAIN = frozenset((408, 425, 429))
_GONE = frozenset((404, 410))


async def send(outgoing: list[Outgoing], now: datetime) -> list[Outcome]:
    """Send messages side by side, and return what came of each, in their order."""
    async with read() as db:
        devices = await store.list_of_people(db, list({each.user_id for each in outgoing}))
    async with Outbound(connections=AT_ONCE) as outbound:
        asking = Asking(LIMIT_S)

        async def post(device: Device, message: Message) -> Answer:
            return await asking(urlsplit(device.endpoint).netloc, lambda: _post(outbound, device, message))

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
        counts=state != "planned" or asked,
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
        headers = webpush.headers(device.endpoint, device.vapid_key, message)
        body = webpush.encrypt(message.plain, device.p256dh, device.auth_secret)
        reply = await outbound.post(device.endpoint, body=body, headers=headers)
    except KeyError:
        return Answer("skipped", "no_device", ends="key")
    except OutboundRefused:
        # A name that leads into our own network now may be right again later: the device stays.
        return Answer("failed", "refused")
    except (aiohttp.ClientError, TimeoutError, OSError):
        return Answer("planned", "retried")
    status = reply.status
    if 200 <= status < 300:
        return Answer("delivered", status=status)
    if status in _GONE:
        return Answer("skipped", "no_device", status=status, ends="gone")
    if status in _TRY_AGAIN or status >= 500:
        return Answer("planned", "retried", status=status, retry_after_s=webpush.retry_after_s(reply))
    return Answer("failed", "refused", status=status)


def message_of(outgoing: Outgoing, now: datetime) -> Message:
    """Make the message: of several notifications one that counts them and names the newest."""
    newest = outgoing.items[-1]
    waiting, text = newest.waiting, newest.text
    if len(outgoing.items) == 1:
        tag = f"{waiting.notice_slug} {waiting.topic_key or waiting.notification_id}"
        shown = {"title": text.title, "body": text.body[:300], "url": text.url}
    else:
        tag = "digest"
        shown = {
            "title": digest.title_of(outgoing),
            "body": "\n".join(item.text.title for item in outgoing.items[-3:]),
            "url": "/notifications",
        }
    ends = [item.waiting.expires_at for item in outgoing.items if item.waiting.expires_at is not None]
    left = min([_LONGEST_TTL, *(end - now for end in ends)])
    plain: dict[str, object] = {
        **shown,
        "id": str(waiting.notification_id),
        "seq": max(item.waiting.seq for item in outgoing.items),
        "tag": webpush.topic_of(tag),
    }
    return Message(
        plain=_fitting(plain),
        topic=f"{outgoing.user_id} {tag}",
        ttl_s=max(0, int(left.total_seconds())),
        urgency=max((_URGENCY[item.waiting.severity] for item in outgoing.items), key=("low", "normal", "high").index),
    )


def _fitting(plain: dict[str, object]) -> bytes:
    """Return the JSON, without what is beyond the length of a message."""
    content = orjson.dumps(plain)
    if len(content) > webpush.MAX_PLAIN_BYTES:
        content = orjson.dumps({**plain, "body": "", "url": "/notifications"})
    return content
