"""What every way out of the platform keeps to, against servers that check what the vendors' check, and that fail as they do."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api.engagement.notification.delivery import breaker, push, rules, texts
from api.engagement.notification.device import keys
from api.engagement.notification.texting import providers
from cluster.base import breaker as breaking
from cluster.base.settings import settings
from cluster.data import read
from tests.api.engagement.notification.conftest import publish_again, titles
from tests.api.engagement.notification.vendors.apps import (
    apns_fault,
    fcm_fault,
    generate_ec,
    generate_rsa,
    pem,
)
from tests.api.engagement.notification.vendors.channels import Channel
from tests.api.engagement.notification.vendors.everybody import Vendors, enrol, state, vendors
from tests.api.engagement.notification.vendors.sns import ACCESS, REGION, SECRET
from tests.api.learning.course.conftest import Draft
from tests.harness import Hub, Person, done, problem

__all__ = ["vendors"]
At = Callable[[datetime], Any]
ENROLLED = "You are enrolled in Algebra"


@pytest.fixture(params=["web_push", "fcm", "apns", "twilio", "sns"])
def channel(request: pytest.FixtureRequest, vendors: Vendors, monkeypatch: pytest.MonkeyPatch) -> Channel:
    if request.param == "sns":
        monkeypatch.setenv("AWS_ENDPOINT_URL_SNS", f"http://127.0.0.1:{settings().outbound_loopback_port}")
        named = replace(providers.settings(), sms_url=f"sns://{ACCESS}:{SECRET}@{REGION}?sender=School")
        monkeypatch.setattr(providers, "settings", lambda: named)
    return vendors.channel(request.param)


async def attempts(person: Person, channel: Channel) -> list[int]:
    async with read() as db:
        found = await db.rows(
            "SELECT attempts FROM notification.deliveries WHERE user_id = $1 AND channel = $2 ORDER BY id",
            *(person.id, channel.channel),
        )
    return [row["attempts"] for row in found]


def later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let breakers think that it is later, and stays so."""
    moment = breaking.clock() + seconds
    monkeypatch.setattr(breaking, "clock", lambda: moment)


async def test_a_message_arrives_with_its_words(hub: Hub, published: Draft, channel: Channel) -> None:
    person = await hub.person("tariq")
    address = await channel.reach(person)

    await enrol(person, published)
    await hub.settle()

    assert (channel.shown(address), channel.got(address)) == ([ENROLLED], 1)
    assert await state(person, channel) == ("delivered", None)
    assert await attempts(person, channel) == [1]


async def test_a_lost_answer_shows_a_message_once(hub: Hub, published: Draft, channel: Channel, at: At) -> None:
    person = await hub.person("tariq")
    address = await channel.reach(person)
    channel.lose(address)

    await enrol(person, published)
    await hub.settle()
    assert await state(person, channel) == ("planned", "retried")
    await at(datetime.now(UTC) + timedelta(minutes=1))

    assert await state(person, channel) == ("delivered", None)
    # Who sends text messages knows no ids of ours: it is the one window in which somebody is told twice.
    assert (channel.got(address), channel.shown(address)) == (2, [ENROLLED] if channel.replaces else [ENROLLED] * 2)


