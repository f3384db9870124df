"""All of these servers on one port, and the platform set up for them."""

from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web

from api.engagement.notification.delivery import breaker, push, texts
from api.engagement.notification.device import apns, fcm
from api.engagement.notification.texting import providers
from cluster.base.breaker import Breaker
from cluster.base.settings import settings
from tests.api.engagement.notification.conftest import PushService, deliveries, inbox
from tests.api.engagement.notification.texting import Twilio
from tests.api.engagement.notification.vendors.apps import KEY, TEAM, TOPIC, Apns, Fcm
from tests.api.engagement.notification.vendors.channels import Apps, Browsers, Channel, Texts
from tests.api.engagement.notification.vendors.port import listening
from tests.api.engagement.notification.vendors.sns import Sns
from tests.api.learning.course.conftest import Draft
from tests.harness import Person, done


@dataclass(slots=True)
class Vendors:
    browsers: Browsers
    elsewhere: Browsers
    """Another push service, at another host."""
    fcm: Fcm
    apns: Apns
    twilio: Twilio
    sns: Sns
    seconds: float = 0.0
    """How much later it is for them and for us than it is."""

    def channel(self, name: str) -> Channel:
        of: dict[str, Channel] = {
            "web_push": self.browsers,
            "fcm": Apps("fcm", self.fcm),
            "apns": Apps("apns", self.apns),
            "twilio": Texts(self.twilio),
            "sns": Texts(self.sns),
        }
        return of[name]


@pytest.fixture
async def vendors(servers: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Vendors]:
    def now() -> float:
        return datetime.now(UTC).timestamp() + made.seconds

    elsewhere = PushService()
    elsewhere.url = elsewhere.url.replace("127.0.0.1", "localhost")
    made = Vendors(
        *(Browsers(PushService()), Browsers(elsewhere)),
        *(Fcm(tmp_path, now), Apns(tmp_path, now), Twilio(), Sns()),
    )

    async def receive(request: web.Request) -> web.Response:
        is_elsewhere = request.path in made.elsewhere.service.browsers
        return await (made.elsewhere if is_elsewhere else made.browsers).receive(request)

    app = web.Application()
    app.router.add_post("/send/{id}", receive)
    app.router.add_post("/token", made.fcm.give_token)
    app.router.add_post("/v1/projects/{project}/messages:send", made.fcm.receive)
    app.router.add_post("/2010-04-01/Accounts/{account}/Messages.json", made.twilio.receive)
    app.router.add_post("/", made.sns.receive)
    named = replace(
        settings(),
        fcm_account_file=str(made.fcm.account),
        fcm_origin=made.fcm.origin,
        apns_key_file=str(made.apns.key_file),
        apns_key_id=KEY,
        apns_team_id=TEAM,
        apns_topic=TOPIC,
        apns_origin=made.apns.origin,
        sms_url=made.twilio.url,
    )
    for module in (fcm, apns, providers):
        monkeypatch.setattr(module, "settings", lambda: named)
    for module in (fcm, apns):
        monkeypatch.setattr(module, "clock", now)
    for module in (push, texts):
        # Whoever answers does so in time, however busy the machine is.
        monkeypatch.setattr(module, "LIMIT_S", 15.0)
    monkeypatch.setattr(breaker, "_breakers", OrderedDict[str, Breaker]())
    async with listening(app, made.apns.receive):
        yield made
        for channel in (made.browsers, *map(made.channel, ("fcm", "apns", "twilio", "sns"))):
            channel.mend()


async def enrol(person: Person, published: Draft) -> None:
    done(await person.post("/v1/enrollments", {"run_id": published.course["default_run_id"]}), 201)


async def state(person: Person, channel: Channel) -> tuple[str, str | None]:
    return (await deliveries(person, (await inbox(person))[0]))[channel.channel]
