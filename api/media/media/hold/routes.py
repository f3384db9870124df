"""HTTP of legal holds of files."""

from api.media.media.contract import AssetId, AssetNotFound, AssetNotHeld, AssetNotReady, AssetRejected
from api.media.media.hold import logic
from cluster.http import Caller, HoldView, NewHold, Router

router = Router("media")


class NewAssetHold(NewHold):
    """The reason of a legal hold."""


class AssetHoldView(HoldView):
    """A legal hold of a file. Only people with the permission to hold it see the hold."""


@router.get("/v1/assets/{asset_id}/hold", raises=(AssetNotFound, AssetNotHeld))
async def get_hold(caller: Caller, asset_id: AssetId) -> AssetHoldView:
    """Return the legal hold of a file, deleted or not."""
    return AssetHoldView.of(await logic.get_hold(caller, asset_id))


@router.put("/v1/assets/{asset_id}/hold", raises=(AssetNotFound, AssetNotReady, AssetRejected))
async def place_hold(caller: Caller, asset_id: AssetId, new: NewAssetHold) -> AssetHoldView:
    """Place a legal hold on a file, or change its reason: the file is not purged while the hold lasts.

    A held file can be deleted and restored as before. A deleted file can be held as long as it can be restored.
    """
    return AssetHoldView.of(await logic.place_hold(caller, asset_id, new.reason))


@router.delete("/v1/assets/{asset_id}/hold", status_code=204, raises=(AssetNotFound,))
async def release_hold(caller: Caller, asset_id: AssetId) -> None:
    """Release the legal hold of a file. A file that was deleted more than 30 days ago is purged then."""
    await logic.release_hold(caller, asset_id)