async def test_a_repeated_message_replaces_the_first(
    hub: Hub, published: Draft, vendors: Vendors, at: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = await hub.person("tariq")
    channels = [vendors.channel(name) for name in ("web_push", "fcm", "apns")]
    addresses = [await channel.reach(person) for channel in channels]
    await enrol(person, published)
    await hub.settle()
    async with read() as db:
        # As it stands when the sender dies after the answers and before they are noted.
        await db.run(
            "UPDATE notification.deliveries SET state = 'sending' WHERE user_id = $1 AND channel = 'push'", person.id
        )
        await db.run(
            "UPDATE notification.batches SET state = 'sending', claimed_until = now() WHERE user_id = $1", person.id
        )

    await at(datetime.now(UTC) + timedelta(minutes=3))

    for channel, address in zip(channels, addresses, strict=True):
        assert (channel.got(address), channel.shown(address)) == (2, [ENROLLED])


async def test_an_ended_device_is_told_nothing_more(hub: Hub, published: Draft, channel: Channel) -> None:
    person = await hub.person("tariq")
    address = await channel.reach(person)
    channel.end(address)

    await enrol(person, published)
    await hub.settle()
    missing = "no_device" if channel.channel == "push" else "no_number"
    assert await state(person, channel) == ("skipped", missing)
    asked = channel.asked()
    await publish_again(published)
    await hub.settle()

    assert len(await titles(person)) == 2
    assert await state(person, channel) == ("skipped", missing)
    assert (channel.asked(), channel.got(address)) == (asked, 0)
    if channel.channel == "push":
        assert done(await person.get("/v1/devices"))["items"] == []


async def test_an_outage_defers_and_uses_no_attempt(
    hub: Hub, published: Draft, channel: Channel, at: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "MAX_ATTEMPTS", 2)
    person = await hub.person("tariq")
    address = await channel.reach(person)
    channel.be_away(address, 4)

    await enrol(person, published)
    await hub.settle()
    now = datetime.now(UTC)
    for hours in (1, 2, 3):
        assert await state(person, channel) == ("planned", "retried")
        assert await attempts(person, channel) == [0]
        await at(now + timedelta(hours=hours))
    await at(now + timedelta(hours=4))

    assert await state(person, channel) == ("delivered", None)
    assert (channel.shown(address), await attempts(person, channel)) == ([ENROLLED], [1])


async def test_a_service_that_hangs_holds_nobody_else_up(
    hub: Hub, published: Draft, vendors: Vendors, channel: Channel, at: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breaker, "FAILURES", 1)
    unlucky = [await hub.person(f"unlucky-{number}") for number in range(3)]
    lucky = await hub.person("lucky")
    addresses = [await channel.reach(person) for person in unlucky]
    browser = await vendors.elsewhere.reach(lucky)
    for module in (push, texts):
        # Long enough for the service that answers, on a busy machine too.
        monkeypatch.setattr(module, "LIMIT_S", 4.0)
    # The breaker stays open however long this takes.
    later(monkeypatch, 0)
    channel.hang()

    for person in (*unlucky, lucky):
        await enrol(person, published)
    await hub.settle()

    assert vendors.elsewhere.shown(browser) == [ENROLLED]
    assert {await state(person, channel) for person in unlucky} <= {("planned", "retried"), ("planned", "unreachable")}
    asked = channel.asked()
    await at(datetime.now(UTC) + timedelta(seconds=20))
    assert channel.asked() == asked

    channel.mend()
    for module in (push, texts):
        monkeypatch.setattr(module, "LIMIT_S", 15.0)
    later(monkeypatch, 3600)
    for minutes in (60, 90, 120):
        await at(datetime.now(UTC) + timedelta(minutes=minutes))
    assert [await state(person, channel) for person in unlucky] == [("delivered", None)] * 3
    if channel.replaces:
        assert [channel.shown(address) for address in addresses] == [[ENROLLED]] * 3


async def test_googles_token_is_exchanged_once_and_renewed(
    hub: Hub, published: Draft, vendors: Vendors, at: At
) -> None:
    service, phones = vendors.fcm, vendors.channel("fcm")
    people = [await hub.person(f"pupil-{number}") for number in range(6)]
    addresses = [await phones.reach(person) for person in people]
    for person in people:
        await enrol(person, published)
    await hub.settle()
    assert [phones.shown(address) for address in addresses] == [[ENROLLED]] * 6
    assert service.exchanges == 1

    # Near its end it is renewed unasked, and one that Google takes back is renewed once for all.
    vendors.seconds = 3400.0
    await publish_again(published)
    await hub.settle()
    assert (service.exchanges, service.mood.asked) == (2, 12)
    service.tokens.clear()
    await publish_again(published, "Algebra, once more")
    await hub.settle()

    assert [phones.got(address) for address in addresses] == [3] * 6
    assert service.exchanges <= 2 + 6

    # Without a token nobody is asked, and nothing is used up.
    service.closed = True
    service.tokens.clear()
    await publish_again(published, "Algebra, at last")
    await hub.settle()
    assert await state(people[0], phones) == ("planned", "unreachable")
    assert (await attempts(people[0], phones))[-1] == 0


async def test_apples_token_is_signed_for_forty_minutes(hub: Hub, published: Draft, vendors: Vendors, at: At) -> None:
    service, phones = vendors.apns, vendors.channel("apns")
    people = [await hub.person(f"pupil-{number}") for number in range(2)]
    addresses = [await phones.reach(person) for person in people]
    for person in people:
        await enrol(person, published)
    await hub.settle()
    signed = len(service.bearers)
    assert signed == 1

    vendors.seconds = 2400.0
    await publish_again(published)
    await hub.settle()

    assert len(service.bearers) == 2
    assert [phones.got(address) for address in addresses] == [2, 2]


async def test_a_key_that_is_not_ours_loses_nothing(hub: Hub, published: Draft, vendors: Vendors, at: At) -> None:
    person, phones = await hub.person("tariq"), [vendors.channel("fcm"), vendors.channel("apns")]
    addresses = [await channel.reach(person) for channel in phones]
    right = vendors.fcm.key, vendors.apns.key
    vendors.fcm.key, vendors.apns.key = generate_rsa(), generate_ec()

    await enrol(person, published)
    await hub.settle()
    assert await state(person, phones[0]) == ("planned", "unreachable")
    assert await attempts(person, phones[0]) == [0]
    vendors.fcm.key, vendors.apns.key = right
    await at(datetime.now(UTC) + timedelta(minutes=2))

    assert [channel.shown(address) for channel, address in zip(phones, addresses, strict=True)] == [[ENROLLED]] * 2


@pytest.mark.parametrize(
    "content", [None, "", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "other"]
)
async def test_a_key_file_that_is_none_stops_no_browser(
    hub: Hub,
    published: Draft,
    vendors: Vendors,
    at: At,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    content: str | None,
) -> None:
    monkeypatch.setattr(rules, "SHARDS", 1)
    monkeypatch.setattr(keys, "_told", {})
    names = ("fcm", "apns", "web_push")
    people = [await hub.person(name) for name in names]
    channels = [vendors.channel(name) for name in names]
    addresses = [await channel.reach(person) for channel, person in zip(channels, people, strict=True)]
    files = {vendors.fcm.account: vendors.fcm.account.read_text(), vendors.apns.key_file: pem(vendors.apns.key)}
    account = json.loads(files[vendors.fcm.account])
    # The key of the other one is a key, but none that signs here.
    swapped = {vendors.fcm.account: pem(vendors.apns.key), vendors.apns.key_file: pem(vendors.fcm.key)}
    for path, other in swapped.items():
        wrong = other if content == "other" else content
        if wrong is None:
            path.unlink()
        else:
            path.write_text(json.dumps(account | {"private_key": wrong}) if path == vendors.fcm.account else wrong)

    for person in people:
        await enrol(person, published)
    await hub.settle()

    assert vendors.browsers.shown(addresses[2]) == [ENROLLED]
    for person, channel in zip(people[:2], channels, strict=False):
        assert (await state(person, channel), await attempts(person, channel)) == (("planned", "unreachable"), [0])
    told = [record.message for record in caplog.records if record.name == keys.log.name]
    assert sorted(text.split()[0] for text in told) == ["HUB_APNS_KEY_FILE", "HUB_FCM_ACCOUNT_FILE"]

    # Nobody has to start anything again once it is mended.
    for path, right in files.items():
        path.write_text(right)
    await at(datetime.now(UTC) + timedelta(minutes=2))

    assert [channel.shown(each) for channel, each in zip(channels, addresses, strict=True)] == [[ENROLLED]] * 3


async def test_an_old_farewell_ends_no_app_that_came_back(hub: Hub, published: Draft, vendors: Vendors, at: At) -> None:
    person, phones = await hub.person("tariq"), vendors.channel("apns")
    address = await phones.reach(person)
    old = int((vendors.apns.now() - 60) * 1000)
    vendors.apns.mood.says[address] = [apns_fault(410, "Unregistered", timestamp=old)]

    await enrol(person, published)
    await hub.settle()
    assert await state(person, phones) == ("planned", "retried")
    await at(datetime.now(UTC) + timedelta(minutes=1))

    assert phones.shown(address) == [ENROLLED]
    assert len(done(await person.get("/v1/devices"))["items"]) == 1


async def test_who_is_told_to_wait_waits(hub: Hub, published: Draft, vendors: Vendors, at: At) -> None:
    people = [await hub.person(name) for name in ("android", "apple")]
    phones = [vendors.channel("fcm"), vendors.channel("apns")]
    addresses = [await channel.reach(person) for channel, person in zip(phones, people, strict=True)]
    vendors.fcm.mood.says[addresses[0]] = [fcm_fault(429, "QUOTA_EXCEEDED", Retry_After="300")]
    vendors.apns.mood.says[addresses[1]] = [apns_fault(429, "TooManyRequests", headers=(("retry-after", "300"),))]
    before = datetime.now(UTC)
    for person in people:
        await enrol(person, published)
    await hub.settle()

    await at(before + timedelta(seconds=280))
    assert [channel.got(address) for channel, address in zip(phones, addresses, strict=True)] == [0, 0]
    await at(datetime.now(UTC) + timedelta(seconds=310))

    assert [channel.shown(address) for channel, address in zip(phones, addresses, strict=True)] == [[ENROLLED]] * 2


async def test_an_app_registers_again_and_moves_with_its_person(hub: Hub, vendors: Vendors) -> None:
    first, second, app = await hub.person("first"), await hub.person("second"), vendors.fcm.app()
    new = {"kind": "fcm", "token": app.token, "name": "Pixel"}
    for _ in range(2):
        done(await first.post("/v1/devices", new), 201)
    [device] = done(await first.get("/v1/devices"))["items"]
    assert (device["kind"], device["name"]) == ("fcm", "Pixel")

    done(await second.post("/v1/devices", new), 201)

    assert done(await first.get("/v1/devices"))["items"] == []
    problem(await second.get(f"/v1/devices/{device['id']}"), 404)


@pytest.mark.parametrize(
    ("body", "slug", "pointer"),
    [
        ({"kind": "fcm"}, "device-token-invalid", "/token"),
        ({"kind": "fcm", "token": "a b" * 20}, "device-token-invalid", "/token"),
        ({"kind": "apns", "token": "abc/../../3/device/" + "0" * 64}, "device-token-invalid", "/token"),
        ({"kind": "apns", "token": "0" * 63}, "device-token-invalid", "/token"),
        ({"kind": "web_push", "token": "0" * 64}, "endpoint-refused", "/endpoint"),
        ({"endpoint": "https://push.example/send/a"}, "push-keys-invalid", "/keys"),
    ],
)
async def test_a_device_without_its_parts_is_refused(
    hub: Hub, vendors: Vendors, body: dict[str, Any], slug: str, pointer: str
) -> None:
    refused = await (await hub.person("hostile")).post("/v1/devices", body)

    assert problem(refused, 422, slug)["errors"][0]["pointer"] == pointer


async def test_rules_of_apps_hold_for_devices_of_before(hub: Hub) -> None:
    async with read() as db:
        found = await db.rows(
            """SELECT conname, convalidated FROM pg_constraint
            WHERE conrelid = 'notification.devices'::regclass AND conname IN ('devices_kind_check', 'devices_keys_check')"""
        )

    assert {row["conname"]: row["convalidated"] for row in found} == {
        "devices_keys_check": True,
        "devices_kind_check": True,
    }


@pytest.mark.parametrize("kind", ["fcm", "apns"])
async def test_a_kind_that_is_not_set_up_is_refused(hub: Hub, kind: str) -> None:
    refused = await (await hub.person("tariq")).post("/v1/devices", {"kind": kind, "token": "0" * 64})

    [error] = problem(refused, 422, "device-kind-not-offered")["errors"]
    assert (error["pointer"], f"HUB_{kind.upper()}_" in error["detail"]) == ("/kind", True)
