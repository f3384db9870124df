"""HTTP of legal holds of films."""

from api.media.video_processing.contract import VideoId, VideoNotFound, VideoNotHeld
from api.media.video_processing.hold import logic
from cluster.http import Caller, HoldView, NewHold, Router

router = Router("video_processing")


class NewVideoHold(NewHold):
    """The reason of a legal hold."""


class VideoHoldView(HoldView):
    """A legal hold of a film. Only people with the permission to hold it see the hold."""


@router.get("/v1/videos/{video_id}/hold", raises=(VideoNotFound, VideoNotHeld))
async def get_hold(caller: Caller, video_id: VideoId) -> VideoHoldView:
    """Return the legal hold of a film, deleted or not."""
    return VideoHoldView.of(await logic.get_hold(caller, video_id))


@router.put("/v1/videos/{video_id}/hold", raises=(VideoNotFound,))
async def place_hold(caller: Caller, video_id: VideoId, new: NewVideoHold) -> VideoHoldView:
    """Place a legal hold on a film, or change its reason: the film is not purged while the hold lasts.

    A held film can be deleted and restored as before. A deleted film can be held as long as it can be restored. Its upload is
    a file with a hold of its own.
    """
    return VideoHoldView.of(await logic.place_hold(caller, video_id, new.reason))


@router.delete("/v1/videos/{video_id}/hold", status_code=204, raises=(VideoNotFound,))
async def release_hold(caller: Caller, video_id: VideoId) -> None:
    """Release the legal hold of a film. A film that was deleted more than 30 days ago is purged then."""
    await logic.release_hold(caller, video_id)
