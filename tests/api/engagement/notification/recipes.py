"""How to ask each operation of notification for something that it grants; see `tests.platform.recipes`."""

import base64
import os
from secrets import randbelow
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from api.engagement.notification.texting import store
from cluster.base import sealing
from cluster.base.ids import new_id
from cluster.base.principal import platform
from cluster.data import write
from tests.harness import Person, done
from tests.platform.recipes import Ask, recipe, version
from tests.platform.world import World

_PREFERENCE = "/v1/notification-preferences/me"


async def _told(world: World) -> tuple[Person, UUID]:
    """Return somebody new who was told something, and what."""
    person = await world.hub.person("told")
    done(await person.post("/v1/enrollments", {"run_id": world.course.run_id}), 201)
    await world.hub.settle()
    return person, UUID(done(await person.get("/v1/notifications"))["items"][0]["id"])


def _subscription() -> dict[str, Any]:
    point = (
        ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    )
    keys = {"p256dh": point, "auth": os.urandom(16)}
    encoded = {name: base64.urlsafe_b64encode(key).rstrip(b"=").decode() for name, key in keys.items()}
    return {"endpoint": f"https://push.example/{os.urandom(8).hex()}", "keys": encoded}


async def _device(world: World) -> tuple[Person, UUID]:
    person = await world.hub.person("told")
    return person, UUID(done(await person.post("/v1/devices", _subscription()), 201)["id"])


@recipe("notification_list_notifications", own=True)
async def _(world: World) -> Ask:
    return Ask(by=(await _told(world))[0])


@recipe("notification_count_unread", own=True)
async def _(world: World) -> Ask:
    return Ask(by=(await _told(world))[0])


@recipe("notification_read_up_to", own=True)
async def _(world: World) -> Ask:
    return Ask(by=(await _told(world))[0], body={"up_to_seq": 1})


for _operation in (
    "get_notification",
    "read_notification",
    "unread_notification",
    "archive_notification",
    "list_deliveries",
):

    @recipe(f"notification_{_operation}", private=True)
    async def _(world: World) -> Ask:
        person, notification_id = await _told(world)
        return Ask(by=person, ids={"notification_id": notification_id})


@recipe("notification_get_preference", own=True)
async def _(world: World) -> Ask:
    return Ask(by=world.learner)


@recipe("notification_get_preference_in_organization", "insider", route=("get", _PREFERENCE))
async def _(world: World) -> Ask:
    return Ask(by=world.owner, query={"organization_id": world.org_id})


@recipe("notification_change_preference", own=True)
async def _(world: World) -> Ask:
    person = await world.hub.person("picky")
    return Ask(by=person, body={"digest_hour": 7}, headers=await version(person, _PREFERENCE))


@recipe("notification_list_muted_courses", own=True)
async def _(world: World) -> Ask:
    people = [await world.hub.person("tired"), world.peer]
    for person in people:
        done(await person.put(f"{_PREFERENCE}/courses/{new_id()}", {}))
    return Ask(by=people[0])


@recipe("notification_mute_course", own=True)
async def _(world: World) -> Ask:
    return Ask(by=await world.hub.person("tired"), ids={"course_id": world.course.id})


@recipe("notification_unmute_course", own=True)
async def _(world: World) -> Ask:
    return Ask(by=await world.hub.person("tired"), ids={"course_id": world.course.id})


@recipe("notification_add_device", own=True)
async def _(world: World) -> Ask:
    return Ask(by=await world.hub.person("told"), body=_subscription())


@recipe("notification_list_devices", own=True)
async def _(world: World) -> Ask:
    done(await world.peer.post("/v1/devices", _subscription()), 201)
    return Ask(by=(await _device(world))[0])


@recipe("notification_get_push_key", own=True)
async def _(world: World) -> Ask:
    return Ask(by=world.learner)


for _operation in ("get_device", "remove_device"):

    @recipe(f"notification_{_operation}", private=True)
    async def _(world: World) -> Ask:
        person, device_id = await _device(world)
        return Ask(by=person, ids={"device_id": device_id})


def _number() -> str:
    return f"+491512{randbelow(10**7):07}"


@recipe("notification_get_phone", own=True)
async def _(world: World) -> Ask:
    return Ask(by=world.learner)


@recipe("notification_send_phone_code", own=True)
async def _(world: World) -> Ask:
    return Ask(by=await world.hub.person("told"), body={"number": _number()})


@recipe("notification_confirm_phone", own=True)
async def _(world: World) -> Ask:
    person, number, code = await world.hub.person("told"), _number(), "052917"
    mac = sealing.mac("notification", "phone", f"{person.id} {number} {code}".encode())
    async with write(platform("notification")) as tx:
        await store.insert_code(tx, new_id(), person.id, number, mac)
    return Ask(by=person, body={"code": code})


@recipe("notification_remove_phone", own=True)
async def _(world: World) -> Ask:
    return Ask(by=await world.hub.person("told"))


_ANNOUNCEMENTS = "/v1/staff-announcements"


async def _announcement(world: World, *, told: bool = False) -> dict[str, Any]:
    new = {"run_id": world.course.run_id, "title": "No lesson on Friday", "text": "We go on later."}
    made = done(await world.owner.post(_ANNOUNCEMENTS, new), 201)
    if told:
        done(await world.owner.post(f"{_ANNOUNCEMENTS}/{made['id']}/send", {}))
        await world.hub.settle()
    return made


@recipe("notification_create_announcement")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, body={"organization_id": world.org_id, "title": "Holidays", "text": ""})


@recipe("notification_list_announcements")
async def _(world: World) -> Ask:
    await _announcement(world)
    return Ask(by=world.owner, query={"organization_id": world.org_id})


for _operation in ("get_announcement", "count_reach", "withdraw_announcement"):

    @recipe(f"notification_{_operation}")
    async def _(world: World) -> Ask:
        return Ask(by=world.owner, ids={"announcement_id": (await _announcement(world))["id"]})


@recipe("notification_send_announcement")
async def _(world: World) -> Ask:
    body = {"send_at": "2031-05-04T07:00:00Z"}
    return Ask(by=world.owner, ids={"announcement_id": (await _announcement(world))["id"]}, body=body)


@recipe("notification_stop_announcement")
async def _(world: World) -> Ask:
    made = await _announcement(world)
    path = f"{_ANNOUNCEMENTS}/{made['id']}"
    done(await world.owner.post(f"{path}/send", {"send_at": "2031-05-04T07:00:00Z"}))
    return Ask(by=world.owner, ids={"announcement_id": made["id"]})


@recipe("notification_change_announcement")
async def _(world: World) -> Ask:
    made = await _announcement(world)
    headers = await version(world.owner, f"{_ANNOUNCEMENTS}/{made['id']}")
    return Ask(by=world.owner, ids={"announcement_id": made["id"]}, body={"title": "On Thursday"}, headers=headers)


@recipe("notification_get_announcement_text", private=True)
async def _(world: World) -> Ask:
    person = await world.hub.person("told")
    done(await person.post("/v1/enrollments", {"run_id": world.course.run_id}), 201)
    await world.hub.settle()
    await _announcement(world, told=True)
    [told, *_] = done(await person.get("/v1/notifications"))["items"]
    return Ask(by=person, ids={"notification_id": UUID(told["id"])})
