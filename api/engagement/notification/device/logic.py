"""Use cases of devices: have a browser or an app told, list where one is told, and end it."""

import hashlib
import re
from dataclasses import dataclass
from typing import Literal

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
from api.engagement.notification.device import apns, fcm, store, webpush
from api.engagement.notification.device.store import Device
from cluster.base.ids import UserId, new_id
from cluster.base.principal import Principal
from cluster.base.problems import FieldError
from cluster.data import read, write
from cluster.http.outbound_urls import OutboundRefused, check_url
from cluster.people.access import Guarded, permit, permitted, reach_of

MAX_DEVICES = 20
AppKind = Literal["fcm", "apns"]
_APPS = {"fcm": fcm, "apns": apns}
_TOKENS = {"fcm": re.compile(r"[A-Za-z0-9_:.%-]{32,1900}"), "apns": re.compile(r"(?:[0-9A-Fa-f]{2}){32,100}")}
"""Apple promises no length of its tokens, only that they are bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """Of a browser. `key`: the one that it subscribed with; None: the newest."""

    endpoint: str
    p256dh: str
    auth: str
    key: str | None = None


async def add_browser(caller: Principal, subscription: Subscription, *, name: str) -> Device:
    """Tell the caller in a browser from now on, until they sign out there.

    Raises:
        EndpointRefused, PushKeysInvalid, TooManyDevices
    """
    user_id = await _permit(caller)
    try:
        check_url(subscription.endpoint)
    except OutboundRefused as error:
        raise EndpointRefused(errors=(FieldError("/endpoint", "endpoint-refused", str(error)),)) from error
    try:
        point, secret = webpush.decode_keys(subscription.p256dh, subscription.auth)
    except ValueError as error:
        raise PushKeysInvalid(
            errors=(FieldError("/keys", "keys-invalid", "send the keys of PushSubscription.toJSON()"),)
        ) from error
    wanted = subscription.key
    key_id = next((id for id in webpush.key_ids() if wanted is None or webpush.public_key(id) == wanted), None)
    if key_id is None:
        detail = "subscribe again with the key of GET /v1/devices/-/key"
        raise PushKeysInvalid(errors=(FieldError("/key", "key-outdated", detail),))
    return await _add(
        caller,
        user_id,
        kind="web_push",
        endpoint=subscription.endpoint,
        name=name,
        p256dh=point,
        auth_secret=secret,
        vapid_key=key_id,
    )


async def add_app(caller: Principal, kind: AppKind, token: str, *, name: str) -> Device:
    """Tell the caller in an app from now on, until they sign out there.

    Raises:
        DeviceKindNotOffered, DeviceTokenInvalid, TooManyDevices
    """
    user_id = await _permit(caller)
    if not _APPS[kind].is_offered():
        detail = f"this platform sends nothing by {kind}: its operator sets HUB_{kind.upper()}_* first"
        raise DeviceKindNotOffered(errors=(FieldError("/kind", "kind-not-offered", detail),))
    if _TOKENS[kind].fullmatch(token) is None:
        detail = "send the token that the app got when it registered for remote notifications"
        raise DeviceTokenInvalid(errors=(FieldError("/token", "token-invalid", detail),))
    known = token.lower() if kind == "apns" else token
    return await _add(caller, user_id, kind=kind, endpoint=f"{kind}:{known}", name=name)


async def _permit(caller: Principal) -> UserId:
    user_id = caller.person()
    await permit(caller, "device:edit", Guarded(user_id, owner_id=user_id))
    return user_id


async def _add(
    caller: Principal,
    user_id: UserId,
    *,
    kind: DeviceKind,
    endpoint: str,
    name: str,
    p256dh: bytes | None = None,
    auth_secret: bytes | None = None,
    vapid_key: str | None = None,
) -> Device:
    device_id = DeviceId(new_id())
    digest = hashlib.sha256(endpoint.encode()).digest()
    async with write(caller, result=device_id, status=201) as tx:
        await tx.take_turns("notification.device", user_id)
        # A subscription that moves from one person to another in the same moment moves once.
        await tx.take_turns(f"notification.endpoint {digest.hex()}")
        if await store.count_other_devices(tx, user_id, digest) >= MAX_DEVICES:
            raise TooManyDevices("remove one first")
        return await store.insert_device(
            tx,
            device_id,
            user_id,
            session_id=caller.session_id,
            kind=kind,
            name=name,
            endpoint=endpoint,
            endpoint_sha256=digest,
            p256dh=p256dh,
            auth_secret=auth_secret,
            vapid_key=vapid_key,
        )


async def get_device(caller: Principal, device_id: DeviceId) -> Device:
    return await permitted(caller, "device:read", store.find_device, device_id, missing=DeviceNotFound)


async def list_devices(
    caller: Principal, *, ids: list[DeviceId] | None, before: DeviceId | None, limit: int
) -> list[Device]:
    user_id = (await reach_of(caller, "device:read")).own
    if user_id is None:
        return []
    async with read() as db:
        return await store.list_devices(db, user_id, ids=ids, before=before, limit=limit)


async def remove_device(caller: Principal, device_id: DeviceId) -> None:
    """Tell nothing any more in a browser or an app."""
    await permitted(caller, "device:edit", store.find_device, device_id, missing=DeviceNotFound)
    async with write(caller, result=device_id, status=204) as tx:
        await store.update_ended(tx, {device_id: "removed"})
