"""The SQL of devices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from api.engagement.notification.contract import DeviceId, DeviceKind
from cluster.base.ids import UserId
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A browser's subscription at its push service (RFC 8030), or an app: then `endpoint` is its kind and its token."""

    id: DeviceId
    user_id: UserId
    kind: DeviceKind
    name: str
    endpoint: str
    p256dh: bytes | None
    auth_secret: bytes | None
    vapid_key: str | None
    created_at: datetime
    last_delivered_at: datetime | None

    @property
    def token(self) -> str:
        """Of an app."""
        return self.endpoint.removeprefix(f"{self.kind}:")


_DEVICE = "id, user_id, kind, name, endpoint, p256dh, auth_secret, vapid_key, created_at, last_delivered_at"

UPDATE_MOVED = """
UPDATE notification.devices SET ended_at = $now, end_reason = 'moved'
WHERE endpoint_sha256 = $endpoint_sha256 AND ended_at IS NULL
"""
INSERT_DEVICE = (
    """INSERT INTO notification.devices
        (id, user_id, session_id, kind, name, endpoint, endpoint_sha256, p256dh, auth_secret, vapid_key, created_at)
    VALUES ($device_id, $user_id, $session_id, $kind, $name, $endpoint, $endpoint_sha256, $p256dh, $auth_secret, $vapid_key, $now)
    RETURNING """
    + _DEVICE
)


async def insert_device(
    tx: Transaction,
    device_id: DeviceId,
    user_id: UserId,
    *,
    session_id: UUID | None,
    kind: DeviceKind,
    name: str,
    endpoint: str,
    endpoint_sha256: bytes,
    p256dh: bytes | None = None,
    auth_secret: bytes | None = None,
    vapid_key: str | None = None,
) -> Device:
    """Add a device; a subscription that is known belongs to its newest owner alone."""
    await tx.run(UPDATE_MOVED, endpoint_sha256=endpoint_sha256)
    return await tx.one(
        Device,
        INSERT_DEVICE,
        device_id=device_id,
        user_id=user_id,
        session_id=session_id,
        kind=kind,
        name=name,
        endpoint=endpoint,
        endpoint_sha256=endpoint_sha256,
        p256dh=p256dh,
        auth_secret=auth_secret,
        vapid_key=vapid_key,
    )


COUNT_OTHER_DEVICES = """
SELECT count(*) FROM notification.devices
WHERE user_id = $user_id AND ended_at IS NULL AND endpoint_sha256 <> $endpoint_sha256
"""


async def count_other_devices(tx: Transaction, user_id: UserId, endpoint_sha256: bytes) -> int:
    """Count the devices of a person beside this one, which an app adds at each start."""
    return await tx.value(COUNT_OTHER_DEVICES, user_id=user_id, endpoint_sha256=endpoint_sha256)


FIND_DEVICE = "SELECT " + _DEVICE + " FROM notification.devices WHERE id = $device_id AND ended_at IS NULL"


async def find_device(db: Connection, device_id: DeviceId) -> Guarded[Device] | None:
    found = await db.maybe(Device, FIND_DEVICE, device_id=device_id)
    return None if found is None else Guarded(found, owner_id=found.user_id, see="device:read")


LIST_DEVICES = (
    "SELECT "
    + _DEVICE
    + """ FROM notification.devices
    WHERE user_id = $user_id AND ended_at IS NULL AND ($ids::uuid[] IS NULL OR id = ANY($ids))
        AND ($before::uuid IS NULL OR id < $before)
    ORDER BY id DESC LIMIT $limit"""
)


async def list_devices(
    db: Connection, user_id: UserId, *, ids: Sequence[DeviceId] | None, before: DeviceId | None, limit: int
) -> list[Device]:
    """List where a person is told, newest first."""
    return await db.all(Device, LIST_DEVICES, user_id=user_id, ids=ids, before=before, limit=limit)


LIST_OF_PEOPLE = (
    "SELECT "
    + _DEVICE
    + """ FROM notification.devices
    WHERE user_id = ANY($user_ids::uuid[]) AND ended_at IS NULL ORDER BY user_id, id LIMIT 10000"""
)


async def list_of_people(db: Connection, user_ids: Sequence[UserId]) -> dict[UserId, list[Device]]:
    found: dict[UserId, list[Device]] = {}
    for each in await db.all(Device, LIST_OF_PEOPLE, user_ids=user_ids):
        found.setdefault(each.user_id, []).append(each)
    return found


LIST_PEOPLE = """
SELECT DISTINCT user_id FROM notification.devices WHERE user_id = ANY($user_ids::uuid[]) AND ended_at IS NULL LIMIT 1000
"""


async def list_people(db: Connection, user_ids: Sequence[UserId]) -> set[UserId]:
    """Return who of these people has a device."""
    return {row["user_id"] for row in await db.rows(LIST_PEOPLE, user_ids=user_ids)}


UPDATE_ENDED = """
UPDATE notification.devices d SET ended_at = $now, end_reason = w.reason
FROM unnest($ids::uuid[], $reasons::text[]) AS w (id, reason) WHERE d.id = w.id AND d.ended_at IS NULL
"""


async def update_ended(tx: Transaction, reasons: Mapping[DeviceId, str]) -> None:
    """End devices, each for its reason."""
    if reasons:
        await tx.run(UPDATE_ENDED, ids=list(reasons), reasons=list(reasons.values()))


UPDATE_SIGNED_OUT = """
UPDATE notification.devices SET ended_at = $now, end_reason = 'signed_out'
WHERE session_id = $session_id AND ended_at IS NULL
"""


async def update_signed_out(tx: Transaction, session_id: UUID) -> None:
    await tx.run(UPDATE_SIGNED_OUT, session_id=session_id)


UPDATE_DELIVERED = "UPDATE notification.devices SET last_delivered_at = $now WHERE id = ANY($ids::uuid[])"


async def update_delivered(tx: Transaction, ids: Sequence[DeviceId]) -> None:
    if ids:
        await tx.run(UPDATE_DELIVERED, ids=ids)


DELETE_ENDED = """
DELETE FROM notification.devices WHERE id IN (
    SELECT id FROM notification.devices WHERE ended_at < $before ORDER BY ended_at LIMIT $limit FOR UPDATE SKIP LOCKED)
"""


async def delete_ended(tx: Transaction, before: datetime, limit: int) -> int:
    return await tx.run(DELETE_ENDED, before=before, limit=limit)
