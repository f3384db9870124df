"""Use cases of devices: have a browser told, list where one is told, and end it."""

import hashlib

from api.engagement.notification.contract import (
    DeviceId,
    DeviceNotFound,
    EndpointRefused,
    PushKeysInvalid,
    TooManyDevices,
)
from api.engagement.notification.device import store, webpush
from api.engagement.notification.device.store import Device
from cluster.base.ids import new_id
from cluster.base.principal import Principal
from cluster.base.problems import FieldError
from cluster.data import read, write
from cluster.http.outbound_urls import OutboundRefused, check_url
from cluster.people.access import Guarded, permit, permitted, reach_of

MAX_DEVICES = 20


async def add_device(caller: Principal, *, endpoint: str, p256dh: str, auth: str, key: str | None, name: str) -> Device:
    """Tell the caller in a browser from now on, until they sign out there.

    `key`: the one that the browser subscribed with; None: the newest.

    Raises:
        EndpointRefused, PushKeysInvalid, TooManyDevices
    """
    user_id = caller.person()
    await permit(caller, "device:edit", Guarded(user_id, owner_id=user_id))
    try:
        check_url(endpoint)
    except OutboundRefused as error:
        raise EndpointRefused(errors=(FieldError("/endpoint", "endpoint-refused", str(error)),)) from error
    try:
        point, secret = webpush.decode_keys(p256dh, auth)
    except ValueError as error:
        raise PushKeysInvalid(
            errors=(FieldError("/keys", "keys-invalid", "send the keys of PushSubscription.toJSON()"),)
        ) from error
    key_id = next((id for id in webpush.key_ids() if key is None or webpush.public_key(id) == key), None)
    if key_id is None:
        detail = "subscribe again with the key of GET /v1/devices/-/key"
        raise PushKeysInvalid(errors=(FieldError("/key", "key-outdated", detail),))
    device_id = DeviceId(new_id())
    digest = hashlib.sha256(endpoint.encode()).digest()
    async with write(caller, result=device_id, status=201) as tx:
        await tx.take_turns("notification.device", user_id)
        # A subscription that moves from one person to another in the same moment moves once.
        await tx.take_turns(f"notification.endpoint {digest.hex()}")
        if await store.count_devices(tx, user_id) >= MAX_DEVICES:
            raise TooManyDevices("remove one first")
        return await store.insert_device(
            tx,
            device_id,
            user_id,
            session_id=caller.session_id,
            name=name,
            endpoint=endpoint,
            endpoint_sha256=digest,
            p256dh=point,
            auth_secret=secret,
            vapid_key=key_id,
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
    """Tell nothing any more in a browser."""
    await permitted(caller, "device:edit", store.find_device, device_id, missing=DeviceNotFound)
    async with write(caller, result=device_id, status=204) as tx:
        await store.update_ended(tx, {device_id: "removed"})
