"""Whose data are erased is told nowhere any more, and no address of theirs is left."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from cluster.data import read
from tests.api.engagement.notification.conftest import publish_again
from tests.api.engagement.notification.vendors.everybody import Vendors, enrol, vendors
from tests.api.learning.course.conftest import Draft
from tests.harness import Hub

__all__ = ["vendors"]
At = Callable[[datetime], Any]
_LEFT = (
    "SELECT count(*) FROM notification.devices WHERE user_id = $1",
    "SELECT count(*) FROM notification.phones WHERE user_id = $1",
    "SELECT count(*) FROM notification.phone_codes WHERE user_id = $1",
    "SELECT count(*) FROM notification.notifications WHERE user_id = $1",
    "SELECT count(*) FROM notification.deliveries WHERE user_id = $1",
    "SELECT count(*) FROM notification.delivery_log WHERE user_id = $1",
)


async def test_an_erased_person_leaves_no_number_and_no_device(
    hub: Hub, published: Draft, vendors: Vendors, at: At
) -> None:
    leaving, staying = await hub.person("leaving"), await hub.person("staying")
    names = ("web_push", "fcm", "apns", "twilio")
    reached = {
        name: (await vendors.channel(name).reach(leaving), await vendors.channel(name).reach(staying)) for name in names
    }
    for person in (leaving, staying):
        await enrol(person, published)
    await hub.settle()
    exported = await hub.exported(leaving.id, "notification")
    assert reached["twilio"][0] in str(exported)
    assert not any(reached[name][0] in str(exported) for name in ("web_push", "fcm", "apns"))

    await hub.erased(leaving.id, "notification")

    async with read() as db:
        left = [await db.value(statement, leaving.id) for statement in _LEFT]
        kept = [await db.value(statement, staying.id) for statement in _LEFT]
    assert (left, all(count > 0 for count in kept)) == ([0] * len(_LEFT), True)
    await publish_again(published)
    await hub.settle()
    await at(datetime.now(UTC) + timedelta(minutes=2))
    got = {name: [vendors.channel(name).got(address) for address in pair] for name, pair in reached.items()}
    # Their account stands still, and they learn on: they are told again, but in their inbox alone.
    assert {name: counts[0] for name, counts in got.items()} == dict.fromkeys(names, 1)
    assert {name: counts[1] for name, counts in got.items()} == dict.fromkeys(names, 2)
