"""Inboxes: read here and it is told nowhere else; numbers without gaps; one's own alone."""

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from api.engagement.notification.calls import Calls
from cluster.data import read
from cluster.people.erasure import statements_of
from cluster.people.topics import After, Standing
from tests.api.core.gateway.live.conftest import socket
from tests.api.core.user.privacy import columns_with, erased, rows
from tests.api.engagement.notification.conftest import (
    PushService,
    choose,
    deliveries,
    inbox,
    learner,
    publish_again,
    titles,
    with_browser,
)
from tests.api.learning.course.conftest import Draft
from tests.cluster.http.serving import served
from tests.harness import Hub, done, problem
from tests.org_settings import change, settings_of

NO_TEXTS = {"sms": ("skipped", "not_offered")}


async def test_reading_up_to_a_number_cancels_what_waits_elsewhere(hub: Hub, published: Draft) -> None:
    person = await learner(hub, published)
    await hub.settle()
    await publish_again(published)
    await hub.settle()
    newest, first = await inbox(person)
    assert (await deliveries(person, newest))["mail"] == ("planned", None)

    read_here = await person.post("/v1/notifications/-/read", {"up_to_seq": newest["seq"]})

    assert done(read_here) == {"unread": 0, "seq": 3}
    assert {each["state"] for each in await inbox(person)} == {"read"}
    for each in (newest, first):
        assert (await deliveries(person, each)) == {
            "mail": ("skipped", "read"),
            "push": ("skipped", "no_device"),
            **NO_TEXTS,
        }
    again = await person.post("/v1/notifications/-/read", {"up_to_seq": newest["seq"]})
    assert done(again) == {"unread": 0, "seq": 3}


async def test_states_move_and_the_log_of_the_inbox_has_no_gap(hub: Hub, published: Draft) -> None:
    person = await learner(hub, published)
    await hub.settle()
    await publish_again(published)
    await hub.settle()
    second, first = await inbox(person)
    path = f"/v1/notifications/{first['id']}"

    done(await person.post(f"{path}/read"))
    done(await person.post(f"{path}/unread"))
    archived = done(await person.post(f"{path}/archive"))
    done(await person.post(f"{path}/archive"))

    assert archived["state"] == "archived"
    assert done(await person.get("/v1/notifications/-/count")) == {"unread": 1, "seq": 5}
    assert [each["id"] for each in await inbox(person)] == [second["id"]]
    assert [each["id"] for each in await inbox(person, state="archived")] == [first["id"]]
    assert await Calls().standing("inbox", [person.id]) == [Standing(id=person.id, seq=5, owner_id=person.id)]
    log = await Calls().since("inbox", [After(id=person.id, seq=0)], 100)
    assert [(entry.seq, entry.kind, entry.data["notification_id"]) for entry in log] == [
        (1, "arrived", first["id"]),
        (2, "arrived", second["id"]),
        (3, "read", first["id"]),
        (4, "unread", first["id"]),
        (5, "archived", first["id"]),
    ]
    assert log[1].data["notification"]["title"] == "There is something new in Algebra, again"
    later = await Calls().since("inbox", [After(id=person.id, seq=3)], 1)
    assert [entry.seq for entry in later] == [4]


async def test_an_inbox_is_listed_in_pages_by_what_it_is_about(hub: Hub, published: Draft) -> None:
    person = await learner(hub, published)
    await hub.settle()
    for number in range(3):
        await publish_again(published, f"Algebra {number}")
        await hub.settle()

    first = done(await person.get("/v1/notifications", params={"limit": 3, "course_id": published.id}))
    rest = done(
        await person.get(
            "/v1/notifications", params={"limit": 3, "course_id": published.id, "cursor": first["next_cursor"]}
        )
    )

    assert [each["seq"] for each in (*first["items"], *rest["items"])] == [4, 3, 2, 1]
    assert rest["next_cursor"] is None
    assert await inbox(person, category="security") == []
    assert await inbox(person, organization_id=str(published.school.org_id), id=first["items"][0]["id"]) == [
        first["items"][0]
    ]


async def test_another_person_sees_nothing_of_an_inbox(hub: Hub, published: Draft) -> None:
    person, other = await learner(hub, published), published.owner
    await hub.settle()
    [told] = await inbox(person)
    path = f"/v1/notifications/{told['id']}"

    for answer in (await other.get(path), await other.post(f"{path}/read"), await other.get(f"{path}/deliveries")):
        problem(answer, 404, "notification-not-found")
    assert done(await person.get(path)) == told


async def test_a_muted_course_comes_archived_and_is_sent_nowhere(hub: Hub, published: Draft, push: PushService) -> None:
    person = await hub.person("tired")
    browser = await with_browser(push, person)
    path = f"/v1/notification-preferences/me/courses/{published.id}"
    done(await person.put(path, {}))
    done(await person.put(path, {}))
    [muted] = done(await person.get("/v1/notification-preferences/me/courses"))["items"]
    assert muted["course_id"] == published.id

    done(await person.post("/v1/enrollments", {"run_id": published.course["default_run_id"]}), 201)
    await hub.settle()

    assert await inbox(person) == []
    [told] = await inbox(person, state="archived")
    assert await deliveries(person, told) == {"mail": ("skipped", "muted"), "push": ("skipped", "muted"), **NO_TEXTS}
    assert browser.messages == []
    assert done(await person.get("/v1/notifications/-/count")) == {"unread": 0, "seq": 1}
    done(await person.delete(path), 204)
    await publish_again(published)
    await hub.settle()
    assert await titles(person) == ["There is something new in Algebra, again"]


