"""HTTP of devices."""

from datetime import datetime
from typing import Annotated

from fastapi import Response
from pydantic import ConfigDict, Field

from api.engagement.notification.contract import (
    DeviceId,
    DeviceKind,
    DeviceKindNotOffered,
    DeviceNotFound,
    DeviceTokenInvalid,
    EndpointRefused,
    PushKeysInvalid,
    TooManyDevices,
)
from api.engagement.notification.device import logic, webpush
from cluster.base.problems import FieldError
from cluster.http import Answer, Body, Caller, Page, Paging, Router, Several, View

router = Router("notification")

_Base64 = Annotated[str, Field(min_length=16, max_length=200, pattern=r"^[A-Za-z0-9_=-]+$")]


class SubscriptionKeys(Body):
    """The browser's keys (RFC 8291)."""

    p256dh: _Base64
    auth: _Base64


class NewDevice(Body):
    """A browser's subscription, as `PushSubscription.toJSON()` gives it, or the token of an app, with a name for its person."""

    kind: Annotated[DeviceKind, Field(description="`fcm` and `apns`: an app, by its `token`.")] = "web_push"
    endpoint: Annotated[str | None, Field(min_length=1, max_length=2000, description="Of a browser.")] = None
    keys: Annotated[SubscriptionKeys | None, Field(description="Of a browser.")] = None
    key: Annotated[
        str | None, Field(max_length=200, description="The key that a browser subscribed with; null: the newest.")
    ] = None
    token: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=4096,
            description="Of an app: its registration token (FCM), its device token in hex (APNs).",
        ),
    ] = None
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
    """A browser or an app in which the caller is told."""

    id: DeviceId
    kind: DeviceKind
    name: str
    created_at: datetime
    last_delivered_at: datetime | None


class PushKeyView(View):
    """What browsers subscribe with: `applicationServerKey` (RFC 8292)."""

    key: str


DEVICE = Answer(get=logic.get_device, view=DeviceView, path="/v1/devices/{id}")


@router.post(
    "/v1/devices",
    status_code=201,
    raises=(EndpointRefused, PushKeysInvalid, DeviceKindNotOffered, DeviceTokenInvalid, TooManyDevices),
)
async def add_device(caller: Caller, new: NewDevice, response: Response) -> DeviceView:
    """Tell the caller in a browser or an app from now on, until they sign out there. An app may send its token at each start."""
    if new.kind == "web_push":
        work = logic.add_browser(caller, _subscription(new), name=new.name)
    else:
        work = logic.add_app(caller, new.kind, new.token or "", name=new.name)
    return await DEVICE.created(response, caller, work)


def _subscription(new: NewDevice) -> logic.Subscription:
    if new.endpoint is None:
        detail = "send what PushSubscription.toJSON() gives"
        raise EndpointRefused(errors=(FieldError("/endpoint", "endpoint-missing", detail),))
    if new.keys is None:
        raise PushKeysInvalid(
            errors=(FieldError("/keys", "keys-missing", "send the keys of PushSubscription.toJSON()"),)
        )
    return logic.Subscription(endpoint=new.endpoint, p256dh=new.keys.p256dh, auth=new.keys.auth, key=new.key)


@router.get("/v1/devices")
async def list_devices(caller: Caller, paging: Paging, id: Several[DeviceId] = None) -> Page[DeviceView]:
    """List the browsers and apps in which the caller is told, newest first."""
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
    """Return one browser or app in which the caller is told."""
    return DEVICE.show(response, await logic.get_device(caller, device_id))


@router.delete("/v1/devices/{device_id}", status_code=204, raises=(DeviceNotFound,))
async def remove_device(caller: Caller, device_id: DeviceId) -> None:
    """Tell nothing any more in a browser or an app."""
    await logic.remove_device(caller, device_id)
