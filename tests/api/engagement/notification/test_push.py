"""Messages to browsers: encrypted, held, put together, and never into our own network."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from api.engagement.notification.delivery import rules
from cluster.data import read
from tests.api.engagement.notification.conftest import (
    PushService,
    choose,
    deliveries,
    inbox,
    learner,
    publish_again,
    shift,
    titles,
    with_browser,
)
from tests.api.learning.course.conftest import Draft
from tests.harness import PASSWORD, Hub, done, problem

At = Callable[[datetime], Any]


async def test_a_browser_opens_what_its_person_is_told(hub: Hub, published: Draft, push: PushService) -> None:
    person = await hub.person("tariq")
    browser = await with_browser(push, person)
    done(await person.post("/v1/enrollments", {"run_id": published.course["default_run_id"]}), 201)

    await hub.settle()

    [told] = await inbox(person)
    [message] = browser.messages
    assert {name: message[name] for name in ("title", "url", "id", "seq")} == {
        "title": "You are enrolled in Algebra",
        "url": f"/courses/{published.id}",
        "id": told["id"],
        "seq": 1,
    }
    [headers] = browser.headers
    assert (headers["TTL"], headers["Urgency"]) == ("259200", "normal")
    assert len(headers["Topic"]) == 32
    assert (await deliveries(person, told))["push"] == ("delivered", None)
    log = done(await person.get(f"/v1/notifications/{told['id']}/deliveries"))["items"][1]["log"]
    assert [(entry["state"], entry["device_id"], entry["status"]) for entry in log] == [
        ("delivered", browser.device["id"], 201),
        ("delivered", None, None),
    ]
    assert done(await person.get(f"/v1/devices/{browser.device['id']}"))["last_delivered_at"] is not None


async def test_quiet_hours_come_once_at_their_end_over_the_change_of_the_clock(
    hub: Hub, published: Draft, push: PushService, at: At
) -> None:
    person = await hub.person("berliner")
    profile = await person.get(f"/v1/users/{person.id}")
    headers = {"If-Match": profile.headers["ETag"]}
    done(await person.patch(f"/v1/users/{person.id}", {"time_zone": "Europe/Berlin"}, headers=headers))
    nights = [{"weekdays": [1, 2, 3, 4, 5, 6, 7], "begins": "22:00", "ends": "07:00"}]
    # So that nothing is due before the test says so.
    far = datetime.now(UTC) + timedelta(hours=1)
    await choose(person, quiet_hours=nights, do_not_disturb_until=far.isoformat())
    browser = await with_browser(push, person)
    done(await person.post("/v1/enrollments", {"run_id": published.course["default_run_id"]}), 201)
    await hub.settle()
    await publish_again(published)
    await hub.settle()
    [told, _] = await inbox(person)
    assert (await deliveries(person, told))["push"] == ("held", "quiet")
    evening, morning = datetime(2031, 3, 29, 21, 30, tzinfo=UTC), datetime(2031, 3, 30, 5, tzinfo=UTC)
    await shift(person, evening)

    await at(evening)
    assert browser.messages == []
    async with read() as db:
        due = await db.rows(
            "SELECT due_at FROM notification.deliveries WHERE user_id = $1 AND channel = 'push'", person.id
        )
    assert [row["due_at"] for row in due] == [morning, morning]
    await at(morning - timedelta(seconds=1))
    assert browser.messages == []
    await at(morning)
    await at(morning + timedelta(minutes=1))

    assert [message["title"] for message in browser.messages] == [
        "You are enrolled in Algebra, again",
        "There is something new in Algebra, again",
    ]


async def test_many_at_once_are_one_message_and_over_the_rate_they_wait(
    hub: Hub, published: Draft, push: PushService, at: At
) -> None:
    person = await learner(hub, published)
    far = datetime.now(UTC) + timedelta(hours=1)
    await choose(person, do_not_disturb_until=far.isoformat())
    browser = await with_browser(push, person)
    for number in range(4):
        await publish_again(published, f"Algebra {number}")
        await hub.settle()
    now = datetime.now(UTC) + timedelta(hours=2)
    await at(now)
    [digest] = browser.messages
    assert (digest["title"], digest["body"].splitlines()) == (
        "5 new notifications in Algebra 3",
        [f"There is something new in Algebra {number}" for number in (3, 3, 3)],
    )

    async with read() as db:
        await db.run(
            """INSERT INTO notification.batches (id, user_id, channel, shard, state, claimed_until, created_at)
            SELECT gen_random_uuid(), $1, 'push', 0, 'done', $2, $2 FROM generate_series(1, 9)""",
            person.id,
            now,
        )
    await choose(person, do_not_disturb_until=None)
    await publish_again(published, "Algebra 5")
    await hub.settle()
    [newest, *_] = await inbox(person)
    await shift(person, now)
    await at(now + timedelta(minutes=1))
    assert (await deliveries(person, newest))["push"] == ("held", "rate")
    await at(now + timedelta(minutes=10))

    assert [message["title"] for message in browser.messages[1:]] == ["There is something new in Algebra 5"]


async def test_a_message_is_tried_again_and_a_gone_browser_ends(
    hub: Hub, published: Draft, push: PushService, at: At
) -> None:
    person = await hub.person("tariq")
    browser, gone = await with_browser(push, person), await with_browser(push, person)
    push.answers[browser.endpoint.removeprefix(push.url)] = [(503, {"Retry-After": "120"})]
    push.answers[gone.endpoint.removeprefix(push.url)] = [(410, {})]
    before = datetime.now(UTC)
    done(await person.post("/v1/enrollments", {"run_id": published.course["default_run_id"]}), 201)
    await hub.settle()
    [told] = await inbox(person)
    assert (await deliveries(person, told))["push"] == ("planned", "retried")
    assert [device["id"] for device in done(await person.get("/v1/devices"))["items"]] == [browser.device["id"]]

    await at(before + timedelta(seconds=100))
    assert browser.messages == []
    await at(datetime.now(UTC) + timedelta(seconds=130))

    assert [message["title"] for message in browser.messages] == ["You are enrolled in Algebra"]
    assert gone.messages == []
    assert (await deliveries(person, told))["push"] == ("delivered", None)


async def test_a_killed_sender_sends_again_what_replaces_the_first(
    hub: Hub, published: Draft, push: PushService, at: At
) -> None:
    person = await hub.person("tariq")
    browser = await with_browser(push, person)
    done(await person.post("/v1/enrollments", {"run_id": published.course["default_run_id"]}), 201)
    await hub.settle()
    now = datetime.now(UTC)
    async with read() as db:
        # As it stands when the sender dies after the push service's answer and before it is noted.
        await db.run(
            "UPDATE notification.deliveries SET state = 'sending' WHERE user_id = $1 AND channel = 'push'", person.id
        )
        await db.run(
            "UPDATE notification.batches SET state = 'sending', claimed_until = $2 WHERE user_id = $1", person.id, now
        )

    await at(now + timedelta(minutes=3))

    assert [message["id"] for message in browser.messages] == [(await inbox(person))[0]["id"]] * 2
    assert len({headers["Topic"] for headers in browser.headers}) == 1
    async with read() as db:
        states = await db.rows("SELECT state FROM notification.batches WHERE user_id = $1", person.id)
    assert [row["state"] for row in states] == ["done"]


async def test_what_is_gone_at_its_source_is_withdrawn_before_it_is_sent(
    hub: Hub, published: Draft, push: PushService, at: At
) -> None:
    person = await learner(hub, published)
    await choose(person, do_not_disturb_until=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
    browser = await with_browser(push, person)
    await publish_again(published)
    await hub.settle()
    done(await published.owner.post(f"{published.path}/archive"))
    await hub.settle()

    await at(datetime.now(UTC) + timedelta(hours=2))

    assert browser.messages == []
    assert await titles(person) == []
    assert done(await person.get("/v1/notifications/-/count"))["unread"] == 0


@pytest.mark.parametrize(
    "endpoint",
    [
        *("https://127.0.0.1/send", "http://push.example/send", "https://169.254.169.254/latest", "https://[::1]/send"),
        *(
            "https://10.0.0.8:8443/send",
            "https://push.example:25/send",
            "https://u:p@push.example/",
            "file:///etc/passwd",
        ),
        *("https://a..example/x", f"https://{'a' * 64}.example/x", "https://xn--a/x"),
    ],
)
async def test_an_endpoint_that_is_no_push_service_is_refused(hub: Hub, push: PushService, endpoint: str) -> None:
    person = await hub.person("hostile")

    refused = await person.post("/v1/devices", {**push.browser().subscription, "endpoint": endpoint})

    assert problem(refused, 422, "endpoint-refused")["errors"][0]["pointer"] == "/endpoint"


async def test_a_name_that_leads_inside_is_refused_when_it_is_sent(
    hub: Hub, published: Draft, push: PushService
) -> None:
    person = await hub.person("hostile")
    inside = {**push.browser().subscription, "endpoint": f"https://localhost:{push.url.rpartition(':')[2]}/send/x"}
    done(await person.post("/v1/devices", inside), 201)
    sent_on = await with_browser(push, person)
    push.answers[sent_on.endpoint.removeprefix(push.url)] = [(307, {"Location": "http://127.0.0.1:1/"})]
    done(await person.post("/v1/enrollments", {"run_id": published.course["default_run_id"]}), 201)

    await hub.settle()

    [told] = await inbox(person)
    assert (await deliveries(person, told))["push"] in {("failed", "refused"), ("planned", "retried")}
    assert sent_on.messages == []


async def test_one_who_breaks_a_message_stops_none_of_others(
    hub: Hub, published: Draft, push: PushService, at: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "SHARDS", 1)
    monkeypatch.setattr(rules, "MAX_ATTEMPTS", 2)
    hostile = [await hub.person(f"hostile-{number}") for number in range(4)]
    waits, dates, unnamed, unkeyed = [await with_browser(push, person) for person in hostile]
    others = [await hub.person(f"other-{number}") for number in range(3)]
    browsers = [await with_browser(push, person) for person in others]
    push.answers[waits.endpoint.removeprefix(push.url)] = [(503, {"Retry-After": "²"})]
    late = "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"
    push.answers[dates.endpoint.removeprefix(push.url)] = [(503, {"Retry-After": late})]
    async with read() as db:
        # An endpoint that an earlier release took, and a key that no message can be encrypted for.
        await db.run(
            "UPDATE notification.devices SET endpoint = 'https://a..example/x' WHERE id = $1",
            UUID(unnamed.device["id"]),
        )
        await db.run("UPDATE notification.devices SET p256dh = 'x' WHERE id = $1", UUID(unkeyed.device["id"]))

    for person in (*hostile, *others):
        done(await person.post("/v1/enrollments", {"run_id": published.course["default_run_id"]}), 201)
    await hub.settle()

    told = [(await inbox(person))[0] for person in hostile]
    states = [(await deliveries(person, each))["push"] for person, each in zip(hostile, told, strict=True)]
    retried = ("planned", "retried")
    assert states == [retried, retried, ("failed", "refused"), retried]
    assert [len(browser.messages) for browser in browsers] == [1, 1, 1]

    # Not even when somebody looks for senders that broke off.
    await at(datetime.now(UTC) + timedelta(minutes=5))

    assert [len(browser.messages) for browser in (*browsers, waits, dates)] == [1] * 5
    assert (await deliveries(hostile[3], told[3]))["push"] == ("failed", "unreachable")


async def test_keys_that_are_none_are_refused(hub: Hub, push: PushService) -> None:
    person = await hub.person("hostile")
    sound = push.browser().subscription

    for keys in ({**sound["keys"], "p256dh": "B" + "A" * 86}, {**sound["keys"], "auth": "A" * 16}):
        problem(await person.post("/v1/devices", {**sound, "keys": keys}), 422, "push-keys-invalid")
    problem(await person.post("/v1/devices", {**sound, "key": "another"}), 422, "push-keys-invalid")
    newest = done(await person.get("/v1/devices/-/key"))["key"]
    done(await person.post("/v1/devices", {**sound, "key": newest}), 201)


async def test_a_browser_is_told_nothing_after_sign_out_or_for_another(hub: Hub, push: PushService) -> None:
    first, second = await hub.person("first"), await hub.person("second")
    browser = await with_browser(push, first)
    moved = done(await second.post("/v1/devices", browser.subscription), 201)
    assert done(await first.get("/v1/devices"))["items"] == []
    assert [each["id"] for each in done(await second.get("/v1/devices"))["items"]] == [moved["id"]]

    [session] = done(await second.get("/v1/sessions"))["items"]
    signed_in = done(await hub.guest.post("/v1/sessions", {"email": second.email, "password": PASSWORD}), 201)
    other = hub.signed_in(signed_in["access_token"], second.id, second.email)
    done(await other.post(f"/v1/sessions/{session['id']}/end"))
    await hub.settle()

    assert done(await other.get("/v1/devices"))["items"] == []
    async with read() as db:
        digest = hashlib.sha256(browser.endpoint.encode()).digest()
        ends = await db.rows(
            "SELECT end_reason FROM notification.devices WHERE endpoint_sha256 = $1 ORDER BY id", digest
        )
    assert [row["end_reason"] for row in ends] == ["moved", "signed_out"]