async def test_choices_hold_under_the_defaults_of_the_organization(hub: Hub, published: Draft) -> None:
    owner, person = published.owner, await learner(hub, published)
    await hub.settle()
    locked = {"learning": {"mail": {"pace": "daily", "locked": True}, "push": {"pace": "off"}}}
    done(await change(owner, settings_of(published.school.org_id), {"notification.defaults": locked}))
    chosen = await choose(
        person, categories={"learning": {"mail": "off", "push": "at_once"}, "account": {"mail": "off"}}
    )

    by_category = {each["category"]: each for each in chosen["categories"]}
    assert by_category["learning"]["mail"] == {"pace": "off", "locked": False}
    assert by_category["security"]["mail"] == {"pace": "at_once", "locked": True}
    await publish_again(published)
    await hub.settle()

    there = done(
        await person.get("/v1/notification-preferences/me", params={"organization_id": str(published.school.org_id)}),
        404,
    )
    assert there["status"] == 404
    [told, _] = await inbox(person)
    assert await deliveries(person, told) == {"mail": ("held", "digest"), "push": ("skipped", "no_device"), **NO_TEXTS}
    shown = await owner.get("/v1/notification-preferences/me", params={"organization_id": str(published.school.org_id)})
    by_category = {each["category"]: each for each in done(shown)["categories"]}
    assert by_category["learning"]["mail"] == {"pace": "daily", "locked": True}


async def test_choices_that_make_no_sense_are_refused(hub: Hub) -> None:
    person = await hub.person("picky")
    path = "/v1/notification-preferences/me"
    always = [{"weekdays": [1, 2, 3, 4, 5, 6, 7], "begins": "00:00", "ends": "00:00"}]
    refused: list[tuple[dict[str, Any], str]] = [
        ({"quiet_hours": always}, "quiet-hours-invalid"),
        ({"categories": {"security": {"mail": "off"}}}, "invalid"),
        ({"categories": {"learning": {"inbox": "weekly"}}}, "invalid"),
        ({"quiet_hours": [{"weekdays": [8], "begins": "22:00", "ends": "07:00"}]}, "invalid"),
        ({"do_not_disturb_until": "2031-01-01T10:00:00"}, "invalid"),
    ]

    for changes, slug in refused:
        problem(await person.patch(path, changes, headers={"If-Match": '"0"'}), 422, slug)
    await choose(person, digest_hour=7)
    problem(await person.patch(path, {"digest_hour": 9}, headers={"If-Match": '"0"'}), 412, "stale")
    assert done(await person.get(path))["digest_hour"] == 7


async def test_what_is_old_is_forgotten_and_the_count_stays_right(hub: Hub, published: Draft) -> None:
    person = await learner(hub, published)
    await hub.settle()
    await publish_again(published)
    await hub.settle()
    long_ago = datetime.now(UTC) - timedelta(days=366)
    async with read() as db:
        await db.run(
            "UPDATE notification.notifications SET created_at = $1 WHERE user_id = $2 AND seq = 1", long_ago, person.id
        )

    await hub.run_cron("notification.purge")
    await hub.run_cron("notification.sweep")

    assert [each["seq"] for each in await inbox(person)] == [2]
    assert done(await person.get("/v1/notifications/-/count")) == {"unread": 1, "seq": 2}
    async with read() as db:
        assert await db.value("SELECT count(*) FROM notification.deliveries WHERE user_id = $1", person.id) == 2


async def test_an_open_page_hears_what_comes_and_what_was_read_elsewhere(hub: Hub, published: Draft) -> None:
    person, other = await learner(hub, published), await hub.person("other")
    await hub.settle()
    async with served(hub.host) as port, socket(port, person) as page, socket(port, other) as strange:
        assert await page.subscribe("inbox:me", 0) == {"topic": "inbox:me", "subscribed": 0}
        assert "denied" in await strange.subscribe(f"inbox:{person.id}")
        first = await page.next()
        await publish_again(published)
        await hub.settle()
        second = await page.next()
        done(await person.post("/v1/notifications/-/read", {"up_to_seq": 2}))
        third = await page.next()

    assert [(each["seq"], each["kind"]) for each in (first, second, third)] == [
        (1, "arrived"),
        (2, "arrived"),
        (3, "read"),
    ]
    assert second["data"]["notification"]["title"] == "There is something new in Algebra, again"
    assert third["data"]["up_to_seq"] == 2


async def test_an_erasure_leaves_nothing_and_an_export_holds_no_keys(
    hub: Hub, published: Draft, push: PushService
) -> None:
    person = await hub.person("leaving")
    await with_browser(push, person)
    done(await person.post("/v1/enrollments", {"run_id": published.course["default_run_id"]}), 201)
    await hub.settle()
    await choose(person, digest_hour=9)
    exported = {
        each.entry.table: [row["shown"] for row in await rows(each.export, person.id, "(0,0)")]
        for each in statements_of("notification", for_organization=False)
    }
    [told], [device] = exported["notification.notifications"], exported["notification.devices"]
    assert orjson.loads(told)["title"] == "You are enrolled in Algebra"
    assert set(orjson.loads(device)) & {"endpoint", "p256dh", "auth_secret"} == set()
    assert "notification.occasions.user_id" in await columns_with(str(person.id))

    await erased(hub, person)

    assert [name for name in await columns_with(str(person.id)) if name.startswith("notification.")] == []
