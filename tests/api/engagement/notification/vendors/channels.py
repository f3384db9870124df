"""Each way out of the platform, in the same words: somebody is reached at an address, which its service takes, loses or refuses."""

import asyncio
from typing import Any, Literal, Protocol

from aiohttp import web

from tests.api.engagement.notification.conftest import Browser, PushService, choose
from tests.api.engagement.notification.texting import CONFIRM, PHONE, Twilio, new_number
from tests.api.engagement.notification.vendors.apps import Apns, App, Fcm, apns_fault, fcm_fault
from tests.api.engagement.notification.vendors.port import Reply
from tests.api.engagement.notification.vendors.sns import Sns, sns_fault
from tests.harness import Person, done


class Channel(Protocol):
    channel: Literal["push", "sms"]
    replaces: bool
    """A message that comes again replaces the first."""

    async def reach(self, person: Person) -> str:
        """Let somebody be told at a new address, and return it."""
        ...

    def shown(self, address: str) -> list[str]:
        """Return the titles that stand on the device."""
        ...

    def got(self, address: str) -> int:
        """Return how many messages came."""
        ...

    def be_away(self, address: str, times: int) -> None:
        """Refuse the next messages, as one that is overloaded does."""
        ...

    def lose(self, address: str) -> None:
        """Take the next message and give no answer."""
        ...

    def end(self, address: str) -> None:
        """Let there be no such device any more."""
        ...

    def hang(self) -> None: ...
    def mend(self) -> None: ...
    def asked(self) -> int: ...


class Browsers:
    """Web Push."""

    channel: Literal["push", "sms"] = "push"
    replaces = True

    def __init__(self, service: PushService) -> None:
        self.service = service
        self.browsers: dict[str, Browser] = {}
        self.lost: set[str] = set()
        self.mended: asyncio.Event | None = None
        self.count = 0

    async def reach(self, person: Person) -> str:
        browser = self.service.browser()
        done(await person.post("/v1/devices", browser.subscription), 201)
        self.browsers[browser.endpoint] = browser
        return browser.endpoint

    async def receive(self, request: web.Request) -> web.Response:
        if request.path not in self.service.browsers:
            # A browser of another test.
            return web.Response(status=410)
        self.count += 1
        if self.mended is not None:
            await self.mended.wait()
        answer = await self.service.receive(request)
        if request.path in self.lost:
            self.lost.discard(request.path)
            assert request.transport is not None
            request.transport.abort()
        return answer

    def shown(self, address: str) -> list[str]:
        browser = self.browsers[address]
        by_topic = {each["Topic"]: text for each, text in zip(browser.headers, browser.messages, strict=True)}
        return [message["title"] for message in by_topic.values()]

    def got(self, address: str) -> int:
        return len(self.browsers[address].messages)

    def be_away(self, address: str, times: int) -> None:
        self.service.answers[self._path(address)] = [(503, {})] * times

    def lose(self, address: str) -> None:
        self.lost.add(self._path(address))

    def end(self, address: str) -> None:
        self.service.answers[self._path(address)] = [(410, {})] * 9

    def hang(self) -> None:
        self.mended = asyncio.Event()

    def mend(self) -> None:
        if self.mended is not None:
            self.mended.set()

    def asked(self) -> int:
        return self.count

    def _path(self, address: str) -> str:
        return address.removeprefix(self.service.url)


class Apps:
    """FCM or APNs."""

    channel: Literal["push", "sms"] = "push"
    replaces = True

    def __init__(self, kind: Literal["fcm", "apns"], service: Fcm | Apns) -> None:
        self.kind, self.service = kind, service

    async def reach(self, person: Person) -> str:
        app = self.service.app()
        done(await person.post("/v1/devices", {"kind": self.kind, "token": app.token, "name": "A phone"}), 201)
        return app.token

    def app(self, address: str) -> App:
        return self.service.apps[address]

    def shown(self, address: str) -> list[str]:
        return [title_of(message) for message in self.app(address).shown.values()]

    def got(self, address: str) -> int:
        return len(self.app(address).messages)

    def be_away(self, address: str, times: int) -> None:
        def away() -> web.Response | Reply:
            return fcm_fault(503, "UNAVAILABLE") if self.kind == "fcm" else apns_fault(503, "ServiceUnavailable")

        self.service.mood.says[address] = [away() for _ in range(times)]

    def lose(self, address: str) -> None:
        self.service.mood.loses.add(address)

    def end(self, address: str) -> None:
        if isinstance(self.service, Apns):
            self.service.ended[address] = int(self.service.now() * 1000)
        else:
            self.service.mood.says[address] = [fcm_fault(404, "UNREGISTERED") for _ in range(9)]

    def hang(self) -> None:
        self.service.mood.mended = asyncio.Event()

    def mend(self) -> None:
        if self.service.mood.mended is not None:
            self.service.mood.mended.set()

    def asked(self) -> int:
        return self.service.mood.asked


def title_of(message: dict[str, Any]) -> str:
    return message["aps"]["alert"]["title"] if "aps" in message else message["notification"]["title"]


class Texts:
    """Text messages by Twilio or SNS, which know no ids of ours."""

    channel: Literal["push", "sms"] = "sms"
    replaces = False

    def __init__(self, service: Twilio | Sns) -> None:
        self.service = service

    async def reach(self, person: Person) -> str:
        number = new_number()
        done(await person.put(PHONE, {"number": number}))
        code = self.service.sent[number].pop()[:6]
        done(await person.post(CONFIRM, {"code": code}))
        await choose(person, categories={"learning": {"sms": "at_once"}})
        return number

    def shown(self, address: str) -> list[str]:
        return [text.splitlines()[0] for text in self.service.sent.get(address, [])]

    def got(self, address: str) -> int:
        return len(self.service.sent.get(address, []))

    def be_away(self, address: str, times: int) -> None:
        if isinstance(self.service, Twilio):
            self.service.answers[address] = [(503, {})] * times
        else:
            self.service.says[address] = [sns_fault(503, "ServiceUnavailable") for _ in range(times)]

    def lose(self, address: str) -> None:
        self.service.loses.add(address)

    def end(self, address: str) -> None:
        (self.service.stopped if isinstance(self.service, Twilio) else self.service.opted_out).add(address)

    def hang(self) -> None:
        self.service.mended = asyncio.Event()

    def mend(self) -> None:
        if self.service.mended is not None:
            self.service.mended.set()

    def asked(self) -> int:
        return self.service.asked
