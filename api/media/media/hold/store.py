"""The SQL of legal holds of files. Deleted files are held too, as long as they are not purged."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from api.media.media.contract import Asset, AssetId
from api.media.media.store import ASSET, asset_of
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded


@dataclass(frozen=True, slots=True)
class Hold:
    reason: str
    held_at: datetime


@dataclass(frozen=True, slots=True)
class HeldAsset:
    """A file, deleted or not, and its hold."""

    asset: Asset
    hold: Hold | None


_HELD_ASSET = ASSET + ", held_reason, held_at"


def _held_asset(row: Any) -> HeldAsset:
    fields = dict(row)
    reason, held_at = fields.pop("held_reason"), fields.pop("held_at")
    return HeldAsset(asset_of(fields), None if held_at is None else Hold(reason, held_at))


FIND_HELD_ASSET = "SELECT " + _HELD_ASSET + " FROM media.assets WHERE id = $asset_id"


async def find_held_asset(db: Connection, asset_id: AssetId) -> Guarded[HeldAsset] | None:
    """Find a file with its hold. Its owner has no part in it: a hold is the organization's."""
    rows = await db.rows(FIND_HELD_ASSET, asset_id=asset_id)
    if not rows:
        return None
    held = _held_asset(rows[0])
    return Guarded(held, org_id=held.asset.org_id, course_id=held.asset.course_id, run_id=held.asset.run_id)


LOCK_HELD = "SELECT held_at IS NOT NULL FROM media.assets WHERE id = $asset_id FOR UPDATE"


async def lock_held(tx: Transaction, asset_id: AssetId) -> bool | None:
    """Hold the row until the transaction ends and tell whether the file is under a legal hold; None: it was purged."""
    held: bool | None = await tx.value(LOCK_HELD, asset_id=asset_id)
    return held


UPDATE_HELD = (
    """UPDATE media.assets SET held_at = coalesce(held_at, $now), held_reason = $reason, version = version + 1
    WHERE id = $asset_id RETURNING """
    + _HELD_ASSET
)


async def update_held(tx: Transaction, asset_id: AssetId, reason: str) -> HeldAsset:
    """Begin a hold, or change the reason of one that lasts."""
    [row] = await tx.rows(UPDATE_HELD, asset_id=asset_id, reason=reason)
    return _held_asset(row)


UPDATE_RELEASED = (
    """UPDATE media.assets SET held_at = NULL, held_reason = NULL, version = version + 1
    WHERE id = $asset_id AND held_at IS NOT NULL RETURNING """
    + _HELD_ASSET
)


async def update_released(tx: Transaction, asset_id: AssetId) -> HeldAsset | None:
    """End a hold; None when there is none."""
    rows = await tx.rows(UPDATE_RELEASED, asset_id=asset_id)
    return _held_asset(rows[0]) if rows else None
