"""What a provider said of one message, and asking providers so that one that hangs takes no places from others."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from api.engagement.notification.contract import DeliveryState, Reason
from api.engagement.notification.delivery.breaker import breaker_of

log = logging.getLogger(__name__)
AT_ONCE = 32
_AT_ONCE_AT_A_HOST = 8
_AWAY = frozenset((500, 502, 503, 504))


@dataclass(frozen=True, slots=True)
class Answer:
    """`planned`: it may be tried again, and not before `retry_after_s`."""

    state: DeliveryState
    reason: Reason | None = None
    status: int | None = None
    retry_after_s: float | None = None
    ends: str | None = None
    """Why nothing reaches this device or number any more."""
    asked: bool = True
    counts: bool = True
    """It was an attempt; else the other side was away, which is no fault of the message."""


class Asking:
    """Asks providers, a few messages at once to each, and none that does not answer.

    `replaces`: a message that comes again replaces the first, so that one without an answer is no attempt either.
    """

    def __init__(self, limit_s: float, *, replaces: bool) -> None:
        self._limit_s = limit_s
        self._replaces = replaces
        self._places: dict[str, asyncio.Semaphore] = {}

    async def __call__(self, host: str, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        breaker = breaker_of(host)
        async with self._places.setdefault(host, asyncio.Semaphore(_AT_ONCE_AT_A_HOST)):
            wait_s = breaker.wait_s()
            if wait_s > 0:
                return Answer("planned", "unreachable", retry_after_s=wait_s, asked=False, counts=False)
            try:
                async with asyncio.timeout(self._limit_s):
                    answer = await ask()
            except TimeoutError:
                answer = Answer("planned", "retried")
            except Exception as error:
                # It says nothing of the host, and must not reach those who are told beside this one: an attempt, and no more.
                log.error("a message could not be sent", extra={"host": host}, exc_info=error)
                return Answer("planned", "retried")
        if answer.status is not None and answer.status not in _AWAY:
            breaker.answered()
        elif answer.state == "planned":
            breaker.failed()
        if answer.state == "planned" and self._is_away(answer):
            answer = replace(answer, counts=False)
        return answer

    def _is_away(self, answer: Answer) -> bool:
        if not answer.asked:
            return True
        return self._replaces if answer.status is None else answer.status == 429 or answer.status in _AWAY
