"""The SQL of legal holds of files. Deleted files are held too, as long as they are not purged."""

from api.media.media.contract import Asset, AssetId
from api.media.media.store import ASSET, asset_of
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded

FIND_ANY_ASSET = "SELECT " + ASSET + " FROM media.assets WHERE id = $asset_id"


async def find_any_asset(db: Connection, asset_id: AssetId) -> Guarded[Asset] | None:
    """Find a file, deleted or not. Its owner has no part in it: a hold is the organization's."""
    rows = await db.rows(FIND_ANY_ASSET, asset_id=asset_id)
    if not rows:
        return None
    asset = asset_of(rows[0])
    return Guarded(asset, org_id=asset.org_id, course_id=asset.course_id, run_id=asset.run_id)


LOCK_ANY_ASSET = "SELECT id FROM media.assets WHERE id = $asset_id FOR UPDATE"


async def lock_any_asset(tx: Transaction, asset_id: AssetId) -> None:
    """Hold the row of a file, deleted or not, until the transaction ends: before its thing."""
    await tx.run(LOCK_ANY_ASSET, asset_id=asset_id)


UPDATE_VERSION = "UPDATE media.assets SET version = version + 1 WHERE id = $asset_id RETURNING " + ASSET


async def update_version(tx: Transaction, asset_id: AssetId) -> Asset:
    """Count a change of the hold of a file."""
    [row] = await tx.rows(UPDATE_VERSION, asset_id=asset_id)
    return asset_of(row)
