"""Use cases of legal holds of files: place, show and release one."""

from api.media.media.contract import AssetHeld, AssetId, AssetNotFound, AssetNotHeld, AssetReleased, asset_ref
from api.media.media.hold import store
from cluster.base.principal import Principal
from cluster.data import holds, read, write
from cluster.data.holds import Hold
from cluster.events import emit
from cluster.people.access import permitted


async def get_hold(caller: Principal, asset_id: AssetId) -> Hold:
    """Return the hold of a file.

    Raises:
        AssetNotHeld
    """
    await permitted(caller, "asset:hold", store.find_any_asset, asset_id, missing=AssetNotFound)
    async with read() as db:
        hold = await holds.find_hold(db, asset_ref(asset_id))
    if hold is None:
        raise AssetNotHeld(f"PUT /v1/assets/{asset_id}/hold places a hold")
    return hold


async def place_hold(caller: Principal, asset_id: AssetId, reason: str) -> Hold:
    """Hold a ready file, deleted or not. A hold that lasts gets the new reason.

    Raises:
        AssetNotFound: also when it was deleted 30 days ago: its purge may have begun.
        AssetNotReady, AssetRejected: there is no content yet, or never will be.
    """
    found = await permitted(caller, "asset:hold", store.find_any_asset, asset_id, missing=AssetNotFound)
    found.content_key()
    async with write(caller, result=asset_id) as tx:
        await store.lock_any_asset(tx, asset_id)
        hold = await holds.place_hold(tx, asset_ref(asset_id), reason)
        if hold is None:
            raise AssetNotFound
        held = await store.update_version(tx, asset_id)
        emit(tx, AssetHeld(asset_id=asset_id, org_id=held.org_id, purpose=held.purpose), version=held.version)
    return hold


async def release_hold(caller: Principal, asset_id: AssetId) -> None:
    """End the hold of a file. Releasing a file that is not held changes nothing."""
    await permitted(caller, "asset:hold", store.find_any_asset, asset_id, missing=AssetNotFound)
    async with write(caller, result=asset_id, status=204) as tx:
        await store.lock_any_asset(tx, asset_id)
        if await holds.release_hold(tx, asset_ref(asset_id)):
            file = await store.update_version(tx, asset_id)
            emit(tx, AssetReleased(asset_id=asset_id, org_id=file.org_id, purpose=file.purpose), version=file.version)
