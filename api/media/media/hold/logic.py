"""Use cases of legal holds of files: place, show and release one."""

from datetime import timedelta

from api.media.media.contract import (
    AssetHeld,
    AssetId,
    AssetNotFound,
    AssetNotHeld,
    AssetReleased,
    asset_ref,
)
from api.media.media.hold import store
from api.media.media.hold.store import Hold
from cluster.base.principal import Principal
from cluster.data import Transaction, uses, write
from cluster.events import emit
from cluster.people.access import permitted

_PURGE_MARGIN = timedelta(minutes=1)
"""A purge deletes objects without a lock. Every transaction ends within this time, so that none places a hold during a purge."""


async def get_hold(caller: Principal, asset_id: AssetId) -> Hold:
    """Return the hold of a file.

    Raises:
        AssetNotHeld
    """
    held = await permitted(caller, "asset:hold", store.find_held_asset, asset_id, missing=AssetNotFound)
    if held.hold is None:
        raise AssetNotHeld(f"PUT /v1/assets/{asset_id}/hold places a hold")
    return held.hold


async def place_hold(caller: Principal, asset_id: AssetId, reason: str) -> Hold:
    """Hold a ready file, deleted or not. A hold that lasts gets the new reason.

    Raises:
        AssetNotFound: also when it was deleted 30 days ago: its purge may have begun.
        AssetNotReady, AssetRejected: there is no content yet, or never will be.
    """
    found = await permitted(caller, "asset:hold", store.find_held_asset, asset_id, missing=AssetNotFound)
    found.asset.content_key()
    async with write(caller, result=asset_id) as tx:
        is_held = await store.lock_held(tx, asset_id)
        if is_held is None or not (is_held or await _can_be_restored(tx, asset_id)):
            raise AssetNotFound
        held = await store.update_held(tx, asset_id, reason)
        await uses.hold(tx, asset_ref(asset_id), held=True)
        event = AssetHeld(asset_id=asset_id, org_id=held.asset.org_id, purpose=held.asset.purpose)
        emit(tx, event, version=held.asset.version)
    assert held.hold is not None
    return held.hold


async def _can_be_restored(tx: Transaction, asset_id: AssetId) -> bool:
    """Tell whether the file is not deleted, or can still be restored."""
    ref = asset_ref(asset_id)
    thing = (await uses.states(tx, [ref])).get(ref)
    return thing is not None and (thing.purge_at is None or thing.purge_at > tx.now + _PURGE_MARGIN)


async def release_hold(caller: Principal, asset_id: AssetId) -> None:
    """End the hold of a file. Releasing a file that is not held changes nothing."""
    await permitted(caller, "asset:hold", store.find_held_asset, asset_id, missing=AssetNotFound)
    async with write(caller, result=asset_id, status=204) as tx:
        released = await store.update_released(tx, asset_id)
        if released is not None:
            await uses.hold(tx, asset_ref(asset_id), held=False)
            event = AssetReleased(asset_id=asset_id, org_id=released.asset.org_id, purpose=released.asset.purpose)
            emit(tx, event, version=released.asset.version)
