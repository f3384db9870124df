"""HTTP of legal holds of files."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from api.media.media.contract import AssetId, AssetNotFound, AssetNotHeld, AssetNotReady, AssetRejected
from api.media.media.hold import logic
from cluster.http import Body, Caller, Router, View

router = Router("media")


class NewAssetHold(Body):
    """The reason of a legal hold."""

    reason: Annotated[
        str, Field(min_length=1, max_length=500, examples=["Complaint 2031-17: keep until it is decided"])
    ]


class AssetHoldView(View):
    """A legal hold of a file. Only people with the permission to hold it see the hold."""

    reason: str
    held_at: datetime


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
