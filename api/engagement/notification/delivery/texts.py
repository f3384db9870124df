"""Text messages: one for all that waits, with a link, to the phone that a person confirmed.

A provider knows no ids of ours: who dies after it took a message sends it a second time.
"""

import asyncio
from datetime import datetime

from api.engagement.notification.contract import Reason
from api.engagement.notification.delivery import digest
from api.engagement.notification.delivery.answers import AT_ONCE, Answer, Asking
from api.engagement.notification.delivery.outgoing import Outcome, Outgoing
from api.engagement.notification.delivery.store import Attempt
from api.engagement.notification.texting import budget, providers, segments, store
from api.engagement.notification.texting.budget import Cost
from cluster.base.principal import platform
from cluster.base.settings import settings
from cluster.data import read, write
from cluster.http.outbound import Outbound

LIMIT_S = 10.0


async def send(outgoing: list[Outgoing], now: datetime) -> list[Outcome]:
    """Send text messages side by side, and return what came of each."""
    provider = providers.provider()
    if provider is None:
        return [_skipped(each, "not_offered") for each in outgoing]
    async with read() as db:
        numbers = await store.list_numbers(db, list({each.user_id for each in outgoing}))
    ready = [each for each in outgoing if each.user_id in numbers]
    texts = [segments.fit(*words_of(each)) for each in ready]
    costs: list[Cost] = [
        (each.items[-1].waiting.org_id, text.segments) for each, text in zip(ready, texts, strict=True)
    ]
    month = budget.month_of(now)
    granted = await budget.take(costs, month)
    asking = Asking(LIMIT_S, replaces=False)
    async with Outbound(connections=AT_ONCE) as outbound:

        async def ask(to: str, body: str, *, paid: bool) -> Answer:
            if not paid:
                return Answer("skipped", "budget")
            return await asking(provider.host, lambda: provider.send(outbound, to, body))

        answers = await asyncio.gather(
            *(
                ask(numbers[each.user_id], text.body, paid=paid)
                for each, text, paid in zip(ready, texts, granted, strict=True)
            )
        )
    await budget.give_back(
        [
            cost
            for cost, paid, answer in zip(costs, granted, answers, strict=True)
            if paid and answer.state != "delivered"
        ],
        month,
    )
    ends = {
        numbers[each.user_id]: answer.ends
        for each, answer in zip(ready, answers, strict=True)
        if answer.ends is not None
    }
    if ends:
        async with write(platform("notification")) as tx:
            for number, reason in ends.items():
                await store.update_ended_number(tx, number, reason)
    told = {each.batch_id: _outcome(each, answer) for each, answer in zip(ready, answers, strict=True)}
    return [told.get(each.batch_id) or _skipped(each, "no_number") for each in outgoing]


def _skipped(outgoing: Outgoing, reason: Reason) -> Outcome:
    return Outcome(outgoing=outgoing, state="skipped", reason=reason)


def _outcome(outgoing: Outgoing, answer: Answer) -> Outcome:
    attempts = [
        Attempt(
            delivery_id=item.waiting.id,
            user_id=outgoing.user_id,
            state=answer.state,
            reason=answer.reason,
            device_id=None,
            status=answer.status,
        )
        for item in outgoing.items
        if answer.status is not None
    ]
    return Outcome(
        outgoing=outgoing,
        state=answer.state,
        reason=answer.reason,
        counts=answer.counts,
        retry_after_s=answer.retry_after_s,
        attempts=attempts,
    )


def words_of(outgoing: Outgoing) -> tuple[str, str]:
    """Return the words and the link of a message: of several notifications how many there are, and in which courses."""
    if len(outgoing.items) > 1:
        return digest.title_of(outgoing), f"{settings().public_url}/notifications"
    [item] = outgoing.items
    words = f"{item.text.title}\n{item.text.body}".strip()
    return words, settings().public_url + item.text.url
