"""HTTP of devices."""

from datetime import datetime
from typing import Annotated

from fastapi import Response
from pydantic import ConfigDict, Field

from api.engagement.notification.contract import (
    DeviceId,
    DeviceNotFound,
    EndpointRefused,
    PushKeysInvalid,
    TooManyDevices,
)
from api.engagement.notification.device import logic, webpush
from cluster.http import Answer, Body, Caller, Page, Paging, Router, Several, View

router = Router("notification")

_Base64 = Annotated[str, Field(min_length=16, max_length=200, pattern=r"^[A-Za-z0-9_=-]+$")]


class SubscriptionKeys(Body):
    """The browser's keys (RFC 8291)."""

    p256dh: _Base64
    auth: _Base64


class NewDevice(Body):
    """A browser's subscription, as `PushSubscription.toJSON()` gives it, with a name that its person recognizes."""

    endpoint: Annotated[str, Field(min_length=1, max_length=2000)]
    keys: SubscriptionKeys
    key: Annotated[str | None, Field(max_length=200, description="The key subscribed with; null: the newest.")] = None
    name: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")] = "A browser"

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "endpoint": "https://push.example/send/abc",
                    "keys": {
                        "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
                        "auth": "BTBZMqHH6r4Tts7J_aSIgg",
                    },
                    "name": "Firefox on Linux",
                }
            ]
        }
    )


class DeviceView(View):
    """A browser in which the caller is told."""

    id: DeviceId
    name: str
    created_at: datetime
    last_delivered_at: datetime | None


class PushKeyView(View):
    """What browsers subscribe with: `applicationServerKey` (RFC 8292)."""

    key: str


DEVICE = Answer(get=logic.get_device, view=DeviceView, path="/v1/devices/{id}")


@router.post("/v1/devices", status_code=201, raises=(EndpointRefused, PushKeysInvalid, TooManyDevices))
async def add_device(caller: Caller, new: NewDevice, response: Response) -> DeviceView:
    """Tell the caller in a browser from now on, until they sign out there."""
    work = logic.add_device(
        caller,
        endpoint=new.endpoint,
        p256dh=new.keys.p256dh,
        auth=new.keys.auth,
        key=new.key,
        name=new.name,
    )
    return await DEVICE.created(response, caller, work)


@router.get("/v1/devices")
async def list_devices(caller: Caller, paging: Paging, id: Several[DeviceId] = None) -> Page[DeviceView]:
    """List the browsers in which the caller is told, newest first."""
    after = paging.after(id=id)
    found = await logic.list_devices(caller, ids=id, before=DeviceId(after[0]) if after else None, limit=paging.rows)
    return paging.page(found, render=DeviceView.of)


@router.get("/v1/devices/-/key")
async def get_push_key(caller: Caller) -> PushKeyView:
    """Return the key that a browser subscribes with."""
    caller.person()
    return PushKeyView(key=webpush.public_key(webpush.key_ids()[0]))


@router.get("/v1/devices/{device_id}", raises=(DeviceNotFound,))
async def get_device(caller: Caller, device_id: DeviceId, response: Response) -> DeviceView:
    """Return one browser in which the caller is told."""
    return DEVICE.show(response, await logic.get_device(caller, device_id))


@router.delete("/v1/devices/{device_id}", status_code=204, raises=(DeviceNotFound,))
async def remove_device(caller: Caller, device_id: DeviceId) -> None:
    """Tell nothing any more in a browser."""
    await logic.remove_device(caller, device_id)
