"""Use cases of legal holds of films: place, show and release one."""

from api.media.video_processing.contract import (
    VideoHeld,
    VideoId,
    VideoNotFound,
    VideoNotHeld,
    VideoReleased,
    video_ref,
)
from api.media.video_processing.hold import store
from cluster.base.principal import Principal
from cluster.data import holds, read, write
from cluster.data.holds import Hold
from cluster.events import emit
from cluster.people.access import permitted


async def get_hold(caller: Principal, video_id: VideoId) -> Hold:
    """Return the hold of a film.

    Raises:
        VideoNotHeld
    """
    await permitted(caller, "video:hold", store.find_any_film, video_id, missing=VideoNotFound)
    async with read() as db:
        hold = await holds.find_hold(db, video_ref(video_id))
    if hold is None:
        raise VideoNotHeld(f"PUT /v1/videos/{video_id}/hold places a hold")
    return hold


async def place_hold(caller: Principal, video_id: VideoId, reason: str) -> Hold:
    """Hold a film, deleted or not. A hold that lasts gets the new reason.

    Raises:
        VideoNotFound: also when it was deleted 30 days ago: its purge may have begun.
    """
    await permitted(caller, "video:hold", store.find_any_film, video_id, missing=VideoNotFound)
    async with write(caller, result=video_id) as tx:
        await store.lock_any_film(tx, video_id)
        hold = await holds.place_hold(tx, video_ref(video_id), reason)
        if hold is None:
            raise VideoNotFound
        film = await store.update_version(tx, video_id)
        event = VideoHeld(video_id=video_id, org_id=film.org_id, course_id=film.course_id)
        emit(tx, event, version=film.version)
    return hold


async def release_hold(caller: Principal, video_id: VideoId) -> None:
    """End the hold of a film. Releasing a film that is not held changes nothing."""
    await permitted(caller, "video:hold", store.find_any_film, video_id, missing=VideoNotFound)
    async with write(caller, result=video_id, status=204) as tx:
        await store.lock_any_film(tx, video_id)
        if await holds.release_hold(tx, video_ref(video_id)):
            film = await store.update_version(tx, video_id)
            event = VideoReleased(video_id=video_id, org_id=film.org_id, course_id=film.course_id)
            emit(tx, event, version=film.version)
