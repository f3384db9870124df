"""A push service that hangs costs nothing to those of others, and gets what waited when it is back."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from api.engagement.notification.delivery import breaker
from api.engagement.notification.delivery import push as pushing
from cluster.base import breaker as breaking
from cluster.base.breaker import Breaker
from tests.api.engagement.notification.conftest import (
    PushService,
    deliveries,
    inbox,
    learner,
    publish_again,
    titles,
    with_browser,
)
from tests.api.learning.course.conftest import Draft
from tests.harness import Hub

At = Callable[[datetime], Any]


class HangingService:
    """Another push service, which takes messages and does not answer until it is mended."""

    def __init__(self, push: PushService) -> None:
        self.host = urlsplit(push.url.replace("127.0.0.1", "localhost")).netloc
        self.mended = asyncio.Event()
        self.asked = 0
        push.others = self.receive

    async def receive(self, _: web.Request) -> web.Response:
        self.asked += 1
        await self.mended.wait()
        return web.Response(status=201)


async def test_a_push_service_that_hangs_delays_nobody_else(
    hub: Hub,
    published: Draft,
    push: PushService,
    at: At,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Long enough for the service that answers, on a busy machine too.
    monkeypatch.setattr(pushing, "LIMIT_S", 4.0)
    opened = breaking.clock()
    monkeypatch.setattr(breaking, "clock", lambda: opened)
    hanging = HangingService(push)
    unlucky = [await learner(hub, published, f"unlucky-{number}") for number in range(20)]
    lucky = await learner(hub, published, "lucky")
    await hub.settle()
    for number, person in enumerate(unlucky):
        browser = push.browser()
        subscription = {**browser.subscription, "endpoint": f"http://{hanging.host}/others/{number}"}
        assert (await person.post("/v1/devices", subscription)).status_code == 201
    browser = await with_browser(push, lucky)

    await publish_again(published)
    await hub.settle()

    assert [message["title"] for message in browser.messages] == ["There is something new in Algebra, again"]
    assert {(await titles(person))[0] for person in unlucky} == {"There is something new in Algebra, again"}
    # Five in a row, and those of each shard that were under way beside them; the rest was not even tried.
    assert breaker.breaker_of(hanging.host).failures >= breaker.FAILURES
    assert hanging.asked < len(unlucky)
    reasons = {(await deliveries(person, (await inbox(person))[0]))["push"] for person in unlucky}
    assert ("planned", "unreachable") in reasons
    assert reasons <= {("planned", "unreachable"), ("planned", "retried")}

    hanging.mended.set()
    monkeypatch.setattr(pushing, "LIMIT_S", 15.0)
    monkeypatch.setattr(breaking, "clock", lambda: opened + 3600)
    for minutes in (60, 61, 62):
        await at(datetime.now(UTC) + timedelta(minutes=minutes))

    for person in unlucky:
        told = (await inbox(person))[0]
        assert (await deliveries(person, told))["push"] == ("delivered", None)
    assert len(browser.messages) == 1


def test_a_breaker_lets_one_attempt_through_and_waits_twice_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(breaking, "clock", lambda: now)
    made = Breaker(breaker.FAILURES)
    for _ in range(breaker.FAILURES - 1):
        made.failed()
    assert made.wait_s() == 0.0

    made.failed()
    assert made.wait_s() == 30.0
    now += 31
    assert (made.wait_s(), made.wait_s()) == (0.0, 60.0)
    made.failed()
    now += 61
    assert (made.wait_s(), made.wait_s()) == (0.0, 120.0)
    made.answered()

    assert (made.wait_s(), made.failures) == (0.0, 0)
